"""What a checkpoint says of itself beside its arrays: where the run stood, and what was saved."""

import dataclasses
import functools
import sys
from collections.abc import Mapping

import jax
from etils import epath

from polylm_jax.checkpoints import damage
from polylm_jax.errors import InputError
from polylm_jax.runtime import seals

FORMAT = 2  # 1 had no digests


@dataclasses.dataclass(frozen=True)
class Progress:
    """Where a run stands, beside its arrays.

    rows: rows of the schedule trained on, the place in the data. step: updates made; it counts on
    when the batch size changes, and rows = step * batch_size only while it never has.
    evaluated: the last step that was validated, -1 for none. fingerprint: nested names -> values of
    all that decides what the run computes. base: where the parameters are that `params` are
    adapters to; '' where they are whole. digests: 'params' and 'optimizer' -> name -> digest.
    """

    step: int
    rows: int
    batch_size: int
    phase: str
    fingerprint: Mapping
    recipe: str = ""
    evaluated: int = -1
    base: str = ""
    digests: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)
    format: int = FORMAT

    @classmethod
    def read(cls, folder: epath.Path) -> "Progress":
        """What the checkpoint in `folder` says of itself; DamagedCheckpoint where it says nothing."""
        with damage.reading(folder):
            fields = seals.opened((folder / "progress" / "metadata").read_bytes(), "digests")
            if fields["format"] > FORMAT:
                raise InputError(
                    f"checkpoint {folder} has format {fields['format']} and this version reads up "
                    f"to {FORMAT}: use the version that wrote it."
                )
            progress = cls(**fields)
            if progress.step != int(folder.name):
                raise ValueError(f"it is of step {progress.step}")
        if not progress.digests:
            _say_unchecked(str(folder))
        return progress

    def sealed(self) -> dict:
        """As it is written."""
        return seals.sealed(dataclasses.asdict(self))


@functools.cache
def _say_unchecked(folder: str) -> None:
    if jax.process_index() == 0:
        print(f"{folder} has no digests: an earlier version saved it, unchecked", file=sys.stderr)
