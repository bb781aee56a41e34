"""What a user's path means, the same for every field of every mode.

'~/run' is in the home folder, 'run' in the folder where the command was given, '../run/' and
'./run' are what the shell would make of them, and gs://BUCKET/PREFIX is a bucket's.
"""

import glob
import os
import pathlib
import re
from typing import NoReturn

from polylm_jax.errors import InputError

_MAGIC = "*?["
_ESCAPED = re.compile(r"\[([*?[])\]")  # what `glob.escape` makes of one of them
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):/+")


def is_remote(path: str) -> bool:
    """Whether a path names a scheme ('gs://...') and not the local disk."""
    return "://" in path


def resolve(path: str | os.PathLike, field: str) -> str:
    """A path as the whole project opens it: absolute without '~', '.', '..', or gs://BUCKET/PREFIX.

    Args:
      path: what the user gave; 'file://...' is a local one.
      field: what sentences call it.

    Raises:
      InputError: it is empty, names no user's home, or has another scheme than gs://.
    """
    text = os.fspath(path)
    if not text.strip() or "\0" in text:
        raise InputError(f"{field} = {text!r} is no path: name a file or folder.")
    scheme = _SCHEME.match(text)
    if scheme is None or scheme[1].lower() == "file":
        path = text[scheme.end() - 1 :] if scheme else text
        return os.path.abspath(without_home(path, field))
    if scheme[1].lower() != "gs":
        raise InputError(
            f"{field} = {text!r} is on {scheme[1]}://: give a local path or gs://BUCKET."
        )
    bucket, *folders = text[scheme.end() :].split("/")
    return "gs://" + "/".join([bucket, *(name for name in folders if name)])


def local(path: str | os.PathLike, field: str) -> pathlib.Path:
    """`resolve` of what has to be on this machine's disk. Raises InputError for gs:// too."""
    found = resolve(path, field)
    if found.startswith("gs://"):
        raise InputError(f"{field} = {os.fspath(path)!r} is not a local path: give one.")
    return pathlib.Path(found)


def without_home(path: str, field: str) -> str:
    """A path with its '~' filled in, otherwise as it is written."""
    if not path.startswith("~"):
        return path
    expanded = os.path.expanduser(path)
    if expanded == path:
        raise InputError(
            f"{field} = {path!r}: there is no user {path.partition('/')[0][1:]!r} here; for a name "
            "that begins with '~' write './~'."
        )
    return expanded


def under(folder: str, path: str) -> str:
    """`path` under `folder`, unless it stands by itself (absolute, '~' or with a scheme).

    In the folder '*', '?' and '[' are letters of its name: they come escaped, as `glob` has it.
    """
    if not folder or is_remote(path) or path.startswith("~"):
        return path
    name = str(folder)
    return os.path.join(glob.escape(name) if any(c in name for c in _MAGIC) else name, path)


def written(pattern: str) -> str:
    """A pattern as its user wrote it, without the escapes of `under`."""
    return _ESCAPED.sub(r"\1", pattern)


def files(pattern: str, field: str) -> list[str]:
    """The local files of a path or glob, sorted, as they are written.

    A path that is there as it is written is no glob: 'v[1].txt' is that file. '~' is the home
    folder. Folders are passed over.

    Raises:
      InputError: nothing is there, a link leads nowhere, or a name isn't UTF-8.
    """
    pattern = without_home(pattern, field)
    literal = written(pattern)
    there = os.path.lexists(literal)
    found = [literal] if there else sorted(glob.glob(pattern, recursive=True))
    if strange := [path for path in found if not _is_utf8(path)]:
        shown = os.fsencode(strange[0]).decode("utf-8", "backslashreplace")
        raise InputError(
            f"{field}: the names of {len(strange)} files of {literal!r} aren't UTF-8, such as "
            f"'{shown}': rename them."
        )
    if gone := [path for path in found if not os.path.exists(path)]:
        raise InputError(
            f"{field}: {len(gone)} of the {len(found)} files of {literal!r} are links to what isn't "
            f"there, such as {gone[0]!r} to {os.readlink(gone[0])!r}: restore or remove them."
        )
    return [path for path in found if os.path.isfile(path)] or refuse_missing(pattern, field)


def refuse_missing(pattern: str, field: str) -> NoReturn:
    """Raises the InputError of a path or glob that has no file."""
    magic = any(c in _ESCAPED.sub("", pattern) for c in _MAGIC)
    kind = "matches no file" if magic else "isn't there"
    raise InputError(
        f"{field}: {written(pattern)!r} {kind}; give a file's path, or a glob that matches files."
    )


def identity(path: str) -> str:
    """Equal for names of one file: 'a.txt', './a.txt' and a link to it."""
    return path if is_remote(path) else os.path.realpath(path)


def _is_utf8(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
