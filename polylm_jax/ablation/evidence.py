"""A finished run in one record (mixture, settings, what was measured) that answers later questions, too.

MODEL_DIR/evidence.json: the mixture by the content of its stores, sizes, all that decided the steps, the
numbers. A law of mixtures is fitted to such records, of whichever ablation they are.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping

from polylm_jax.ablation import records
from polylm_jax.ablation.plans import Plan
from polylm_jax.ablation.records import DONE, Record
from polylm_jax.runtime.storage import Folder, to_json
from polylm_jax.training.experiment import Resolved
from polylm_jax.training.identity import fingerprint

FILE = "evidence.json"
FORMAT = 1
_OF_ONE_RUN = ("seed", "rows_sha256", "stores", "schedule")  # of a fingerprint


def keep(place: Folder, plan: Plan) -> None:
    """Writes the record of a run of ABLATION_DIR that is done, if it isn't there yet."""
    key = f"{plan.run.path}/{FILE}"
    if place.has(key):
        return
    record = records.read(place, plan.run, plan.resolved.total_steps, plan.tokens_per_step)
    if record.state == DONE and record.steps():
        place.write(key, to_json(of(plan, record)))


def of(plan: Plan, record: Record) -> dict:
    """The record of a run: plain values."""
    resolved, length = plan.resolved, plan.resolved.experiment.sequence_length
    stores = resolved.stores
    hashes = {task: store.content_hash for task, store in stores.items()}
    return {
        "format": FORMAT,
        "mixture": [
            {
                "tokens": phase.rows * length,
                "shares": {hashes[t]: float(s) for t, s in phase.shares.items() if t in hashes},
            }
            for phase in resolved.schedule.phases
        ],
        "stores": {
            store.content_hash: {
                "task": task,
                "language": store.language,
                "tokens": store.num_tokens("train"),
                "held_out": held_out(store),
            }
            for task, store in stores.items()
        },
        "settings": settings(resolved),
        "seed": resolved.experiment.seed,
        "parameters": resolved.experiment.model.num_params,
        "tokens": plan.tokens,
        "tokens_per_second": record.trained_tokens / record.seconds if record.seconds else None,
        "bytes": record.held_out_bytes,
        "numbers": record.numbers(),
    }


def settings(resolved: Resolved) -> dict:
    """All that decides a run's numbers but its mixture and its seed."""
    whole = fingerprint(resolved)
    phases = [
        {name: value for name, value in phase.items() if name != "shares"}
        for phase in whole["schedule"]["phases"]
    ]
    kept = {name: value for name, value in whole.items() if name not in _OF_ONE_RUN}
    return json.loads(to_json(kept | {"phases": phases}))


def held_out(store) -> str:
    """What a store's held-out text is known by; '' where it has none."""
    split = store.manifest.splits.get("validation")
    return split.content_sha256 if split else ""


def read(place: Folder, keys: Iterable[str]) -> list[dict]:
    """The records at these keys; those that aren't there are left out."""
    return [json.loads(text) for text in place.read_all(keys) if text is not None]


def found(place: Folder) -> list[dict]:
    """All records below a folder, in the order of their names."""
    return read(place, [key for key in place.list() if key.rpartition("/")[2] == FILE])


def held_out_of(record: Mapping) -> dict[str, str]:
    """Label -> what all of the held-out text under it is known by."""
    parts: dict[str, list[str]] = {}
    for store in record["stores"].values():
        parts.setdefault(store["language"], []).append(store["held_out"])
    return {label: joined(of_label) for label, of_label in parts.items()}


def joined(hashes: Iterable[str]) -> str:
    """One hash of several, whatever their order."""
    return hashlib.sha256(" ".join(sorted(hashes)).encode()).hexdigest()
