"""What a run consists of, and everything that can be wrong with it, found before anything compiles.

A run is rows: a phase of N tokens is ceil(N / L) of them, one of N steps is N times the batch. A
phase may end within a batch; the rows after it come from the next one, exactly. Which rows a step
takes is counted in `data.mixture.steps`.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self

import jax
import numpy as np

from polylm_jax.data.mixture import ledger
from polylm_jax.data.mixture.repetition import Repetition
from polylm_jax.data.mixture.row_ranges import RowRanges
from polylm_jax.data.mixture.schedule import Schedule
from polylm_jax.data.mixture.steps import Steps
from polylm_jax.data.rows import Rows
from polylm_jax.data.stores.store import TokenStore, store_path
from polylm_jax.errors import InputError
from polylm_jax.model import averaging, cost, optimizer, partitioning
from polylm_jax.model.averaging import PLAIN, Average
from polylm_jax.model.config import PolyLMConfig
from polylm_jax.model.optimizer import OptimizerConfig, RatePhase
from polylm_jax.model.partitioning import MeshConfig
from polylm_jax.runtime.parameter_types import check_ranges
from polylm_jax.runtime.ranges import Count, Natural, NonNegative, Positive, Seed, Share
from polylm_jax.tokenizer.tokenizer import Tokenizer
from polylm_jax.training import phases as run_phases
from polylm_jax.training.phases import PhaseConfig
from polylm_jax.training.step import Likelihood

SEED = "seed"  # what a run starts from that takes no other's parameters


@dataclasses.dataclass(frozen=True)
class Experiment:
    """All that decides a run's numbers, and how it is laid out on the devices.

    vocabulary: path of the SentencePiece model. cache_dir: folder of the token stores.
    tasks: what registering the recipe's tasks returned; gin evaluates it before `resolve` runs.
    None, with phases that name their components, needs no more than their stores.
    sequence_length, batch_size: tokens a row predicts, and rows of a step over all devices, in the
    phases that have no batch_size of their own.
    init_from, init_step: MODEL_DIR of another run whose parameters are the start, and which
    checkpoint (its newest one); None starts from the seed.
    max_epochs: a component that is read more often than this is told of.
    repeat_as_tokens: of a longer run of this mixture, as often as which text is repeated: of each
    store only so much is read that its epochs are the same.
    microbatches: parts of a step's rows, one after another, whose gradients are summed. A CPU cuts a
    small model's rows further, `layers_apart.parts`.
    num_chunks: pieces of a row that the loss takes one after another. vocab_blocks: above 1, it
    goes by so many blocks of the vocabulary in their place: less memory, a third more products.
    skip_rows: (first, stop) of the run's rows, that are left out; those after them follow.
    skip_non_finite: an update whose loss or gradient is no number isn't made, and so many in a row end
    the run; 0: the first one does.
    average: of the parameters, kept beside them; None keeps none. weights: 'plain', or 'average' where
    one is kept: what validation and tasks on the way score.
    compiler_options: XLA's, over those of `programs` for the kind of chip; None takes one away.
    """

    model: PolyLMConfig
    phases: Sequence[PhaseConfig]
    vocabulary: str
    cache_dir: str
    sequence_length: Count
    batch_size: Count
    tasks: object = None
    microbatches: Count = 1
    optimizer: OptimizerConfig = dataclasses.field(default_factory=OptimizerConfig)
    mesh: MeshConfig = dataclasses.field(default_factory=MeshConfig)
    seed: Seed = 0
    init_from: str | None = None
    init_step: Natural | None = None
    max_epochs: Positive = 4.0
    repeat_as_tokens: Count | None = None
    num_chunks: Count = 8
    vocab_blocks: Count = 1
    z_loss: NonNegative = 0.0
    skip_rows: Sequence[tuple[int, int]] = ()
    skip_non_finite: Natural = 0
    compiler_options: Mapping[str, object] = dataclasses.field(default_factory=dict)
    average: Average | None = None
    weights: str = PLAIN

    max_bad: Share = 0.01  # the share of a task's lines that may be bad, as `data.cache` has it

    rows: ClassVar[type[Rows]] = Rows  # what its stores are read as

    def planned_devices(self) -> int:
        """Devices that the mesh names, its open axis (-1) taken as small as it goes."""
        sizes = (self.mesh.data, self.mesh.fsdp, self.mesh.tensor)
        open_axis = self.mesh.num_slices if self.mesh.data == -1 else 1
        return math.prod(size for size in sizes if size != -1) * open_axis

    def resolve(self, open_stores: bool = True, num_devices: int | None = None) -> "Resolved":
        """The run, checked; InputError names the first thing that is wrong.

        open_stores: False where the stores needn't be there (a look at a recipe): sizes of the
        data are then unknown. num_devices: of the machine it is for, by default this one's.
        """
        devices = jax.device_count() if num_devices is None else num_devices
        self.check_shapes(devices)
        schedule = run_phases.schedule(self.phases, self.sequence_length, self.batch_size)
        steps = run_phases.steps(schedule, self.batch_sizes, self.skip_rows)
        rates = run_phases.rates(self.phases, steps)
        optimizer.learning_rate(rates)  # refuses a warm-up longer than its phase
        self.repetition(schedule)
        tokenizer = self._tokenizer() if open_stores else None
        rows = self._rows(schedule, tokenizer) if tokenizer else None
        return Resolved(self, schedule, steps, rates, self.mesh.shape(devices), tokenizer, rows)

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        """Rows of a step of each phase."""
        return run_phases.sizes(self.phases, self.batch_size)

    def start_place(self) -> tuple[str | None, int | None]:
        """MODEL_DIR and step of the parameters that it starts from; (None, None) for the seed."""
        return self.init_from or None, self.init_step

    def start(self) -> str:
        """What it starts from, by content: the identity of a checkpoint, or 'seed'.

        InputError where the checkpoint isn't there.
        """
        path, step = self.start_place()
        if path is None:
            return SEED
        from polylm_jax.checkpoints import identity  # brings Orbax: a look at a recipe needs none

        return identity.identify(path, step)[0].identity

    def settings(self) -> Self:
        """All that decides a step but its rows, its learning rate and where the run starts."""
        free: dict[str, Any] = {"tasks": None, "init_from": None, "init_step": None, "max_bad": 0.0}
        free |= {"repeat_as_tokens": None, "skip_rows": (), "weights": PLAIN}
        return dataclasses.replace(self, phases=(), **free)

    def check_shapes(self, devices: int) -> None:
        self.model.check()
        self.optimizer.check()
        averaging.check_choice(self.weights, self.average, adapted=self.adapters() is not None)
        check_ranges(self)
        if self.sequence_length > self.model.max_length:
            raise InputError(
                f"sequence_length = {self.sequence_length} is above the model's max_length = "
                f"{self.model.max_length}: shorten the rows, or give the model more positions."
            )
        if self.init_step is not None and not self.init_from:
            raise InputError(
                f"init_step = {self.init_step} without init_from: name the run whose step it is."
            )
        self._check_mesh(devices, self.batch_size)
        run_phases.check_batches(self.phases, lambda size: self._check_mesh(devices, size))

    def _check_mesh(self, devices: int, batch_size: int) -> None:
        partitioning.check_mesh(
            self.mesh, devices, self.model, length=self.sequence_length, batch_size=batch_size,
            microbatches=self.microbatches,
        )  # fmt: skip

    def _tokenizer(self) -> Tokenizer:
        tokenizer = Tokenizer.load(self.vocabulary)
        if tokenizer.vocab_size > self.model.vocab_size:
            raise InputError(
                f"vocabulary = {self.vocabulary!r} has {tokenizer.vocab_size} pieces and the model's "
                f"vocab_size = {self.model.vocab_size}: give the model as many, or more."
            )
        return tokenizer

    def _rows(self, schedule: Schedule, tokenizer: Tokenizer) -> Rows:
        stores = self._stores(schedule.trained, tokenizer)
        return self.rows(
            schedule, stores, self.sequence_length, self.seed, self.repetition(schedule)
        )

    def repetition(self, schedule: Schedule) -> Repetition | None:
        """How much of each store is read, where that isn't all."""
        tokens = self.repeat_as_tokens
        return None if tokens is None else Repetition.of(tokens, schedule, self.sequence_length)

    def _stores(self, names: Sequence[str], tokenizer: Tokenizer) -> dict[str, TokenStore]:
        if self.tasks is None and all(isinstance(p.mixture, Mapping) for p in self.phases):
            folders = {name: store_path(self.cache_dir, name) for name in names}
            return {n: TokenStore.open(f, tokenizer.fingerprint) for n, f in folders.items()}
        return run_phases.seqio().ensure_stores(
            names, self.cache_dir, tokenizer, max_bad=self.max_bad
        )

    def notes(self) -> Iterator[str]:
        """Sentences about what can be and is hardly meant, for the terminal."""
        return iter(())

    @property
    def objective(self) -> Likelihood:
        """The loss that a step minimises."""
        return Likelihood()

    def decides(self) -> dict:
        """What a kind of experiment adds to `identity.fingerprint`."""
        return {}

    def adapters(self) -> int | None:
        """Parameters of the adapters that are trained in place of the model's own, if they are."""

    def adapted_base(self) -> str:
        """The run that its checkpoints are adapters to, '' where they are whole."""
        return ""


