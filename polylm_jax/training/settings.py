"""How a run goes, whatever it trains: when it saves, validates, reports and gives up."""

import dataclasses
from collections.abc import Sequence
from typing import Annotated

from polylm_jax.runtime.parameter_types import check_ranges
from polylm_jax.runtime.ranges import Bounds, Count, Natural, NonNegative, Positive
from polylm_jax.training.evaluation import Evaluation


@dataclasses.dataclass(frozen=True)
class Settings:
    """What `train`, `finetune` and `dpo` take beside an experiment and MODEL_DIR.

    save_every_steps, save_every_minutes: a checkpoint after so many steps, and after so many minutes
    without one (None: by steps alone).
    keep_last: how many of them stay.
    keep_every: every so many steps a checkpoint is saved that stays for good.
    keep_at: steps whose checkpoints are saved and stay, too: where other runs branch off.
    eval_every_steps, eval_rows: validation on held-out text (0: none), at most so many rows of each
    component; those of one source take turns at its rows.
    evaluation: SeqIO tasks that are scored on the way, and every how many steps.
    log_every_steps: a line of metrics.
    resume_step: goes on from this checkpoint; newer ones are moved to MODEL_DIR/set_aside, once for a
    recipe, so that the same command may be started again.
    allow_changes: goes on although the recipe differs from the checkpoint's.
    grace_seconds: after SIGTERM the run saves and leaves with exit code 143 within this time, or with
    75 when that was too short.
    silent_seconds: of several processes, after how long without a sign from one the others leave.
    hung_seconds: a step that takes ten times as long as any before it, and at least this, hangs: the
    run leaves with exit code 1.
    tensorboard: also writes the numbers for TensorBoard.
    wandb_project: also reports to Weights & Biases, where it is installed.
    profile_steps: so many steps are traced, from the fourth on, into MODEL_DIR/profile for TensorBoard.
    compilation_cache_dir: compiled programs are kept here (by JAX; gs:// too) for the next start; ''
    keeps none.
    recipe: the resolved config, written beside the checkpoints before the first step.
    allow_older_checkpoint: a damaged checkpoint is set aside, and the next older one is the start.
    verify_stores: the token stores are read whole first, and every part compared with its SHA-256.
    """

    save_every_steps: Count = 1000
    save_every_minutes: Positive | None = 15.0
    keep_last: Count = 2
    keep_every: Count | None = None
    keep_at: Sequence[Count] = ()
    eval_every_steps: Natural = 1000
    eval_rows: Count = 128
    evaluation: Evaluation | None = None
    log_every_steps: Count = 10
    resume_step: Natural | None = None
    allow_changes: bool = False
    grace_seconds: NonNegative = 25.0
    silent_seconds: Annotated[int, Bounds(5)] = (
        30  # no compile, garbage collection or swapped page takes that long
    )
    hung_seconds: Annotated[float, Bounds(1)] = 120.0
    tensorboard: bool = True
    wandb_project: str | None = None
    profile_steps: Natural = 0
    compilation_cache_dir: str = "~/.cache/polylm_jax"
    recipe: str = ""
    allow_older_checkpoint: bool = False
    verify_stores: bool = False

    def check(self) -> "Settings":
        """Itself, or InputError for a number out of its range, or an evaluation that can't be."""
        if self.evaluation:
            self.evaluation.check()
        return check_ranges(self)

    def saves(self, step: int) -> bool:
        """Whether the checkpoint of this step is asked for, however long the last one is ago."""
        every = filter(None, (self.save_every_steps, self.keep_every))
        return step in self.keep_at or any(step % steps == 0 for steps in every)

    @property
    def tasks_every_steps(self) -> int:
        """Every how many steps tasks are scored; 0: never."""
        return self.evaluation.every_steps if self.evaluation else 0


@dataclasses.dataclass(frozen=True)
class TuningSettings(Settings):
    """Those of a checkpoint that is tuned: fewer steps, and conversations packed into rows."""

    eval_every_steps: Natural = 100
    eval_rows: Count = 1000
