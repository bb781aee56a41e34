"""What decides a run's numbers, so that runs are told apart, resumed and compared by it.

tests/training/test_training_identity.py varies each field and compares with what the steps get.
"""

import dataclasses
from collections.abc import Mapping

from polylm_jax.data.mixture.row_ranges import RowRanges
from polylm_jax.model.averaging import PLAIN
from polylm_jax.model.optimizer import RatePhase
from polylm_jax.training.experiment import Experiment, Resolved

# Fields of the model that change speed and memory, not what is computed.
_FREE = ("remat", "attention", "splash_blocks")
SKIPPED = "skip_rows"


def fingerprint(resolved: Resolved, start: str | None = None) -> dict:
    """What decides the numbers of a run, nested names -> plain values.

    start: where the run has begun, by default what the experiment starts from now. A run goes on
    with another batch size, over the same rows (`run_directory.check_resume` lets it), and leaves other rows
    out from there on (`start.progress`).
    """
    experiment = resolved.experiment
    model = experiment.model.described()
    return {
        "start": resolved.start if start is None else start,
        "seed": experiment.seed,
        "batch_size": experiment.batch_size,
        "vocabulary": resolved.tokenizer.fingerprint if resolved.tokenizer else None,
        "sequence_length": experiment.sequence_length,
        "model": {name: value for name, value in model.items() if name not in _FREE},
        "schedule": {
            "phases": [
                {"rows": p.rows, "ramp_rows": p.ramp_rows, "shares": dict(p.shares)}
                for p in resolved.schedule.phases
            ]
        },
        "stores": {name: store.content_hash for name, store in resolved.stores.items()},
        "optimizer": dataclasses.asdict(experiment.optimizer) | {"z_loss": experiment.z_loss},
        "learning_rate": [_rate(rate) for rate in resolved.rates],
        "rows_sha256": resolved.schedule.fingerprint(),
        **_rows(resolved),
        **_average(experiment),
        **experiment.decides(),
    }


def _rate(rate: RatePhase) -> dict:
    """A phase's rate but for its length, which the schedule says; a decay where there is one."""
    leave = ("steps",) if rate.down else ("steps", "decay_steps", "decay_shape")
    return {name: value for name, value in dataclasses.asdict(rate).items() if name not in leave}


def _rows(resolved: Resolved) -> dict:
    """What decides of rows beside the schedule; nothing where it isn't used, as before it was there."""
    found: dict = {}
    if (tokens := resolved.experiment.repeat_as_tokens) is not None:
        found["repeat_as_tokens"] = tokens
    if any(size != resolved.experiment.batch_size for size in resolved.steps.sizes):
        found["batch_sizes"] = list(resolved.steps.sizes)
    if skipped := resolved.steps.skipped:
        found[SKIPPED] = [list(one) for one in skipped.ranges]
    return found


def skipped(fingerprint: Mapping) -> RowRanges:
    """The rows that a run left out, or will, by its fingerprint."""
    return RowRanges.of(fingerprint.get(SKIPPED, ()))


def _average(experiment: Experiment) -> dict:
    """What is kept of the parameters beside them, and whether the log's scores are of it."""
    found = {"average": dataclasses.asdict(experiment.average)} if experiment.average else {}
    return found | ({} if experiment.weights == PLAIN else {"weights": experiment.weights})
