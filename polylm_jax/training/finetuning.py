"""`run.py finetune`: a checkpoint tuned on instructions by the trainer of `train`, on packed conversations."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Self

from polylm_jax.checkpoints.checkpoint import read_progress
from polylm_jax.checkpoints.layout import located
from polylm_jax.data.mixture.schedule import Schedule
from polylm_jax.data.packed_rows import PackedRows
from polylm_jax.data.stores.store import TokenStore
from polylm_jax.errors import InputError, one_of
from polylm_jax.model.lora import Lora
from polylm_jax.runtime.ranges import Count, Natural
from polylm_jax.runtime.spread import spread
from polylm_jax.runtime.storage import json_hash
from polylm_jax.tokenizer.tokenizer import Tokenizer
from polylm_jax.training import run
from polylm_jax.training.adapted_programs import AdaptedPrograms
from polylm_jax.training.experiment import Experiment
from polylm_jax.training.programs import Programs
from polylm_jax.training.settings import TuningSettings

LOSS_ON = ("responses", "all")


@dataclasses.dataclass(frozen=True)
class FinetuningExperiment(Experiment):
    """An experiment whose tasks are conversations (tasks.instructions.tuning) and that has a base.

    base, base_step: MODEL_DIR of a run, or what `import_hf` made, whose parameters are the start,
    and which checkpoint (its newest one). loss_on: 'responses', or 'all' for the questions too.
    pack: several conversations to a row, none of which sees another. held_out_examples: held-out
    conversations of each task that validation scores. also_validated: tasks of which they are
    scored too, although they aren't trained on. lora: adapters that are trained in place of the
    base, which stays as it is.
    """

    base: str = ""
    base_step: Natural | None = None
    loss_on: str = "responses"
    pack: bool = True
    held_out_examples: Count = 500
    also_validated: Sequence[str] = ()
    lora: Lora | None = None

    rows = PackedRows

    def start_place(self) -> tuple[str | None, int | None]:
        self.check_base()
        return self.base, self.base_step

    def settings(self) -> Self:
        return dataclasses.replace(super().settings(), base="", base_step=None)

    def check_base(self) -> None:
        """InputError where none is named, or a start beside it."""
        if self.init_from:
            raise InputError(
                f"init_from = {self.init_from!r} beside BASE = {self.base!r}: a run that is tuned "
                "starts from BASE, so leave the other out."
            )
        if not self.base:
            raise InputError(
                "finetune needs BASE: give the MODEL_DIR of a run, or of what import_hf made."
            )

    def check_shapes(self, devices: int) -> None:
        one_of("loss_on", self.loss_on, LOSS_ON)
        if self.lora:
            self.lora.check()
        super().check_shapes(devices)

    def notes(self) -> Iterator[str]:
        if self.lora:
            yield from self.lora.notes(self.model.embed_dim, self.model.mlp_dim)

    def _rows(self, schedule: Schedule, tokenizer: Tokenizer) -> PackedRows:
        names = schedule.trained
        others = [name for name in self.also_validated if name not in names]
        stores = self._stores([*names, *others], tokenizer)
        return self.rows(
            schedule,
            _chosen(stores, names),
            self.sequence_length,
            self.seed,
            self.repetition(schedule),
            padding=tokenizer.eos_id,
            on_all=self.loss_on == "all",
            together=self.pack,
            also=_chosen(stores, others),
            held_out_examples=self.held_out_examples,
        )

    def decides(self) -> dict:
        decides: dict = {"finetuning": {"loss_on": self.loss_on, "pack": self.pack}}
        if self.lora:
            base = base_identity(self.base, self.base_step)
            decides["lora"] = dataclasses.asdict(self.lora) | {"base": base}
        return decides

    def adapters(self) -> int | None:
        return self.lora.num_params(self.model) if self.lora else None

    def adapted_base(self) -> str:
        return str(located(self.base)) if self.lora else ""


def base_identity(base: str, step: int | None) -> dict:
    """Which parameters a base has: its step, and the hash of all that decided its run."""
    found = read_progress(base, step)
    return {"step": found.step, "sha256": json_hash(found.fingerprint)}


def _chosen(stores: dict[str, TokenStore], names: Sequence[str]) -> dict[str, TokenStore]:
    return {name: stores[name] for name in names}


@spread("settings")
def finetune(experiment: FinetuningExperiment, model_dir: str, *, settings: TuningSettings) -> None:
    """Tunes a checkpoint on instructions, or goes on tuning: MODEL_DIR's newest checkpoint is the start.

    The base is a run of ours or what `import_hf` made: --gin.BASE. What counts in the loss are the
    answers. All else is as in `train`: shares of tokens by phases of mixtures, resumption, logs.
    Validation scores held-out conversations, of the base too.

    experiment: what is tuned: a `training.FinetuningExperiment`.
    model_dir: the run's folder, local or gs://.

    Raises InputError for bad input, before anything compiles; SystemExit(143) when told to leave.
    """
    experiment.check_base()
    run.run(experiment, model_dir, settings, AdaptedPrograms if experiment.lora else Programs)
