"""The reference of a preference: its log-likelihoods of all pairs, computed once and kept with their store.

    CACHE_DIR/TASK/reference/SPLIT-IDENTITY.npz    chosen, rejected: float32 [E], nats; NaN where too long
                            /SPLIT-IDENTITY.json   what they are of: store, base, row length, precision

A run with the same store, base, length and precision reads them; the base itself isn't needed again.
"""

import dataclasses
import functools
import io
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from polylm_jax.checkpoints import checkpoint
from polylm_jax.data.preference_rows import Pairs
from polylm_jax.data.rows import TRAIN, VALIDATION
from polylm_jax.data.stores.store import MARKS, TokenStore
from polylm_jax.errors import InputError
from polylm_jax.model import layers_apart, partitioning
from polylm_jax.model.config import PolyLMConfig
from polylm_jax.model.network import PolyLM
from polylm_jax.model.parameters import abstract_params
from polylm_jax.model.preference import sums
from polylm_jax.runtime.storage import Folder, json_hash, to_json
from polylm_jax.training.step import row_loss

FOLDER = "reference"


@dataclasses.dataclass(frozen=True)
class Reference:
    """What the likelihoods are of. base: its step, and the hash of its parameters."""

    base: Mapping
    length: int
    dtype: str

    def identity(self, store: TokenStore) -> dict:
        return {"store": store.content_hash, **dataclasses.asdict(self)}

    def key(self, store: TokenStore, split: str) -> str:
        return f"{split}-{json_hash(self.identity(store))[:16]}"

    def read(self, store: TokenStore, split: str) -> dict[str, np.ndarray] | None:
        """{'chosen', 'rejected'} float32 [E], None where they aren't there yet."""
        raw = _folder(store).peek(f"{self.key(store, split)}.npz")
        if raw is None:
            return None
        with np.load(io.BytesIO(raw)) as arrays:
            return {name: arrays[name] for name in ("chosen", "rejected")}

    def write(self, store: TokenStore, split: str, found: Mapping[str, np.ndarray]) -> None:
        """Kept for the next run; what they are of first."""
        raw = io.BytesIO()
        arrays: dict[str, Any] = dict(found)
        np.savez(raw, **arrays)
        key = self.key(store, split)
        _folder(store).write(f"{key}.json", to_json(self.identity(store)))
        _folder(store).write(f"{key}.npz", raw.getvalue())

    def margins(self, stores: Mapping[str, TokenStore]) -> Callable[[str, str], np.ndarray]:
        """(component, split) -> float32 [E], log p(chosen) - log p(rejected); InputError where missing."""

        @functools.cache
        def margin(component: str, split: str) -> np.ndarray:
            found = self.read(stores[component], split)
            if found is None:
                raise InputError(
                    f"task {component!r}, split {split!r}, has no log-likelihoods of BASE: `run.py dpo` "
                    "computes them."
                )
            return found["chosen"] - found["rejected"]

        return margin


def _folder(store: TokenStore) -> Folder:
    return Folder(f"{store.folder.path.rstrip('/')}/{FOLDER}")


def missing(reference: Reference, stores: Mapping[str, TokenStore]) -> list[tuple[str, str]]:
    """(component, split) of the stores that have pairs and no likelihoods of the reference."""
    return [
        (name, split)
        for name, store in stores.items()
        for split in (TRAIN, VALIDATION)
        if store.num_tokens(split + MARKS) > 1 and reference.read(store, split) is None
    ]


@dataclasses.dataclass(frozen=True)
class Scorer:
    """The base on a mesh, ready to score pairs in batches of `batch_size` rows."""

    model: nn.Module
    params: Mapping
    mesh: jax.sharding.Mesh
    batch_size: int
    num_chunks: int

    @classmethod
    def load(cls, config: PolyLMConfig, mesh, path: str, step, batch_size: int, num_chunks: int):
        """Raises InputError for another model."""
        model = PolyLM(config)
        abstract = partitioning.placed_shapes(abstract_params(model), mesh)
        params = checkpoint.restore_params(path, abstract, step)
        computed = layers_apart.computed(config)
        return cls(computed, params, mesh, batch_size, num_chunks)

    def score(self, pairs: Pairs, length: int, padding: int) -> dict[str, np.ndarray]:
        """{'chosen', 'rejected'}: the sum of log p of each pair's answers, float32 [E]."""
        found = {name: np.full(len(pairs), np.nan, np.float32) for name in ("chosen", "rejected")}
        for start in range(0, pairs.num_rows, self.batch_size):
            rows = np.arange(start, min(start + self.batch_size, pairs.num_rows))
            batch = pairs.rows(rows, length, padding)
            placed = {name: self._place(values) for name, values in batch.items()}
            values = jax.device_get(self._sums(self.params, placed))
            for number, row in enumerate(rows.tolist()):
                held = pairs.examples[slice(*pairs.starts[row : row + 2])]
                for name, sums_BP in values.items():
                    found[name][held] = sums_BP[number, 1 : len(held) + 1]
        return found

    @functools.cached_property
    def _sums(self):
        def both(params, batch):
            _, nll_BL = row_loss(
                self.model, params, batch["tokens"], jnp.abs(batch["weights"]),
                num_chunks=self.num_chunks, positions_BT=batch["positions_BT"],
                segment_ids_BT=batch["segment_ids_BT"],
            )  # fmt: skip
            signs = {"chosen": batch["weights"] > 0, "rejected": batch["weights"] < 0}
            return {name: sums(-nll_BL * here, batch["pair_BL"]) for name, here in signs.items()}

        jitted = jax.jit(both, out_shardings=partitioning.replicated(self.mesh))

        def run(params, batch):
            with partitioning.activate(self.mesh):
                return jitted(params, batch)

        return run

    def _place(self, rows: np.ndarray) -> jax.Array:
        """Rows on the mesh, the batch filled up with rows of which nothing counts."""
        full = np.pad(rows, [(0, self.batch_size - len(rows))] + [(0, 0)] * (rows.ndim - 1))
        sharding = partitioning.batch_sharding(self.mesh)
        return jax.make_array_from_callback(full.shape, sharding, lambda index: full[index])
