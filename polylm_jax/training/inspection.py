"""What would train, told without training: mixture, schedule, epochs, parameters, memory."""

import json
from collections.abc import Mapping, Sequence
from typing import Protocol

import jax.numpy as jnp
import numpy as np

from polylm_jax.checkpoints import damage, layout, space
from polylm_jax.data.mixture import ledger
from polylm_jax.data.stores.store import MANIFEST, TokenStore, store_path
from polylm_jax.errors import InputError
from polylm_jax.languages import labels, registry
from polylm_jax.languages import shares as chosen_shares
from polylm_jax.model import averaging, cost, optimizer
from polylm_jax.runtime import paths
from polylm_jax.runtime.ranges import Count, Natural
from polylm_jax.runtime.storage import Folder
from polylm_jax.training.experiment import Experiment, Resolved
from polylm_jax.training.inspection_view import show

CURVE_POINTS = 64


class Notes(Protocol):
    """What adds lines to the report: of seeds, `ablation.seeds.Seeds`."""

    def notes(self) -> list[str]:
        """Lines for the terminal."""


def inspect(
    experiment: Experiment,
    *,
    step: Natural | None = None,
    num_devices: Count | None = None,
    model_dir: str | None = None,
    json_path: str | None = None,
    ablation_seeds: Notes | None = None,
    mix_seeds: Notes | None = None,
    recipe: str = "",
) -> None:
    """Shows what would train: the mixture, the schedule, the epochs, the parameters, the memory.

    Nothing runs and nothing is built: stores that aren't there yet are 'not cached'.

    experiment: what would train: a `training.Experiment`, or one of tuning.
    step: also the ledger as it stands after so many steps (by default only at the end).
    num_devices: devices that the run is for (by default as many as the mesh names).
    model_dir: the run's folder; its disk is compared with what two checkpoints take, and its newest
    checkpoint is opened.
    json_path: the same report as JSON, to this file.
    ablation_seeds, mix_seeds: what the seeds of an ablation or a mix of it can see; nothing for a
    recipe of neither.
    recipe: the resolved config; goes into the JSON.

    Raises InputError for whatever `train` would refuse before it opens the data.
    """
    devices = num_devices or experiment.planned_devices()
    resolved = experiment.resolve(open_stores=False, num_devices=devices)
    steps = resolved.total_steps
    if step is not None and not 0 <= step <= steps:
        raise InputError(f"step = {step}: the run has steps 0 to {steps}.")
    stores = open_stores(experiment.cache_dir, resolved.schedule.components)
    report = {
        "model": model_report(experiment),
        "run": run_report(resolved, devices),
        "phases": [phase_report(resolved, stores, n) for n in range(len(resolved.rates))],
        "learning_rate": rate_report(resolved),
        "memory_per_device": memory_report(experiment, resolved.mesh_shape),
        "checkpoint": checkpoint_report(experiment, model_dir),
        "ledger": ledger_report(resolved, stores, steps if step is None else step),
        "stale": stale_stores(experiment, stores),
        "schedule": resolved.schedule.describe(),
        "seeds": [line for one in (ablation_seeds, mix_seeds) if one for line in one.notes()],
        "recipe": recipe,
    }
    if json_path:
        paths.local(json_path, "json_path").write_text(
            json.dumps(report, indent=2, ensure_ascii=False)
        )
    show(report, experiment.max_epochs)


def open_stores(cache_dir: str, components: Sequence[str]) -> dict[str, TokenStore]:
    """The complete stores among those of the components."""
    paths = {name: store_path(cache_dir, name) for name in components}
    complete = {n: p for n, p in paths.items() if Folder(p).peek(MANIFEST) is not None}
    return {name: TokenStore.open(path) for name, path in complete.items()}


def stale_stores(experiment: Experiment, stores: Mapping[str, TokenStore]) -> dict[str, str]:
    """Component -> why its store isn't of the text as it lies there; tasks that aren't registered
    have none."""
    if experiment.tasks is None:
        return {}
    from polylm_jax.data.stores import cache  # brings SeqIO and TensorFlow, 5 s

    found = {n: cache.stale(n, experiment.cache_dir, experiment.vocabulary) for n in stores}
    return {name: why for name, why in found.items() if why}


def model_report(experiment: Experiment) -> dict:
    """The shape and its parameters, per part."""
    model = experiment.model
    return {**model.sizes, "parameters": model.num_params, "parts": cost.parts(model)}


def run_report(resolved: Resolved, devices: int) -> dict:
    """Sizes of the whole run; FLOPs are the model's, rematerialisation not counted."""
    experiment, tokens = resolved.experiment, resolved.total_tokens
    skipped = resolved.steps.skipped
    flops = cost.flops_per_token(experiment.model, experiment.sequence_length)
    return {
        "steps": resolved.total_steps,
        "batch_size": experiment.batch_size,
        "batch_sizes": list(resolved.steps.sizes),
        "microbatches": experiment.microbatches,
        "sequence_length": experiment.sequence_length,
        "tokens": tokens,
        "skipped": {"ranges": skipped.ranges, "tokens": skipped.count * experiment.sequence_length},
        "model_flops": flops * tokens,
        "devices": devices,
        "mesh": dict(zip(("data", "fsdp", "tensor"), resolved.mesh_shape, strict=True)),
        "repeat_as_tokens": experiment.repeat_as_tokens,
        "seed": experiment.seed,
        "vocabulary": experiment.vocabulary,
        "cache_dir": experiment.cache_dir,
    }


