"""The compiled parts of generation: prefill prompts, make tokens, search, widen the cache.

Shapes: B rows, T positions of a prompt bucket, V vocabulary, C tokens of one call.

Row b keeps its keys in columns 0, 1, 2 ... of its own, whatever the others' lengths; its positions
are its columns. Programs differ by the prompt bucket, the columns of the cache and `Kind`.
"""

import dataclasses
import functools

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

from polylm_jax.inference.generation import sampling
from polylm_jax.inference.generation.beam_search import Beams, Search, begin, extend
from polylm_jax.model import precision
from polylm_jax.model.config import PolyLMConfig
from polylm_jax.model.network import PolyLM

CHUNK = 64  # tokens that one call can make
NONE = -1  # in a chunk's output: this row made no token here


class State(flax.struct.PyTreeNode):
    """Generation between two calls.

    cache: the model's; its `cache_index` [B] counts the tokens whose keys it has. token_B: the
    last token made, not yet in the cache. left_B: tokens that a row may still make; 0 ends it.
    seen_BV: the tokens of prompt and text, None where no row has a repetition penalty.
    """

    cache: dict
    token_B: jax.Array
    left_B: jax.Array
    seen_BV: jax.Array | None


@dataclasses.dataclass(frozen=True)
class Static:
    """What a program is compiled for besides its shapes.

    eos: ids that end a row. pieces: ids from there on are rows of the embedding without a piece,
    and are never made.
    """

    config: PolyLMConfig
    kind: sampling.Kind
    eos: tuple[int, ...]
    pieces: int


def apply(static: Static, params, tokens_BT, *, last_B=None, **options):
    """The model and its cache -> (float32 logits [B, V] at `last_B` or the last T, the new cache)."""
    x_BTD, cache = hidden(static, params, tokens_BT, **options)
    if last_B is not None:
        x_BTD = jnp.take_along_axis(x_BTD, last_B[:, None, None], axis=1)
    return logits(static, params, x_BTD[:, -1]), cache


def hidden(static: Static, params, tokens_BT, *, cache=None, **options):
    """The model and its cache -> (the final hidden states [B, T, D], the new cache)."""
    of_model = {name: value for name, value in params.items() if name != "head"}
    variables = {"params": of_model} | ({} if cache is None else {"cache": cache})
    x_BTD, new = PolyLM(static.config).apply(variables, tokens_BT, mutable=["cache"], **options)
    return x_BTD, new["cache"]


def logits(static: Static, params, x_BD) -> jax.Array:
    """Hidden states -> float32 logits [B, V], -inf for rows of the embedding without a piece."""
    return with_pieces(all_logits(params, x_BD), static.pieces)


def all_logits(params, x_BD) -> jax.Array:
    """Hidden states -> float32 logits [B, V], of every row of the embedding: the model's own."""
    logits_BV = jnp.einsum(
        "BD,DV->BV",
        x_BD,
        params["head"],
        precision=precision.of(x_BD, params["head"]),
        preferred_element_type=jnp.float32,
    )
    return nn.with_logical_constraint(logits_BV, ("batch", "vocab"))


def with_pieces(logits_BV: jax.Array, pieces: int) -> jax.Array:
    """-inf for rows of the embedding without a piece, which are never made."""
    if pieces < logits_BV.shape[-1]:
        real_V = jnp.arange(logits_BV.shape[-1]) < pieces
        logits_BV = jnp.where(real_V, logits_BV, -jnp.inf)
    return logits_BV


@functools.partial(jax.jit, static_argnames=("static", "columns"))
def prefill(
    params, tokens_BT, lengths_B, left_B, knobs, *, static: Static, columns: int
) -> tuple[State, tuple[jax.Array, jax.Array]]:
    """All prompts in one pass, and the first token of every row -> the state, (tokens, left) [B].

    tokens_BT: right-padded. lengths_B: of the prompts, 1 at least. left_B: tokens wanted of each.
    columns: of the cache.
    """
    logits_BV, cache, seen_BV = _read(static, params, tokens_BT, lengths_B, columns)
    state = State(cache=cache, token_B=lengths_B, left_B=left_B, seen_BV=seen_BV)
    state = _chosen(static, state, logits_BV, knobs)
    return state, everywhere((state.token_B, state.left_B))


def _read(static, params, tokens_BT, lengths_B, columns):
    """Prompts -> (logits [B, V] of the token after each, a cache, the tokens seen)."""
    options = {"prefill": True, "lengths_B": lengths_B, "cache_length": columns}
    logits_BV, cache = apply(static, params, tokens_BT, last_B=lengths_B - 1, **options)
    if not static.kind.penalises:
        return logits_BV, cache, None
    given_BT = jnp.arange(tokens_BT.shape[1]) < lengths_B[:, None]
    rows_B1 = jnp.arange(len(lengths_B))[:, None]
    seen_BV = jnp.zeros(logits_BV.shape, bool).at[rows_B1, tokens_BT].max(given_BT)
    return logits_BV, cache, seen_BV


