"""Records of a benchmark's published files: JSON (lines, lists, SQuAD's), TSV, text, TFDS.

A reader gives (where it stands, the record as a dict). A benchmark is read whole or not at all: a
line that isn't a record is an error, since an average over fewer items is another number.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from polylm_jax.errors import InputError
from polylm_jax.runtime.paths import under
from polylm_jax.runtime.text_files import suffix
from polylm_jax.runtime.text_lines import json_lines
from tasks.sources import files
from tasks.sources.tfds import Tfds

Record = Mapping[str, Any]
Records = Iterator[tuple[str, Record]]

TSV_HEADER = "tsv"  # the first line names the columns
TSV_PLAIN = "tsv without a header"  # columns are '1', '2', ...


class Published(NamedTuple):
    """One split of a benchmark: where it is and how it's written.

    Attributes:
        format: a name in READERS.
        path: a file; of aligned text, {field: file}; of TFDS, 'data set/config'.
        split: of TFDS, its split there.
        folder: of TFDS, where it was prepared; '' for its own place.
    """

    format: str
    path: Any
    split: str = ""
    folder: str = ""

    def records(self) -> Records:
        """All records in order. Raises InputError for a file that isn't there or isn't `format`."""
        return READERS[self.format](self)

    def files(self) -> list[dict[str, object]]:
        """The files with their sizes in bytes, for an identity."""
        if self.format == "tfds":
            return [file._asdict() for file in _tfds(self).inputs]
        paths = self.path.values() if isinstance(self.path, Mapping) else (self.path,)
        return [file._asdict() for path in paths for file in files.expand(path, "path")]


def _lines(path: str) -> Iterator[tuple[str, str]]:
    """(where, line without its end) of every line that isn't blank."""
    with files.open_text(files.one(path)) as file:
        for number, raw in enumerate(file, 1):
            where = f"{path!r}, line {number}"
            text = _decoded(raw, where).rstrip("\r\n")
            if text.strip():
                yield where, text.removeprefix("\ufeff")


def _decoded(raw: bytes, where: str) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{where}, isn't UTF-8: save the file as UTF-8.") from error


def _parsed(text: str, where: str) -> object:
    try:
        return json.loads(text)
    except ValueError as error:
        raise InputError(f"{where}, isn't JSON ({error}): get the file again.") from error


def _object(value: object, where: str) -> Record:
    if not isinstance(value, dict):
        raise InputError(f"{where}, is no JSON object: get the file again.")
    return value


def _json_lines(published: Published) -> Records:
    lines = json_lines(files.one(published.path), "path", files.open_scheme)
    return ((f"{published.path!r}, line {number}", record) for number, record in lines)


def _whole(path: str) -> Any:
    with files.open_text(files.one(path)) as file:
        return _parsed(_decoded(file.read(), repr(path)).removeprefix("\ufeff"), repr(path))


def _json(published: Published) -> Records:
    """A list of objects, or one under 'data'."""
    found = _whole(published.path)
    found = found.get("data") if isinstance(found, dict) else found
    if not isinstance(found, list):
        raise InputError(
            f"{published.path!r} holds no list of records: give a JSON list of objects, or one "
            "under 'data'."
        )
    for number, record in enumerate(found, 1):
        where = f"{published.path!r}, record {number}"
        yield where, _object(record, where)


def _squad(published: Published) -> Records:
    """SQuAD 1.1's JSON, one record per question: id, context, question, answers (a list of text)."""
    found: dict[str, tuple[str, dict]] = {}
    whole = _whole(published.path)
    try:
        for article in whole["data"]:
            for paragraph in article["paragraphs"]:
                for question in paragraph["qas"]:
                    answers = [answer["text"] for answer in question["answers"]]
                    key = str(question["id"])
                    where = f"{published.path!r}, question {key!r}"
                    record = {"context": paragraph["context"], "question": question["question"]}
                    # XTREME's files repeat a question for each of its answers.
                    _, known = found.setdefault(key, (where, {"id": key, **record, "answers": []}))
                    known["answers"].extend(answers)
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{published.path!r} isn't SQuAD's JSON ({type(error).__name__}: {error}): it has "
            "data, paragraphs, qas with id, question and answers."
        ) from error
    yield from found.values()


def _tsv(published: Published) -> Records:
    """Columns between tabs, quotes standing for themselves; the first line names the columns."""
    names: list[str] = []
    for where, line in _lines(published.path):
        cells = line.split("\t")
        if not names:
            names = (
                cells if published.format == TSV_HEADER else [*map(str, range(1, len(cells) + 1))]
            )
            if published.format == TSV_HEADER:
                continue
        if len(cells) != len(names):
            raise InputError(
                f"{where}, has {len(cells)} columns, not {len(names)}: give a tab-separated file "
                "as it was published."
            )
        yield where, dict(zip(names, cells))