def phase_report(resolved: Resolved, stores: Mapping[str, TokenStore], number: int) -> dict:
    """One phase: when, how long, what of, and its shares by language."""
    schedule, experiment = resolved.schedule, resolved.experiment
    phase, rate = schedule.phases[number], resolved.rates[number]
    languages = {name: store.language for name, store in stores.items()}
    shares = labels.by_language(phase.shares, languages)
    return {
        "name": phase.name,
        "first_step": resolved.steps.since(schedule.boundaries[number]),
        "steps": sum(p.length for p in resolved.steps.pieces if p.phase == number),
        "batch_size": resolved.steps.sizes[number],
        "tokens": phase.rows * experiment.sequence_length,
        "ramp_tokens": phase.ramp_rows * experiment.sequence_length,
        "learning_rate": rate.policy,
        "decay": {"steps": rate.down, "shape": rate.decay_shape} if rate.down else None,
        "non_english_share": registry.non_english_share(shares),
        "languages": shares,
        "components": dict(phase.shares),
        "chosen": chosen_shares.chosen(experiment.phases[number].mixture),
    }


def rate_report(resolved: Resolved) -> dict:
    """The learning rate at the steps where something happens, and as an even curve."""
    at = resolved.steps
    keys, first = {0, at.total - 1}, 0
    for rate in resolved.rates:
        warm = rate.warmup_steps if rate.policy.startswith("warmup") else 0
        keys |= {first, first + warm, first + (warm + rate.steps) // 2, first + rate.steps - 1}
        first += rate.steps
    keys |= {
        begin + curve.steps - curve.down
        for begin, curve in optimizer.curves(resolved.rates)
        if curve.down
    }
    # Keys are paces: of rows that are left out none is there, and the next one stands for it.
    paces = at.paces(np.arange(at.total)) if at.skipped else np.arange(at.total)
    steps = np.unique(np.searchsorted(paces, sorted(keys)))
    steps = steps[steps < at.total]
    even = np.linspace(0, resolved.total_steps - 1, CURVE_POINTS).astype(int)
    curve = resolved.learning_rate()
    values = np.asarray(curve(jnp.asarray(np.concatenate([steps, even]))), float).tolist()
    return {
        "steps": dict(zip(steps.tolist(), values[: len(steps)], strict=True)),
        "curve": values[len(steps) :],
    }


def memory_report(experiment: Experiment, mesh_shape: Sequence[int]) -> dict:
    """Bytes per device of one training step; see `memory.per_device` for what is estimated."""
    return cost.per_device(
        experiment.model,
        mesh_shape,
        batch_size=max(experiment.batch_sizes),
        length=experiment.sequence_length,
        microbatches=experiment.microbatches,
        num_chunks=experiment.num_chunks,
        vocab_blocks=experiment.vocab_blocks,
        average=averaging.bytes_per_parameter(experiment.average),
    )


def checkpoint_report(experiment: Experiment, model_dir: str | None) -> dict:
    """Bytes of a checkpoint (parameters, two moments, an average), what the disk has free, and the
    newest one that is there: its step, and why it doesn't open where it doesn't."""
    moments = np.dtype(getattr(experiment.optimizer, "moment_dtype", None) or np.float32).itemsize
    size = experiment.model.num_params * (
        4 + 2 * moments + averaging.bytes_per_parameter(experiment.average)
    )
    if not model_dir:
        return {"bytes": size, "free": None, "newest": None}
    free = space.free(paths.resolve(model_dir, "model_dir"))
    return {"bytes": size, "free": free, "newest": _newest(model_dir)}


def _newest(model_dir: str) -> dict | None:
    """A bucket isn't asked: `inspect` is also for a machine that reaches none."""
    if paths.is_remote(model_dir):
        return None
    folder = layout.split(model_dir)[0]
    steps = layout.steps_in(folder)
    return {"step": steps[-1], "flaw": damage.flaw(folder / str(steps[-1]))} if steps else None


def ledger_report(resolved: Resolved, stores: Mapping[str, TokenStore], step: int) -> dict:
    """The ledger after `step` steps; a component without a store is named by its task's name."""
    experiment = resolved.experiment
    row, length = resolved.steps.done(step), experiment.sequence_length
    read = {}
    if repetition := experiment.repetition(resolved.schedule):
        stored = {
            n: stores[n].num_rows(ledger.TRAIN, length)
            for n in resolved.schedule.trained
            if n in stores
        }
        read = {name: repetition.read(name, rows) for name, rows in stored.items()}
    skipped = resolved.steps.skipped
    found = ledger.ledger(resolved.schedule, stores, length, row, None, read, skipped)
    book = found.as_dict()
    for line in book["components"]:
        if line["component"] not in stores:
            line["language"] = labels.label_of(line["component"])
    return {"step": step, "repeats": bool(read), **book}
