"""A folder that appears when it is complete: built beside its place, then renamed."""

import contextlib
import os
import pathlib
import shutil
from collections.abc import Iterator

from polylm_jax.errors import InputError
from polylm_jax.runtime import paths

FULL = ("No space left", "RESOURCE_EXHAUSTED", "Disk quota exceeded")


@contextlib.contextmanager
def building(output: str, needed_bytes: int, overwrite: bool = False) -> Iterator[pathlib.Path]:
    """The folder to write into; it becomes `output` when the block ends well, else it goes.

    Raises:
      InputError: `output` is there and may not be replaced, isn't local, or the disk is too small.
    """
    place = check(output, overwrite)
    temporary = place.with_name(f".{place.name}.{os.getpid()}.partial")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        _check_space(place, needed_bytes)
        temporary.mkdir()
        yield temporary
        _put(temporary, place)
    except InputError:
        raise
    except Exception as error:
        if is_full(error):
            raise InputError(
                f"OUTPUT = {output!r}: the disk is full; free {needed_bytes / 1e9:.3g} GB."
            ) from error
        if isinstance(error, OSError):
            raise InputError(
                f"OUTPUT = {output!r} can't be written ({error.strerror}): name a folder that this "
                "user may write."
            ) from error
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def is_full(error: BaseException | None) -> bool:
    """Whether a full disk is why: PyTorch answers the OSError of its file with one of its own."""
    while error is not None:
        if any(word in str(error) for word in FULL):
            return True
        error = error.__cause__ or error.__context__
    return False


def check(output: str, overwrite: bool, source: str = "") -> pathlib.Path:
    """Where `output` is; InputError unless it is local, and absent or to be replaced.

    source: what is read, which a replaced output must not hold.
    """
    place = paths.local(output, "OUTPUT")
    if place.exists() and not overwrite:
        raise InputError(
            f"OUTPUT = {output!r} exists: name another folder, or say --overwrite to replace it."
        )
    if place.exists() and not place.is_dir():
        raise InputError(f"OUTPUT = {output!r} is a file: name a folder.")
    if (
        source
        and not paths.is_remote(source)
        and _resolved(source).is_relative_to(_resolved(output))
    ):
        raise InputError(
            f"OUTPUT = {output!r} holds {source!r}, which is read: name another folder."
        )
    return place


def _resolved(path: str) -> pathlib.Path:
    return paths.local(path, "OUTPUT").resolve()


def free_bytes(folder: pathlib.Path) -> int:
    """What the disk of a folder has free; the folder need not exist."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def _check_space(place: pathlib.Path, needed_bytes: int) -> None:
    free = free_bytes(place.parent)
    if free < needed_bytes:
        raise InputError(
            f"OUTPUT = {str(place)!r} needs {needed_bytes / 1e9:.3g} GB and its disk has "
            f"{free / 1e9:.3g} GB free: free some, or name another disk."
        )


def _put(temporary: pathlib.Path, place: pathlib.Path) -> None:
    """Renames; what was there before goes after the new one stands."""
    old = temporary.with_suffix(".old")
    if place.exists():
        place.rename(old)
    temporary.rename(place)
    shutil.rmtree(old, ignore_errors=True)
