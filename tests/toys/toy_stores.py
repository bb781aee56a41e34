"""Small token stores whose tokens say which store and place they are from, and random schedules."""

import pathlib
import threading
from collections.abc import Mapping

import jax
import numpy as np
from hypothesis import strategies as st
from jax.sharding import Mesh

from polylm_jax.data.mixture.schedule import Phase, Schedule
from polylm_jax.data.mixture.steps import Steps
from polylm_jax.data.stores.identity import FORMAT_VERSION, Identity, dtype_for
from polylm_jax.data.stores.store import TokenStore
from polylm_jax.data.stores.writer import StoreWriter

SPAN = 1 << 14  # place p of the store with number c holds the token c * SPAN + p
VOCAB = 1 << 18
TINY = 1e-6  # a share of one row in a million


def build(
    folder: pathlib.Path,
    task: str,
    splits: Mapping[str, np.ndarray],
    language: str,
    tokens_by_language: Mapping[str, int] | None = None,
) -> TokenStore:
    """A store of two parts with these tokens in its splits."""
    identity = Identity(
        format_version=FORMAT_VERSION,
        task=task,
        task_version="1",
        vocabulary="toy.model",
        vocabulary_sha256="0" * 64,
        vocab_size=VOCAB,
        eos_id=2,
        dtype=dtype_for(VOCAB),
        source={},
        units=("0", "1"),
    )
    writer = StoreWriter(str(folder / task), identity)
    for number in range(2):
        unit = writer.unit(number)
        for split, tokens in splits.items():
            part = np.array_split(tokens, 2)[number]
            counts = {"documents": 1, "bytes": len(part)}
            for name, count in (tokens_by_language or {language: len(tokens)}).items():
                counts["tokens", name] = count if number == 0 else 0
            unit.add(split, part, {language}, counts)
        unit.commit()
    assert writer.finish(0.0) is not None
    return TokenStore.open(str(folder / task))


def numbered(folder: pathlib.Path, sizes: Mapping[str, int]) -> dict[str, TokenStore]:
    """A store per name with so many training tokens and half as many for validation."""
    stores = {}
    for number, (name, size) in enumerate(sizes.items()):
        tokens = np.arange(size) + number * SPAN
        stores[name] = build(
            folder, name, {"train": tokens, "validation": tokens[: size // 2]}, name
        )
    return stores


def make_mesh(data: int, fsdp: int, tensor: int) -> Mesh:
    devices = np.array(jax.devices()[: data * fsdp * tensor]).reshape(data, fsdp, tensor)
    return Mesh(devices, ("data", "fsdp", "tensor"))


def evenly(batch_size: int, start: int, stop: int) -> Steps:
    """Steps of so many rows each, through the rows [start, stop)."""
    return Steps((0, stop), (batch_size,), row=start)


class Watched:
    """A store that notes the rows that are read, and can fail or hang at one."""

    def __init__(self, store, fails_at=None, hangs_at=None):
        self._store, self.fails_at, self.hangs_at = store, fails_at, hangs_at
        self.read, self.go_on, self.hanging = [], threading.Event(), False

    def __getattr__(self, name):
        return getattr(self._store, name)

    def read_rows(self, split, rows, length):
        self.read += np.asarray(rows).tolist()
        if self.fails_at in rows:
            raise OSError("the disk is gone")
        if self.hangs_at in rows:
            self.hanging = True
            self.go_on.wait(20)
            self.hanging = False
        return self._store.read_rows(split, rows, length)


@st.composite
def schedules(draw, names: tuple[str, ...] = (), max_rows: int = 600) -> Schedule:
    """One to four phases, with ramps, absent components, shares of 0 and of a millionth."""
    if not names:
        names = tuple(f"c{number}" for number in range(draw(st.integers(1, 9))))
    kind = st.one_of(st.sampled_from([0.0, TINY, 1.0]), st.floats(1e-3, 1.0))
    phases = []
    for number in range(draw(st.integers(1, 4))):
        present = draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
        weights = {name: draw(kind) for name in present} | {present[0]: draw(st.floats(0.1, 1.0))}
        tiny = sum(weight == TINY for weight in weights.values()) * TINY
        total = sum(weight for weight in weights.values() if weight != TINY)
        shares = {n: w if w == TINY else w * (1 - tiny) / total for n, w in weights.items()}
        rows = draw(st.integers(1, max_rows))
        ramp = draw(st.integers(0, rows)) if number else 0
        phases.append(Phase(f"phase {number}", shares, rows, ramp))
    return Schedule(phases)
