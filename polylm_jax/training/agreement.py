"""Several processes of one run agree, before anything compiles, on what they are about to do.

Hosts that were given another seed, another store or another cadence would train on without a word,
and hold different numbers in arrays that are copies of each other, or wait for each other for ever.
So each puts what decides the run into the key-value store that process 0 serves, reads what the
others put there, and all leave with one sentence where one differs, or where one refuses its input.
"""

import collections
import dataclasses
import hashlib
import importlib.metadata
import json
import os
import pathlib
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax

from polylm_jax.errors import InputError
from polylm_jax.runtime import fingerprint
from polylm_jax.training import identity, shared_keys
from polylm_jax.training.experiment import Resolved

WAIT_SECONDS = 600.0  # the slowest host may read its stores' descriptions from a bucket
_POLL_SECONDS = 0.2
_FOLDER = "polylm_agreement"
_REFUSALS = "polylm_refusals"
_SHOWN = 3  # differences that a sentence names
_LIBRARIES = ("jax", "jaxlib", "libtpu", "flax", "optax", "orbax-checkpoint", "numpy")
_VARIABLES = ("XLA_FLAGS", "LIBTPU_INIT_ARGS", "JAX_DEFAULT_MATMUL_PRECISION", "JAX_ENABLE_X64")


def code() -> dict[str, str]:
    """The code that runs here: this package's source as one hash, the libraries' versions, flags."""
    package = pathlib.Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(f"{path.relative_to(package)}\0".encode() + path.read_bytes() + b"\0")
    found = {"polylm_jax": digest.hexdigest(), "python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "absent"
    return found | {name: os.environ.get(name, "") for name in _VARIABLES}


def _start(resolved: Resolved) -> str:
    """What it starts from; a run that goes on needs it no more, so it may be gone."""
    try:
        return resolved.start
    except InputError:
        return "gone"


def decides(resolved: Resolved, settings: object) -> dict:
    """All that must be the same on every process: numbers, layout, cadence, recipe and code."""
    return {
        **identity.fingerprint(resolved, _start(resolved)),
        "experiment": _plain(resolved.experiment),
        "settings": _plain(settings, but=("recipe",)),
        "recipe": _statements(getattr(settings, "recipe", "")),
        "code": code(),
    }


def _plain(record: Any, but: Sequence[str] = ()) -> dict:
    """The fields of a dataclass that are plain values, lists of such or dataclasses of such."""
    found: dict[str, Any] = {}
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if dataclasses.is_dataclass(value):
            found[field.name] = _plain(value)
        elif field.name not in but and isinstance(value, str | int | float | None | Mapping):
            found[field.name] = value
        elif isinstance(value, list | tuple):
            found[field.name] = [one for one in value if isinstance(one, str | int | float | None)]
    return found


def _statements(recipe: str) -> dict[str, str]:
    """Gin's bindings by their names; what follows on further lines belongs to the one before."""
    found: dict[str, str] = {}
    name = ""
    for line in recipe.splitlines():
        if " = " in line and not line.startswith((" ", "#")):
            name, _, line = line.partition(" = ")
        found[name] = found.get(name, "") + line
    return found


def agree(stage: str, decides: Callable[[], Mapping]) -> None:
    """Returns on every process, or raises the same InputError on every one.

    stage: a name, each once. decides: makes nested names -> plain values that must be the same
    everywhere; one process alone doesn't ask.
    """
    if jax.process_count() == 1:
        return
    leaves = fingerprint.flat(decides())
    text = json.dumps({name: repr(value) for name, value in leaves.items()})
    digest = hashlib.sha256(text.encode()).hexdigest()
    client, me = shared_keys.client(), jax.process_index()
    client.key_value_set(f"{_FOLDER}/{stage}/text/{me}", text)
    client.key_value_set(f"{_FOLDER}/{stage}/digest/{me}", digest)
    digests = _gathered(stage)
    if len({*digests.values()}) > 1:
        raise InputError(_disagreement(stage, digests))


def refuse(error: InputError) -> None:
    """Tells the others, which may be waiting in `agree`, why this process leaves."""
    if jax.process_count() > 1 and not str(error).startswith("process "):
        key = f"{_REFUSALS}/{jax.process_index()}"
        shared_keys.client().key_value_set(key, str(error), allow_overwrite=True)


def _gathered(stage: str) -> dict[int, str]:
    """The digests of all processes; InputError for a refusal meanwhile, and for one that is late."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        found = _folder(f"{_FOLDER}/{stage}/digest")
        if len(found) == jax.process_count():
            return found
        if refusals := _folder(_REFUSALS):
            who, sentence = min(refusals.items())
            raise InputError(f"process {who} refuses: {sentence}")
        if time.monotonic() > deadline:
            absent = sorted({*range(jax.process_count())} - found.keys())
            raise InputError(
                f"process {absent[0]} has not said within {WAIT_SECONDS:g} s what it was given: look "
                "at its log, and start all of them again."
            )
        time.sleep(_POLL_SECONDS)


def _folder(name: str) -> dict[int, str]:
    found = shared_keys.client().key_value_dir_get(f"{name}/")
    return {int(key.rpartition("/")[2]): text for key, text in found}


def _disagreement(stage: str, digests: Mapping[int, str]) -> str:
    """Who differs from most of the others (from process 0, where there are as many), and in what."""
    counts = collections.Counter(digests.values())
    usual = max(counts, key=lambda digest: (counts[digest], digest == digests[0]))
    odd = sorted(number for number, digest in digests.items() if digest != usual)
    like = min(number for number, digest in digests.items() if digest == usual)
    client = shared_keys.client()
    theirs, others = (
        json.loads(client.blocking_key_value_get(f"{_FOLDER}/{stage}/text/{number}", 60_000))
        for number in (like, odd[0])
    )
    changes = fingerprint.differences(theirs, others)
    more = f" and {len(changes) - _SHOWN} more" if len(changes) > _SHOWN else ""
    who = f"process {odd[0]}" + (f" and {len(odd) - 1} more" if len(odd) > 1 else "")
    return (
        f"{who} was not given what process {like} was: {'; '.join(changes[:_SHOWN])}{more}. Start all "
        "processes with the same command, code, environment and stores."
    )
