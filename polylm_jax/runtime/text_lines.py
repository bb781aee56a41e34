"""Lines of text files: of a range of bytes, without byte order marks, and as JSON objects.

A line belongs to the range in which its first byte lies, so ranges that cover a file give each line
exactly once, whatever their bounds. Lines end at "\\n" alone: U+2028, U+2029 and U+0085, at which
`str.splitlines` cuts too, may stand in a line and in JSON's strings.
"""

import io
import json
from collections.abc import Iterator

import orjson

from polylm_jax.errors import InputError
from polylm_jax.runtime.text_files import (
    BLOCK,
    MARK,
    Opener,
    blocks,
    open_bytes,
    open_text,
    shown,
    suffix,
    with_fsspec,
)

NOT_UTF8 = "not UTF-8"
NOT_JSON = "not JSON"
NOT_OBJECT = "not a JSON object"
HALF_PAIR = "half a surrogate pair"
_JSON = json.JSONDecoder()


def read_lines(
    path: str,
    start: int = 0,
    stop: int | None = None,
    max_line: int | None = None,
    past_end: bool = False,
    field: str = "path",
    opener: Opener = with_fsspec,
) -> Iterator[tuple[int, bytes]]:
    """(offset, line with its end) for the lines that begin in bytes [start, stop) of a file.

    Byte order marks are left out wherever they stand: files are joined, mark and all. The offset
    counts them. A compressed file is read from its start to its end, whatever the range.

    Args:
        stop: None for the file's end.
        max_line: a longer line comes cut to `max_line` + 1 bytes and is never held whole.
        past_end: goes on to the file's end.

    Raises:
        InputError: the file can't be read, is broken, or is UTF-16.
    """
    start = 0 if suffix(path) else start
    end = None if past_end or suffix(path) else stop
    with (open_bytes if start else open_text)(path, field, opener) as file:
        offset = start
        if start:
            file.seek(start - 1)
            offset = start - 1 + _skip_line(file)
        while end is None or offset < end:
            line = file.readline() if max_line is None else file.readline(max_line + 1)
            if not line:
                return
            size = len(line)
            if max_line is not None and size > max_line and not line.endswith(b"\n"):
                size += _skip_line(file)
            yield offset, line.replace(MARK, b"") if MARK in line else line
            offset += size


def line_number(path: str, offset: int, opener: Opener = with_fsspec) -> int:
    """The number, from 1, of the first line that begins at byte `offset` of a plain file or after."""
    if not offset:
        return 1
    with open_bytes(path, opener=opener) as file:
        file.seek(offset - 1)
        first = offset - 1 + _skip_line(file)
        file.seek(0)
        return 1 + sum(block.count(b"\n") for block in blocks(file, first))


def _skip_line(file: io.BufferedIOBase) -> int:
    """How many bytes there were to the end of this line, read block by block."""
    count = 0
    while block := file.readline(BLOCK):
        count += len(block)
        if block.endswith(b"\n"):
            break
    return count


def parse_json(raw: bytes) -> dict | str:
    """The object that a line holds, or the reason why there is none."""
    try:
        return _object(orjson.loads(raw))
    except orjson.JSONDecodeError:
        pass  # it may still be what only Python's reads: NaN, half a surrogate pair, a huge integer
    try:
        return _object(_JSON.decode(raw.decode()))
    except UnicodeDecodeError:
        return NOT_UTF8
    except (ValueError, RecursionError):
        return NOT_JSON


def _object(parsed: object) -> dict | str:
    return parsed if type(parsed) is dict else NOT_OBJECT


def json_lines(
    path: str, field: str, opener: Opener = with_fsspec, array: bool = False
) -> Iterator[tuple[int, dict]]:
    """(line number from 1, object) of a file of JSON lines of which none may be wrong.

    For what a user asks, such as prompts, where a line left out would be missed. Blank lines are
    passed over. With `array` the file may also be one JSON array; the number is then the item's.

    Raises:
        InputError: names `field`, the file and the line.
    """
    where = f"{field} = {shown(path)}"
    if array and _begins_array(path, field, opener):
        yield from _items(path, field, where, opener)
        return
    for number, (_, raw) in enumerate(read_lines(path, field=field, opener=opener), 1):
        if raw.strip():
            yield number, _good(parse_json(raw), f"{where}, line {number}")


def _items(path: str, field: str, where: str, opener: Opener) -> Iterator[tuple[int, dict]]:
    with open_text(path, field, opener) as file:
        raw = file.read().replace(MARK, b"")
    try:
        items = json.loads(raw.decode())
    except UnicodeDecodeError as error:
        raise InputError(f"{where} is {NOT_UTF8}: save it as UTF-8.") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} is {NOT_JSON} ({error}): mend it.") from error
    for number, item in enumerate(items, 1):
        yield number, _good(_object(item), f"{where}, item {number}")


def _good(found: dict | str, where: str) -> dict:
    if isinstance(found, str):
        raise InputError(f"{where} is {found}: give one JSON object a line, in UTF-8.")
    if not encodable(found):
        raise InputError(
            f"{where} has {HALF_PAIR} (\\ud800 to \\udfff), which isn't text: mend it."
        )
    return found


def encodable(value: object) -> bool:
    """Whether all text of a parsed value can be UTF-8; JSON's escapes can write half a pair."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _begins_array(path: str, field: str, opener: Opener) -> bool:
    with open_text(path, field, opener) as file:
        return file.read(64).removeprefix(MARK).lstrip()[:1] == b"["
