"""The curriculum as a SeqIO mixture: what SeqIO and t5x draw follows the schedule of the run.

SeqIO draws examples, and a schedule's shares are shares of tokens. A document of one task may be
ten times as long as one of another, so a task is drawn by its share over its tokens per document,
as its token store counted them; with d tokens per draw on average, step s of B rows of L tokens
begins about draw s B L / d. The documents that are drawn are joined and cut into rows of L tokens,
as PolyLM was trained: no padding, no end that is lost, attention across documents.

What comes out follows the plan as closely as chance does: the shares of a step scatter by
sqrt(share / draws). t5x_rows reads the rows of the schedule themselves, with no chance in them.

Shapes: S constant stretches of the schedule, C components.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import seqio
import tensorflow as tf
from clu.data import dataset_iterator

from polylm_jax.data.mixture.schedule import Schedule
from polylm_jax.data.stores import cache
from polylm_jax.data.stores.store import TokenStore
from polylm_jax.errors import InputError
from polylm_jax.training.experiment import Experiment

TRAIN = "train"
ENDLESS = 1 << 62


@dataclasses.dataclass(frozen=True, eq=False)
class DrawPlan:
    """Which weights each draw has: `weights` [S, C] up to the draws `ends` [S], rising.

    names: the tasks, in the order of C. tokens_per_example [C]: what a draw of each gives.
    """

    names: tuple[str, ...]
    ends: np.ndarray
    weights: np.ndarray
    tokens_per_example: np.ndarray

    @property
    def rates(self) -> dict[str, float]:
        """Task -> its share of all draws of the run, as `Mixture` wants one number."""
        draws = np.diff(self.ends, prepend=0)
        return dict(zip(self.names, (draws @ self.weights / draws.sum()).tolist(), strict=True))

    def expected_tokens(self, draws: int) -> np.ndarray:
        """float64 [C]: tokens of each task in the first `draws` draws, on average."""
        inside = np.clip(draws - np.concatenate([[0], self.ends[:-1]]), 0, None)
        inside = np.minimum(inside, np.diff(self.ends, prepend=0))
        return inside @ self.weights * self.tokens_per_example

    def dataset(self) -> tf.data.Dataset:
        """The weights of each draw, float32 [C], without end: the last ones stay."""
        ends, weights = tf.constant(self.ends), tf.constant(self.weights, tf.float32)

        def at(draw: tf.Tensor) -> tf.Tensor:
            stretch = tf.searchsorted(ends, draw[None], side="right")[0]
            return tf.ensure_shape(
                tf.gather(weights, tf.minimum(stretch, len(self.ends) - 1)), [len(self.names)]
            )

        return tf.data.Dataset.range(ENDLESS).map(at)


def plan(schedule: Schedule, length: int, tokens_per_example: Mapping[str, float]) -> DrawPlan:
    """The draws of a schedule whose rows are `length` tokens long.

    tokens_per_example: of each component that has a share, on average.
    """
    names = schedule.trained
    column = [schedule.components.index(name) for name in names]
    tokens_C = np.array([tokens_per_example[name] for name in names], float)
    rows, quotas = zip(*schedule.stretches(), strict=True)
    per_token_SC = np.array(quotas, float)[:, column] / tokens_C
    shares_SC = np.array(quotas, float)[:, column]
    draws_S = np.array(rows) * length * per_token_SC.sum(1) / shares_SC.sum(1)
    weights_SC = per_token_SC / per_token_SC.sum(1, keepdims=True)
    return DrawPlan(names, np.rint(np.cumsum(draws_S)).astype(np.int64), weights_SC, tokens_C)


def tokens_per_document(stores: Mapping[str, TokenStore]) -> dict[str, float]:
    """Task -> tokens per training document, EOS included; InputError for a store without any."""
    found = {}
    for name, store in stores.items():
        split = store.manifest.splits.get(TRAIN)
        if split is None or not split.documents:
            raise InputError(
                f"the store of task {name!r} has no training documents: add text, or set its share "
                "to 0."
            )
        found[name] = split.tokens / split.documents
    return found


class Curriculum(seqio.Mixture):
    """A mixture whose documents come whole: SeqIO would cut each to one row and drop the rest."""

    def get_task_dataset(self, task, output_feature_keys, sequence_length=None, *args, **kwargs):
        del sequence_length
        return super().get_task_dataset(task, output_feature_keys, None, *args, **kwargs)


@dataclasses.dataclass(frozen=True)
class SampleFn:
    """A mixture's `sample_fn`: documents drawn by the plan, one after another, in rows of `length`."""

    plan: DrawPlan
    length: int

    def __call__(
        self, datasets: Sequence[tf.data.Dataset], rates: Sequence[float], seed: int | None
    ) -> tf.data.Dataset:
        del rates
        documents = tf.data.Dataset.sample_from_datasets(
            [dataset.map(lambda example: example["targets"]) for dataset in datasets],
            self.plan.dataset(),
            seed=seed,
            stop_on_empty_dataset=True,
        )
        rows = documents.rebatch(self.length, drop_remainder=True)
        return rows.map(lambda row: {"targets": tf.ensure_shape(row, [self.length])})


def register(experiment: Experiment, name: str = "curriculum") -> str:
    """Registers the run's schedule as the SeqIO mixture `name` and returns the name.

    The phases' tasks are registered, and their stores made (`run.py cache`); small ones are made
    here. The same experiment may be registered again. InputError for what is wrong with it, or with a store.
    """
    for field, unused in (("repeat_as_tokens", None), ("skip_rows", ())):
        if (value := getattr(experiment, field)) not in (unused, []):
            raise InputError(
                f"{field} = {value}: a SeqIO mixture draws documents from whole stores; take the "
                "rows themselves, gin_configs/t5x/exact_rows.gin, or leave it out."
            )
    schedule = experiment.resolve(open_stores=False, num_devices=1).schedule
    stores = cache.ensure_stores(schedule.trained, experiment.cache_dir, experiment.vocabulary)
    draws = plan(schedule, experiment.sequence_length, tokens_per_document(stores))
    if name in seqio.MixtureRegistry.names():
        seqio.MixtureRegistry.remove(name)
    seqio.MixtureRegistry.add(
        name,
        list(draws.rates.items()),
        mixture_cls=Curriculum,
        sample_fn=SampleFn(draws, experiment.sequence_length),
    )
    return name


class Iterator(dataset_iterator.TfDatasetIterator):
    """tf.data's for t5x; where a checkpoint has no place of it, as export_t5x's, it begins anew."""

    def restore(self, filename) -> None:
        if tf.io.gfile.exists(f"{filename}.index"):
            super().restore(filename)


def curriculum_dataset(*args, **kwargs) -> Iterator:
    """t5x's `train.get_dataset_fn`: what its own gives, as an `Iterator`."""
    from t5x import utils  # the rest of this module is SeqIO's

    return Iterator(utils.get_dataset(*args, **kwargs), checkpoint=True)
