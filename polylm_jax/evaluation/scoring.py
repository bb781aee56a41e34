"""Log-likelihoods of continuations under a model, in batches of few shapes, on its mesh.

Shapes: P parts of the batch, one for each place that rows lie in, B rows, T tokens of a row, Q
positions of a part's rows, K places for labels in a part, C labels of a chunk, D embedding, V
vocabulary.

Logits are made for labels alone, a chunk of them at a time: [P, C, V] is the most that is held,
and a context costs no product with the vocabulary.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from polylm_jax.evaluation import batching
from polylm_jax.evaluation.batching import Batch
from polylm_jax.evaluation.requests import Request
from polylm_jax.model import partitioning, precision
from polylm_jax.model.axes import constrain

IN_FLIGHT = 2  # batches handed to the devices before the first one's result is fetched


class LogLikelihood(NamedTuple):
    """Of one continuation: log p (nats, summed), its tokens, whether each is the likeliest."""

    log_p: float
    tokens: int
    is_greedy: bool

    @property
    def mean(self) -> float:
        """log p per token."""
        return self.log_p / self.tokens


def label_scores(
    model: nn.Module, params, tokens_BT, places_PK, labels_PK, count, chunk: int
) -> tuple[jax.Array, jax.Array]:
    """log p (float32) and whether no token is likelier (bool), [P, K], of the first `count` labels.

    places_PK: positions in a part's rows, row after row, whose next token is asked about.
    count: int32 scalar; the loop over chunks ends where the labels do.
    """
    parts, places = places_PK.shape
    x_BTD = model.apply({"params": params}, tokens_BT)
    assert not isinstance(x_BTD, tuple)  # nothing of the model's is mutable
    x_PQD = constrain(x_BTD.reshape(parts, -1, x_BTD.shape[-1]), "batch", None, None)
    matrix_VD = constrain(params["wte"]["embedding"].astype(x_BTD.dtype), "vocab", None)
    chunk = min(chunk, places)

    def body(number, found):
        # The last chunk may begin before the one before it ended: what it repeats is the same.
        first = jnp.minimum(number * chunk, places - chunk)
        places_PC = jax.lax.dynamic_slice_in_dim(places_PK, first, chunk, axis=1)
        labels_PC = jax.lax.dynamic_slice_in_dim(labels_PK, first, chunk, axis=1)
        x_PCD = jnp.take_along_axis(x_PQD, places_PC[..., None], axis=1)
        log_p_PC, greedy_PC = _of_chunk(x_PCD, matrix_VD, labels_PC)
        log_p_PK, greedy_PK = found
        return (
            jax.lax.dynamic_update_slice_in_dim(log_p_PK, log_p_PC, first, axis=1),
            jax.lax.dynamic_update_slice_in_dim(greedy_PK, greedy_PC, first, axis=1),
        )

    start = (jnp.zeros((parts, places), jnp.float32), jnp.zeros((parts, places), bool))
    return jax.lax.fori_loop(0, (count + chunk - 1) // chunk, body, start)


def _of_chunk(x_PCD, matrix_VD, labels_PC):
    logits_PCV = jnp.einsum(
        "PCD,VD->PCV",
        x_PCD,
        matrix_VD,
        precision=precision.of(x_PCD),
        preferred_element_type=jnp.float32,
    )
    logits_PCV = constrain(logits_PCV, "batch", None, "vocab")
    label_PC = jnp.take_along_axis(logits_PCV, labels_PC[..., None], axis=-1)[..., 0]
    largest_PC = jnp.max(logits_PCV, axis=-1)
    total_PC = jnp.sum(jnp.exp(logits_PCV - largest_PC[..., None]), axis=-1)
    return label_PC - largest_PC - jnp.log(total_PC), label_PC >= largest_PC


class Scorer:
    """Scores requests with a model of `max_length` positions; one program per length of rows.

    tokens_per_part: tokens of a batch in each place that rows lie in (data x fsdp of the mesh).
    label_chunk: labels in each of those places whose logits are held at once.
    """

    def __init__(
        self, model: nn.Module, mesh: Mesh, *, tokens_per_part: int = 2048, label_chunk: int = 256
    ):
        self._mesh = mesh
        self._parts = mesh.shape["data"] * mesh.shape["fsdp"]
        self._tokens = tokens_per_part
        self.max_length = model.config.max_length
        self._lengths = batching.lengths(self.max_length, mesh.shape["tensor"])
        self._by_row = partitioning.batch_sharding(mesh)
        self._whole = partitioning.replicated(mesh)
        function = functools.partial(label_scores, model, chunk=label_chunk)
        self._function = jax.jit(function, out_shardings=self._whole)

    def fits(self, request: Request) -> bool:
        """Whether the model has positions for all of it."""
        return request.input_length <= self.max_length

    def score(
        self, params, requests: Sequence[Request], stop: Callable[[], bool] = lambda: False
    ) -> Iterator[tuple[int, LogLikelihood]]:
        """(number of the request, its log-likelihood), a batch at a time, the longest first.

        Requests that don't `fits` are left out: the caller counts them. Ends early once `stop()`.
        """
        for batch, found in self._batches(params, requests, stop):
            yield from self._collect(batch, found)

    def score_tokens(self, params, requests: Sequence[Request]) -> Iterator[tuple[int, np.ndarray]]:
        """(number of the request, float64 log p of each token of its continuation), as `score`."""
        for batch, (log_p_PK, _) in self._batches(params, requests):
            log_p_PK = jax.device_get(log_p_PK)
            for request, part, first, count in batch.spans:
                yield request, log_p_PK[part, first : first + count].astype(np.float64)

    def _batches(
        self, params, requests: Sequence[Request], stop: Callable[[], bool] = lambda: False
    ) -> Iterator[tuple[Batch, tuple[jax.Array, jax.Array]]]:
        """Batches with what the devices make of them, IN_FLIGHT of them at a time."""
        chosen = [number for number, request in enumerate(requests) if self.fits(request)]
        rows = batching.share_rows(requests, chosen)
        pending: list[tuple[Batch, tuple[jax.Array, jax.Array]]] = []
        for some in batching.cut(rows, self._lengths, self._parts, self._tokens):
            if stop():
                return
            batch = self._assemble(some, requests)
            pending.append((batch, self._dispatch(params, batch)))
            if len(pending) == IN_FLIGHT:
                yield pending.pop(0)
        yield from pending

    def all(self, params, requests: Sequence[Request]) -> list[LogLikelihood | None]:
        """One per request, in order; None for one that the model has no positions for."""
        found = dict(self.score(params, requests))
        return [found.get(number) for number in range(len(requests))]

    @property
    def programs(self) -> int:
        """How many shapes were compiled."""
        return self._function._cache_size()  # type: ignore[attr-defined]  # JAX has no public name

    def _assemble(self, rows: Sequence[batching.Row], requests: Sequence[Request]) -> Batch:
        length = batching.length_for(len(rows[0].ids), self._lengths)
        slots = batching.rows_of_part(length, self._tokens)
        return batching.assemble(rows, requests, length, self._parts, slots)

    def _dispatch(self, params, batch: Batch) -> tuple[jax.Array, jax.Array]:
        arrays = (self._place(x) for x in (batch.tokens, batch.places, batch.labels))
        count = self._put(np.array(batch.fullest, np.int32), self._whole)
        with partitioning.activate(self._mesh):
            return self._function(params, *arrays, count)

    def _place(self, rows: np.ndarray) -> jax.Array:
        return self._put(rows, self._by_row)

    def _put(self, array: np.ndarray, sharding) -> jax.Array:
        return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])

    @staticmethod
    def _collect(batch: Batch, found) -> Iterator[tuple[int, LogLikelihood]]:
        log_p_PK, greedy_PK = jax.device_get(found)
        for request, part, first, count in batch.spans:
            log_p = log_p_PK[part, first : first + count].sum(dtype=np.float64)
            greedy = greedy_PK[part, first : first + count].all()
            yield request, LogLikelihood(float(log_p), count, bool(greedy))