def _aligned(published: Published) -> Records:
    """Line n of one file belongs to line n of the others; a line may not be empty in one alone.

    Of JSON lines, as FLORES+ has them, the line is the object's `text`.
    """
    sides = {field: _side(str(path)) for field, path in published.path.items()}
    counts = {field: len(lines) for field, lines in sides.items()}
    if len(set(counts.values())) > 1:
        said = ", ".join(f"{published.path[f]!r} has {n}" for f, n in counts.items())
        raise InputError(f"aligned files have unequal line counts ({said}): get them again.")
    first = next(iter(published.path.values()))
    for number, texts in enumerate(zip(*sides.values()), 1):
        yield f"{first!r}, line {number}", dict(zip(sides, texts))


def _side(path: str) -> list[str]:
    if not path.removesuffix(suffix(path)).endswith(".jsonl"):
        return _all_lines(path)
    found = [(where, _object(_parsed(line, where), where)) for where, line in _lines(path)]
    for where, record in found:
        if not isinstance(record.get("text"), str):
            raise InputError(f"{where}, has no 'text': give the file as it was published.")
    return [record["text"] for _, record in found]


def _all_lines(path: str) -> list[str]:
    with files.open_text(files.one(path)) as file:
        text = _decoded(file.read(), repr(path)).removeprefix("\ufeff")
    lines = text.split("\n")  # splitlines() also splits at U+2028, which may stand in a sentence
    return [line.removesuffix("\r") for line in (lines if lines[-1] else lines[:-1])]


def _text(published: Published) -> Records:
    """A whole file as one record, {'text': ...}."""
    with files.open_text(files.one(published.path)) as file:
        text = _decoded(file.read(), repr(published.path)).removeprefix("\ufeff")
    yield repr(published.path), {"text": text.replace("\r\n", "\n").strip("\n")}


def _from_tfds(published: Published) -> Records:
    """Examples of a split that TFDS has prepared, as TFDS gives them, text decoded."""
    reader = _tfds(published)
    _ = reader.inputs  # refuses a data set or a split that isn't there
    data = reader.builder.as_dataset(split=published.split, shuffle_files=False)
    for number, example in enumerate(data.as_numpy_iterator(), 1):
        yield f"{published.path!r}, {published.split}, example {number}", _as_text(example)


def _tfds(published: Published) -> Tfds:
    return Tfds(str(published.path), {}, split=published.split, data_dir=published.folder or None)


def _as_text(value: Any) -> Any:
    """TFDS's nested arrays as Python values, bytes as str."""
    if isinstance(value, dict):
        return {name: _as_text(one) for name, one in value.items()}
    if hasattr(value, "tolist"):
        return _as_text(value.tolist())
    if isinstance(value, list):
        return [_as_text(one) for one in value]
    return value.decode() if isinstance(value, bytes) else value


READERS: dict[str, Callable[[Published], Records]] = {
    "jsonl": _json_lines,
    "json": _json,
    "squad": _squad,
    TSV_HEADER: _tsv,
    TSV_PLAIN: _tsv,
    "aligned": _aligned,
    "text": _text,
    "tfds": _from_tfds,
}


def published(
    spec: object, formats: Mapping[str, str], data_dir: str, fill: Mapping[str, str], field: str
) -> Published:
    """What a `files` entry of a benchmark means.

    Args:
        spec: a path such as 'xcopa/test.{language}.jsonl'; {field: path} for aligned files; or
            {'tfds': 'paws_x_wiki/{language}', 'split': 'test'} with `data_dir` if it's elsewhere.
        formats: ending of a path -> name in READERS; 'aligned' and 'tfds' where they're possible.
        data_dir: what relative paths are under.
        fill: what stands in braces.
        field: what the user set, for the error.
    """
    endings = [ending for ending in formats if ending.startswith(".")]
    if isinstance(spec, Mapping) and {"tfds", "split"} <= set(spec) and "tfds" in formats:
        name, split = (str(spec[key]).format_map(fill) for key in ("tfds", "split"))
        return Published("tfds", name, split, str(spec.get("data_dir", "")))
    if isinstance(spec, Mapping) and "aligned" in formats and "tfds" not in spec:
        paths = {key: _path(path, data_dir, fill, field) for key, path in spec.items()}
        return Published("aligned", paths)
    if not isinstance(spec, str):
        both = " or {'tfds': data set, 'split': split}" if "tfds" in formats else ""
        raise InputError(f"{field} is {spec!r}: give a path with {' or '.join(endings)}{both}.")
    path = _path(spec, data_dir, fill, field)
    plain = path.removesuffix(suffix(path)) if suffix(path) else path
    for ending in endings:
        if plain.endswith(ending):
            return Published(formats[ending], path)
    raise InputError(
        f"{field} is {spec!r}, whose format isn't known: give a file that ends in "
        f"{' or '.join(endings)}."
    )


def _path(path: str, data_dir: str, fill: Mapping[str, str], field: str) -> str:
    try:
        return under(data_dir, str(path).format_map(fill))
    except (KeyError, ValueError, IndexError) as error:
        raise InputError(
            f"{field} is {path!r}, in which {error} means nothing: {', '.join(fill)} may stand in "
            "braces."
        ) from error
