"""The rows of a run as t5x's training data: the batches that `run.py train` takes, step by step.

t5x's train takes any `get_dataset_fn`; this one gives an iterator whose state is the number of its
next row, so that a resume (`save_dataset=True`) reads on exactly where the run stopped.
"""

import concurrent.futures
import json
import os
from typing import Any

import numpy as np
from clu.data import dataset_iterator

from polylm_jax.data.mixture.steps import Steps
from polylm_jax.data.rows import Rows
from polylm_jax.errors import InputError
from polylm_jax.runtime import storage
from polylm_jax.training.experiment import Experiment

EXPORTED = "rows.json"  # beside the places of t5x's iterators, where export_t5x wrote it
INPUTS, TARGETS, WEIGHTS = "decoder_input_tokens", "decoder_target_tokens", "decoder_loss_weights"


class RowIterator(dataset_iterator.DatasetIterator):
    """Batches as t5x's decoder-only models take them, each [rows of this shard, L].

    steps: the run's, of one size. shard, num_shards: of a step's rows this host has the shard-th
    part. The next batch is read while one is in use.
    """

    def __init__(self, rows: Rows, steps: Steps, shard: int = 0, num_shards: int = 1):
        self._rows, self._whole = rows, steps
        part = steps.size(steps.first) // num_shards
        self._offsets = shard * part + np.arange(part)
        self._pool = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="t5x_rows")
        self.reset()

    def reset(self) -> None:
        self._seek(0)

    def _seek(self, row: int) -> None:
        """Goes on at a row, at whatever step t5x then is."""
        self._steps = self._whole.at(self._whole.since(row), row)
        self._next = self._steps.since(row)
        self._ahead: concurrent.futures.Future | None = None

    def __next__(self) -> dict[str, np.ndarray]:
        if self._next == self._steps.total:
            raise StopIteration
        batch = self._ahead.result() if self._ahead else self._read(self._next)
        self._next += 1
        if self._next < self._steps.total:
            self._ahead = self._pool.submit(self._read, self._next)
        return batch

    def _read(self, step: int) -> dict[str, np.ndarray]:
        tokens_BL1, _ = self._rows.read(self._steps.rows(step)[self._offsets])
        labels_BL = np.ascontiguousarray(tokens_BL1[:, 1:])
        inputs_BL = np.ascontiguousarray(tokens_BL1[:, :-1])
        return {INPUTS: inputs_BL, TARGETS: labels_BL, WEIGHTS: np.ones_like(labels_BL)}

    @property
    def element_spec(self) -> dict[str, dataset_iterator.ArraySpec]:
        shape = (len(self._offsets), self._rows.length)
        return {n: dataset_iterator.ArraySpec(np.int32, shape) for n in (INPUTS, TARGETS, WEIGHTS)}

    def save(self, filename) -> None:
        folder, _, name = os.fspath(filename).rpartition("/")
        text = json.dumps(
            {
                "next_row": self._steps.done(self._next),
                "schedule": self._rows.schedule.fingerprint(),
            }
        )
        storage.Folder(folder, "MODEL_DIR").write(name, text.encode("ascii"))

    def restore(self, filename) -> None:
        """Goes on from a saved row, or from where the run of ours stopped that export_t5x took.

        At the start where the checkpoint has neither; InputError where it's of another schedule.
        """
        folder, _, name = os.fspath(filename).rpartition("/")
        place = storage.Folder(folder, "MODEL_DIR")
        text = place.peek(name) or place.peek(EXPORTED)
        saved: dict[str, Any] = json.loads(text) if text else {"next_row": 0, "schedule": None}
        if saved["schedule"] not in (None, self._rows.schedule.fingerprint()):
            raise InputError(
                f"{filename} belongs to another schedule: start a new MODEL_DIR, or give the phases "
                "that it was begun with."
            )
        self._seek(saved["next_row"])


def one_batch_size(experiment: Experiment) -> Experiment:
    """Itself, or InputError where its phases have batches of their own: t5x has one size."""
    if any(size != experiment.batch_size for size in experiment.batch_sizes):
        raise InputError(
            f"PhaseConfig.batch_size: phases have steps of {experiment.batch_sizes} rows, and t5x has "
            f"one BATCH_SIZE, {experiment.batch_size}: leave the phases' out, or train with run.py."
        )
    return experiment


def rows_dataset(
    cfg,
    shard_id: int,
    num_shards: int,
    feature_converter_cls=None,
    num_epochs: int | None = None,
    continue_from_last_checkpoint: bool = False,
    *,
    experiment: Experiment,
) -> RowIterator:
    """t5x's `train.get_dataset_fn`: the rows of `experiment`, whatever mixture `cfg` names.

    InputError where the stores aren't made, or cfg's batch or length is not the experiment's.
    """
    del feature_converter_cls, num_epochs, continue_from_last_checkpoint
    lengths = cfg.task_feature_lengths
    for field, given, wanted in (
        ("BATCH_SIZE", cfg.batch_size, experiment.batch_size),
        ("TASK_FEATURE_LENGTHS['targets']", lengths["targets"], experiment.sequence_length),
    ):
        if given != wanted:
            raise InputError(f"{field} = {given} and the experiment has {wanted}: make them equal.")
    if cfg.batch_size % num_shards:
        raise InputError(
            f"BATCH_SIZE = {cfg.batch_size} does not divide over {num_shards} hosts: make it a "
            "multiple."
        )
    resolved = one_batch_size(experiment).resolve(num_devices=1)
    assert resolved.rows is not None
    return RowIterator(resolved.rows, resolved.steps, shard_id, num_shards)