def everywhere(arrays):
    """Small results, whole on every device, so that every host can read them."""
    return jax.tree.map(
        lambda x: jax.lax.with_sharding_constraint(x, jax.sharding.PartitionSpec()), arrays
    )


@functools.partial(jax.jit, static_argnames=("static",), donate_argnames=("state",))
def advance(
    params, state: State, knobs, count, *, static: Static
) -> tuple[State, tuple[jax.Array, jax.Array]]:
    """Up to `count` (<= CHUNK) more tokens of every row that has not ended.

    -> the state, and (the tokens [B, CHUNK], NONE where a row made none; `left_B`). It returns
    early once all rows have ended.
    """

    def wanted(carry):
        step, state, _ = carry
        return (step < count) & jnp.any(state.left_B > 0)

    def one(carry):
        step, state, made_BC = carry
        alive_B = state.left_B > 0
        logits_BV, cache = apply(
            static, params, state.token_B[:, None], cache=state.cache, decode=True
        )
        state = _chosen(static, state.replace(cache=cache), logits_BV, knobs)
        made_B1 = jnp.where(alive_B, state.token_B, NONE)[:, None]
        return step + 1, state, jax.lax.dynamic_update_slice(made_BC, made_B1, (0, step))

    made_BC = jnp.full((len(state.token_B), CHUNK), NONE, jnp.int32)
    _, state, made_BC = jax.lax.while_loop(wanted, one, (jnp.int32(0), state, made_BC))
    return state, everywhere((made_BC, state.left_B))


def _chosen(static, state, logits_BV, knobs):
    """The state after the next token of every row; a row that has ended keeps what it has."""
    position_B = state.cache["cache_index"]
    token_B = sampling.choose(logits_BV, knobs, static.kind, state.seen_BV, position_B)
    seen_BV = state.seen_BV
    if seen_BV is not None:
        seen_BV = seen_BV.at[jnp.arange(len(token_B)), token_B].set(True)
    left_B = jnp.maximum(state.left_B - 1, 0)
    for end in static.eos:
        left_B = jnp.where(token_B == end, 0, left_B)
    return state.replace(token_B=token_B, left_B=left_B, seen_BV=seen_BV)


@functools.partial(jax.jit, static_argnames=("static", "columns", "beams", "limit"))
def search(
    params, tokens_BT, lengths_B, open_B, penalty_B, *,
    static: Static, columns: int, beams: Beams, limit: int,
) -> tuple[Search, jax.Array]:  # fmt: skip
    """Prefill of a beam search, and its first token -> the search, whether each prompt goes on.

    open_B: False for rows that are no prompts. limit: new tokens at most. Else as `prefill`.
    """
    logits_BV, cache, seen_BV = _read(static, params, tokens_BT, lengths_B, columns)
    found = begin(cache, seen_BV, open_B, beams, limit)
    logits_BKV = jnp.repeat(logits_BV[:, None], beams.beams, axis=1)
    found = extend(found, logits_BKV, penalty_B, beams, static.eos)
    return found, everywhere(found.going_B)


@functools.partial(jax.jit, static_argnames=("static", "beams"), donate_argnames=("found",))
def search_on(
    params, found: Search, penalty_B, count, *, static: Static, beams: Beams
) -> tuple[Search, jax.Array]:
    """Up to `count` more steps of a search -> the search, whether each prompt goes on."""

    def wanted(carry):
        step, found = carry
        return (step < count) & jnp.any(found.going_B)

    def one(carry):
        step, found = carry
        shape = found.token_BK.shape
        logits_BV, cache = apply(
            static, params, found.token_BK.reshape(-1, 1), cache=found.cache, decode=True
        )
        logits_BKV = logits_BV.reshape(*shape, -1)
        return step + 1, extend(
            found.replace(cache=cache), logits_BKV, penalty_B, beams, static.eos
        )

    _, found = jax.lax.while_loop(wanted, one, (jnp.int32(0), found))
    return found, everywhere(found.going_B)


@jax.jit
def ended(found: Search) -> tuple[jax.Array, jax.Array, jax.Array]:
    """A search's ended texts on every host, best first: ids, lengths, scores."""
    return everywhere((found.ended_text_BKM, found.ended_length_BK, found.ended_score_BK))


@functools.partial(jax.jit, static_argnames=("columns",))
def widen(cache: dict, *, columns: int) -> dict:
    """The same cache with more columns."""

    def wider(array):
        if array.ndim < 4:  # cache_index
            return array
        return jnp.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, columns - array.shape[-1])])

    return jax.tree.map(wider, cache)
