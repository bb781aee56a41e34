"""Which parameters a checkpoint holds, told by their content: the same for all that ask, wherever it lies.

It is made of the digests of the parameters, so that a copy, a second import of one folder and a run
that was done again have the same. Checkpoints of earlier versions have none; their manifest names
its data files at random, so its hash is another one after every save. Adapters are half of their
parameters: the identity of their base goes into theirs.
"""

import dataclasses
import hashlib
import pathlib
from collections.abc import Mapping
from typing import NamedTuple

from polylm_jax.checkpoints import checkpoint
from polylm_jax.checkpoints.checkpoint import Progress
from polylm_jax.checkpoints.param_store import folder_of
from polylm_jax.errors import InputError
from polylm_jax.model.averaging import PLAIN
from polylm_jax.runtime.ranges import Natural
from polylm_jax.runtime.storage import Folder, to_json
from polylm_jax.tokenizer.tokenizer import Tokenizer

MANIFEST = "manifest.ocdbt"
SHOWN = 12  # digits of an identity in a sentence or a file's name


class Checkpoint(NamedTuple):
    """Which parameters: MODEL_DIR, the step, what tells them from any others (SHA-256), and whether
    they are 'plain' or their 'average'."""

    path: str
    step: int
    identity: str
    weights: str = PLAIN

    def __str__(self) -> str:
        averaged = "" if self.weights == PLAIN else f", {self.weights}"
        return f"{self.path}, step {self.step}{averaged} ({self.identity[:SHOWN]})"

    @property
    def title(self) -> str:
        """What reports call it: its folder's name, and what of it was taken."""
        name = pathlib.PurePosixPath(self.path.rstrip("/")).name
        return name if self.weights == PLAIN else f"{name} ({self.weights})"


@dataclasses.dataclass(frozen=True)
class Selection:
    """Which of a run's checkpoints, and which of its parameters.

    step: which checkpoint of the run, by default its newest one.
    weights: 'plain', or 'average' for the average that the run keeps.
    """

    step: Natural | None = None
    weights: str = PLAIN

    def identify(self, path: str) -> tuple[Checkpoint, Progress]:
        """As `identify`."""
        return identify(path, self.step, self.weights)


def identify(
    path: str, step: int | None = None, weights: str = PLAIN
) -> tuple[Checkpoint, Progress]:
    """The checkpoint that `path` and `step` mean (the newest by default) and its progress.

    path: MODEL_DIR, MODEL_DIR/checkpoints or MODEL_DIR/checkpoints/STEP, local or gs://.
    weights: 'plain', or 'average' for the average that the run keeps: other parameters, so another
    identity.

    Raises InputError where there is none, or none of these weights, or adapters' base is not the one
    that they were tuned on.
    """
    progress = checkpoint.read_progress(path, step)
    digests = progress.digests.get(checkpoint.item_of(path, progress, weights))
    deciding = to_json(digests) if digests else _manifest(path, progress.step)
    identity = hashlib.sha256(deciding).hexdigest()
    if progress.base:
        identity = hashlib.sha256(f"{identity} {_base(path, progress)}".encode()).hexdigest()
    return Checkpoint(path, progress.step, identity, weights), progress


def _manifest(path: str, step: int) -> bytes:
    """What lists the files of a checkpoint's parameters."""
    content = Folder(folder_of(path, step), "checkpoint").read(MANIFEST)
    if content is None:
        raise InputError(f"checkpoint = {path!r}, step {step}, lacks {MANIFEST}: copy it.")
    return content


def _base(path: str, progress: Progress) -> str:
    """The identity of what a checkpoint's adapters belong to."""
    base = identify(progress.base, checkpoint.adapters_of(progress)[1])[0]
    tuned = progress.fingerprint.get("start", base.identity)  # earlier versions kept no start
    if base.identity != tuned:
        raise InputError(
            f"{path}, step {progress.step}, holds adapters to {progress.base} as it was "
            f"({tuned[:SHOWN]}), and there are other parameters now ({base.identity[:SHOWN]}): put "
            "that base back."
        )
    return base.identity


def fitting_tokenizer(path: str, rows: int) -> Tokenizer:
    """The vocabulary at `path`; InputError where an embedding of so many rows lacks some for its pieces."""
    tokenizer = Tokenizer.load(path)
    if tokenizer.vocab_size > rows:
        raise InputError(
            f"vocabulary = {path!r} has {tokenizer.vocab_size} pieces and the checkpoint {rows} "
            "rows: give the one that it was trained with."
        )
    return tokenizer


def imported(step: int, phase: str, source: str, vocabulary: str, model: Mapping) -> Progress:
    """The progress of parameters from elsewhere, of no run: one that starts there keeps its own.

    source: where they are from. vocabulary: its fingerprint. model: its description.
    """
    fingerprint = {"vocabulary": vocabulary, "imported": source, "model": model}
    return Progress(step=step, rows=0, batch_size=0, phase=phase, fingerprint=fingerprint)


def matching_tokenizer(path: str, progress: Progress, rows: int) -> Tokenizer:
    """The vocabulary at `path`; InputError unless the checkpoint was trained with it.

    rows: of the model's embedding; there must be one for each piece.
    """
    tokenizer = Tokenizer.load(path)
    trained = progress.fingerprint.get("vocabulary")
    if tokenizer.fingerprint != trained or tokenizer.vocab_size > rows:
        raise InputError(
            f"vocabulary = {path!r} is {tokenizer.fingerprint[:SHOWN]} with {tokenizer.vocab_size} "
            f"pieces, and the checkpoint was trained with {str(trained)[:SHOWN]} and has {rows} "
            "rows: give it that one."
        )
    return tokenizer
