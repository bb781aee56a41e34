"""Which parameters a checkpoint holds, told by their content: the same for all that ask, wherever it lies.

It is made of the digests of the parameters, so that a copy, a second import of one folder and a run
that was done again have the same. Checkpoints of earlier versions have none; their manifest names
its data files at random, so its hash is another one after every save. Adapters are half of their
parameters: the identity of their base goes into theirs.
"""

import hashlib
from typing import NamedTuple

from polylm_jax.checkpoints import checkpoint
from polylm_jax.checkpoints.checkpoint import Progress
from polylm_jax.checkpoints.param_store import folder_of
from polylm_jax.errors import InputError
from polylm_jax.runtime.storage import Folder, to_json
from polylm_jax.tokenizer.tokenizer import Tokenizer

MANIFEST = "manifest.ocdbt"
SHOWN = 12  # digits of an identity in a sentence or a file's name


class Checkpoint(NamedTuple):
    """Which parameters: MODEL_DIR, the step, and what tells them from any others (SHA-256)."""

    path: str
    step: int
    identity: str

    def __str__(self) -> str:
        return f"{self.path}, step {self.step} ({self.identity[:SHOWN]})"


def identify(path: str, step: int | None = None) -> tuple[Checkpoint, Progress]:
    """The checkpoint that `path` and `step` mean (the newest by default) and its progress.

    path: MODEL_DIR, MODEL_DIR/checkpoints or MODEL_DIR/checkpoints/STEP, local or gs://.

    Raises InputError where there is none, or adapters' base is not the one that they were tuned on.
    """
    progress = checkpoint.read_progress(path, step)
    digests = progress.digests.get(checkpoint.PARAMS)
    deciding = to_json(digests) if digests else _manifest(path, progress.step)
    identity = hashlib.sha256(deciding).hexdigest()
    if progress.base:
        identity = hashlib.sha256(f"{identity} {_base(path, progress)}".encode()).hexdigest()
    return Checkpoint(path, progress.step, identity), progress


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