@dataclasses.dataclass(frozen=True)
class Resolved:
    """A checked experiment. `tokenizer` and `rows` are None where the stores weren't opened."""

    experiment: Experiment
    schedule: Schedule
    steps: Steps
    rates: tuple[RatePhase, ...]
    mesh_shape: tuple[int, int, int]
    tokenizer: Tokenizer | None
    rows: Rows | None

    @functools.cached_property
    def start(self) -> str:
        """See `Experiment.start`; read when it is first asked for."""
        return self.experiment.start()

    @property
    def stores(self) -> Mapping[str, TokenStore]:
        """Those of the components that have a share."""
        return self.rows.stores if self.rows else {}

    @property
    def total_steps(self) -> int:
        """The number of the step after the last one."""
        return self.steps.total

    @property
    def total_tokens(self) -> int:
        """Tokens that are trained on, from the first row to the last step's."""
        return self.steps.place(self.steps.total) * self.experiment.sequence_length

    def going_on(self, step: int, row: int, skipped: RowRanges) -> "Resolved":
        """As a run that has come to a step and a row, and leaves these rows out."""
        steps = dataclasses.replace(self.steps, skipped=skipped)
        return dataclasses.replace(self, steps=steps.at(step, row))

    @property
    def languages(self) -> dict[str, str]:
        """Component -> the label that its losses are pooled under: 'th', 'en-th', 'code'."""
        return {name: store.language for name, store in self.stores.items()}

    def realised(self, row: int) -> np.ndarray:
        """int64 [C]: rows of each component among the first `row` that are trained on."""
        skipped = ledger.left_out_rows(self.schedule, self.steps.skipped, row)
        return self.schedule.counts(row) - skipped

    def ledger(self, row: int, realised: Sequence[int] | None = None) -> ledger.Ledger:
        """Tokens planned and realised in the first `row` rows; `realised` [C] as counted."""
        length = self.experiment.sequence_length
        read = {name: self.rows.num_rows(name) for name in self.stores} if self.rows else {}
        skipped = self.steps.skipped
        return ledger.ledger(self.schedule, self.stores, length, row, realised, read, skipped)

    def learning_rate(self) -> Callable[[jax.Array], jax.Array]:
        """Updates made -> rate, at the place of the next one in the data: see `data.mixture.steps`."""
        return run_phases.paced(optimizer.learning_rate(self.rates), self.steps.offsets)

    def same_rates(self, other: "Resolved") -> float:
        """How many steps the learning rates of two runs are the same, bit by bit."""
        return optimizer.agree(self.rates, other.rates)

    @property
    def flops_per_token(self) -> float:
        """FLOPs that a trained token costs, rematerialisation not counted."""
        one = self.experiment
        return cost.flops_per_token(one.model, one.sequence_length, one.adapters())
