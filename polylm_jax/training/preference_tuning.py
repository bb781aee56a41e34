"""`run.py dpo`: a checkpoint tuned on pairs of answers, of which one is preferred, by the trainer of `train`."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Annotated

import jax

from polylm_jax.checkpoints.identity import identify
from polylm_jax.data.mixture.schedule import Schedule
from polylm_jax.data.preference_rows import Pairs, PreferenceRows
from polylm_jax.errors import InputError
from polylm_jax.model import devices, partitioning
from polylm_jax.runtime.ranges import Bounds, Positive
from polylm_jax.runtime.spread import spread
from polylm_jax.runtime.terminal import Terminal
from polylm_jax.tokenizer.tokenizer import Tokenizer
from polylm_jax.training import preemption, reference, run
from polylm_jax.training.adapted_programs import AdaptedPrograms
from polylm_jax.training.finetuning import FinetuningExperiment
from polylm_jax.training.preference import Preference
from polylm_jax.training.programs import Programs
from polylm_jax.training.reference import Reference, Scorer
from polylm_jax.training.settings import TuningSettings


@dataclasses.dataclass(frozen=True)
class PreferenceExperiment(FinetuningExperiment):
    """An experiment whose tasks are pairs of answers (tasks.instructions.preferences).

    beta: how much the model may leave the base, which is the reference: smaller lets it go further.
    label_smoothing: the share of pairs that is taken to be the wrong way round.
    """

    beta: Positive = 0.1
    label_smoothing: Annotated[float, Bounds(0, 0.5, below=True)] = 0.0

    rows = PreferenceRows

    def check_shapes(self, devices: int) -> None:
        if self.z_loss:
            raise InputError(f"z_loss = {self.z_loss}: a preference has none; leave it 0.")
        if self.loss_on != "responses":
            raise InputError(
                f"loss_on = {self.loss_on!r}: a preference is between answers; leave it 'responses'."
            )
        super().check_shapes(devices)

    @property
    def objective(self) -> Preference:
        return Preference(self.beta, self.label_smoothing)

    @functools.cached_property
    def reference(self) -> Reference:
        found, _ = identify(self.base, self.base_step)
        base = {"step": found.step, "identity": found.identity}
        return Reference(base, self.sequence_length, self.model.dtype)

    def _rows(self, schedule: Schedule, tokenizer: Tokenizer) -> PreferenceRows:
        rows = super()._rows(schedule, tokenizer)
        assert isinstance(rows, PreferenceRows)
        return dataclasses.replace(rows, references=self.reference.margins(rows.validated))

    def decides(self) -> dict:
        decides = super().decides()
        options = {"beta": self.beta, "label_smoothing": self.label_smoothing}
        return decides | {"preference": options | {"reference": dict(self.reference.base)}}


@spread("settings")
def dpo(experiment: PreferenceExperiment, model_dir: str, *, settings: TuningSettings) -> None:
    """Tunes a checkpoint on preferences (DPO), or goes on: MODEL_DIR's newest checkpoint is the start.

    The base, --gin.BASE, is the reference too: its log-likelihoods of all pairs are computed once and
    kept with their stores. All else is as in `finetune`: adapters or the whole model, shares of
    tokens by phases of mixtures, resumption, logs.

    experiment: what is tuned: a `training.PreferenceExperiment`.
    model_dir: the run's folder, local or gs://.

    Raises InputError for bad input, before anything compiles; SystemExit(143) when told to leave.
    """
    experiment.check_base()
    devices.start(settings.compilation_cache_dir)  # before the base scores: its program is kept too
    settings.check()
    score_reference(experiment)
    programs = AdaptedPrograms if experiment.lora else Programs
    run.run(experiment, model_dir, settings, programs)


def score_reference(experiment: PreferenceExperiment, load: Callable = Scorer.load) -> int:
    """Has the base score the pairs that it hasn't scored yet; how many splits there were."""
    resolved = experiment.resolve()
    rows, wanted = resolved.rows, experiment.reference
    assert isinstance(rows, PreferenceRows)
    left = reference.missing(wanted, rows.validated)
    if not left:
        return 0
    terminal = Terminal(0, 0, enabled=jax.process_index() == 0)
    mesh = partitioning.make_mesh(experiment.mesh)
    scorer = load(
        experiment.model, mesh, experiment.base, experiment.base_step, experiment.batch_size,
        experiment.num_chunks,
    )  # fmt: skip
    for name, split in left:
        store = rows.validated[name]
        with terminal.timed(f"the base scores the {split} pairs of {name}"):
            pairs = Pairs.read(store, split, experiment.sequence_length)
            found = scorer.score(pairs, experiment.sequence_length, rows.padding)
        if jax.process_index() == 0:
            wanted.write(store, split, found)
        if jax.process_count() > 1:
            preemption.tell_all(f"reference {name} {split}", "written")
    return len(left)
