"""What a checkpoint says of itself, sealed, and the one sentence for whatever is wrong with its files.

{"step": 20, ..., "digests": {"params": {name: digest}}, "sha256": of all that stands before it}
"""

import contextlib
import functools
import json
import logging
import pathlib
import shlex
import sys
import textwrap
from collections.abc import Iterator, Mapping

import jax
from etils import epath

from polylm_jax.checkpoints.layout import steps_in
from polylm_jax.errors import InputError
from polylm_jax.runtime import seals

# What a network says: no word about the files.
ELSEWHERE = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "PERMISSION_DENIED", "UNAUTHENTICATED", "CURL")


class DamagedCheckpoint(InputError):
    """A committed checkpoint whose files aren't what was saved.

    folder: of the checkpoint. why: what was seen. flag: what takes the next older one in its place,
    with its step for {step}; '' where none can.
    """

    def __init__(self, folder: object, why: str, flag: str = "--step={step}"):
        step = older(epath.Path(folder)) if flag else None
        otherwise = f", or go on from step {step}, the next older one that opens: " if step else ""
        super().__init__(
            f"checkpoint {folder} is damaged ({why}): restore that folder from a copy"
            f"{otherwise}{command(flag.format(step=step)) if step else '.'}"
        )
        self.folder, self.why = str(folder), why


@contextlib.contextmanager
def advising(flag: str) -> Iterator[None]:
    """A DamagedCheckpoint inside names this flag."""
    try:
        yield
    except DamagedCheckpoint as error:
        raise DamagedCheckpoint(error.folder, error.why, flag) from error


def older(folder: epath.Path) -> int | None:
    """The step of the next older checkpoint beside one that opens; its arrays aren't read."""
    below = [step for step in reversed(steps_in(folder.parent)) if step < int(folder.name)]
    return next((step for step in below if not flaw(folder.parent / str(step))), None)


def flaw(folder: epath.Path) -> str:
    """Why a checkpoint doesn't open, '' where it does; its arrays aren't read."""
    try:
        text = (folder / "progress" / "metadata").read_bytes()
        items = seals.opened(text, "digests").get("digests") or ["params"]
        for item in items:
            json.loads((folder / item / "_METADATA").read_bytes())
            if not (folder / item / "manifest.ocdbt").stat().length:
                return f"{item}/manifest.ocdbt is empty"
    except Exception as error:  # noqa: BLE001 -- whatever is wrong with it
        return _said(error, folder)
    return ""


def command(flag: str) -> str:
    """This process's command with one more flag."""
    known = pathlib.Path(sys.argv[0]).name == "run.py"
    return f"`python run.py {shlex.join([*sys.argv[1:], flag])}`" if known else flag


@contextlib.contextmanager
def reading(folder: object) -> Iterator[None]:
    """Whatever Orbax and TensorStore say of broken files becomes a DamagedCheckpoint.

    What is no matter of the files passes: memory, devices, a network.
    """
    one_sentence_alone()
    try:
        yield
    except (InputError, MemoryError, jax.errors.JaxRuntimeError):
        raise
    except Exception as error:
        if any(word in str(error) for word in ELSEWHERE):
            raise
        raise DamagedCheckpoint(folder, _said(error, folder)) from error


def _said(error: Exception, folder: object) -> str:
    """What an error says of a checkpoint's files, their names within it."""
    if isinstance(error, FileNotFoundError) and error.filename:
        return f"{error.filename} is missing".replace(f"{folder}/", "")
    words = str(error).replace(f"{folder}/", "")
    return textwrap.shorten(f"{type(error).__name__}: {words}", 160, placeholder=" ...")


@functools.cache
def one_sentence_alone() -> None:
    """What Orbax says of broken files beside its error is left out.

    It gives up at the first array that can't be read; those that TensorStore was still reading would
    each tell in a traceback that nobody waits for them.
    """
    logging.getLogger("absl").addFilter(
        lambda record: "Metadata file does not exist" not in str(record.msg)
    )
    logging.getLogger("asyncio").addFilter(
        lambda record: not all(word in str(record.msg) for word in ("never retrieved", "OCDBT"))
    )
    before = sys.unraisablehook
    sys.unraisablehook = lambda unraisable: (
        "loop is closed" in str(unraisable.exc_value) or before(unraisable)
    )


def compare(folder: object, item: str, saved: Mapping[str, str], found: Mapping[str, str]) -> None:
    """DamagedCheckpoint that names the first found array which is not what was saved.

    saved, found: names -> digests; nothing is known of a checkpoint that has none.
    """
    if not saved:
        return
    name = next((name for name in sorted(found) if saved.get(name) != found[name]), None)
    if name is not None:
        raise DamagedCheckpoint(folder, f"{item} {name} isn't what was saved")
