"""The compiled parts of serving: prefill some prompts, place their rows among others, make tokens.

Shapes: P rows of one prefill, B rows of a group, W of them computed, T positions of a prompt bucket, C tokens of a call,
K likeliest tokens, V vocabulary.

As in `generation.steps` a row's keys are in columns 0, 1, 2 ... of its own; here rows also come and
go while the others stay where they are.
"""

import functools

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

from polylm_jax.inference.generation import steps
from polylm_jax.inference.generation.steps import Static
from polylm_jax.inference.serving import sampler
from polylm_jax.inference.serving.sampler import Chosen, Controls, Memory

POSITIONS = 64  # of a prefill whose logits are held at once, over all of its rows


class Rows(flax.struct.PyTreeNode):
    """Texts under way. cache: the model's; token_B: the last token made, not yet in the cache."""

    cache: dict
    token_B: jax.Array
    memory: Memory


class PromptLogP(flax.struct.PyTreeNode):
    """Of the prompt's tokens but the first: log p, the likeliest in their place and theirs."""

    log_p_PT: jax.Array
    likeliest_PTK: jax.Array
    log_p_PTK: jax.Array


@functools.partial(jax.jit, static_argnames=("static", "columns"))
def prefill(
    params, tokens_PT, lengths_P, controls: Controls, with_prompt, *, static: Static, columns: int
) -> tuple[Rows, Chosen, PromptLogP]:
    """Prompts in one pass -> rows of `columns`, the first token of each, what the prompts tell.

    tokens_PT: right-padded. lengths_P: 1 at least. with_prompt: bool scalar, whether
    `PromptLogP` is computed; else zeros.
    """
    options = {"prefill": True, "lengths_B": lengths_P, "cache_length": columns}
    x_PTD, cache = steps.hidden(static, params, tokens_PT, **options)
    x_PD = jnp.take_along_axis(x_PTD, (lengths_P - 1)[:, None, None], axis=1)[:, 0]
    logits_PV = steps.all_logits(params, x_PD)
    given_PT = jnp.arange(tokens_PT.shape[1]) < lengths_P[:, None]
    rows_P1 = jnp.arange(len(lengths_P))[:, None]
    memory = Memory(
        seen_BV=jnp.zeros(logits_PV.shape, bool).at[rows_P1, tokens_PT].max(given_PT),
        made_BV=jnp.zeros(logits_PV.shape, jnp.int16),
    )
    chosen = sampler.choose(logits_PV, static.pieces, controls, memory, cache["cache_index"])
    rows = Rows(cache, chosen.token_B, sampler.remember(memory, chosen.token_B))
    return _placed(rows), *steps.everywhere(
        (chosen, _prompt_log_p(static, params, x_PTD, tokens_PT, with_prompt))
    )


def _prompt_log_p(static, params, x_PTD, tokens_PT, wanted):
    """`PromptLogP` of all positions, a few at a time: [P, T, V] is never held."""
    P, T, _ = x_PTD.shape
    count = max(1, POSITIONS // P)
    count = next(size for size in range(min(count, T), 0, -1) if T % size == 0)
    label_PT = jnp.roll(tokens_PT, -1, axis=1)

    def some(first):
        x_PcD = jax.lax.dynamic_slice_in_dim(x_PTD, first, count, axis=1)
        label_Pc = jax.lax.dynamic_slice_in_dim(label_PT, first, count, axis=1)
        logits_BV = steps.all_logits(params, x_PcD.reshape(P * count, -1))
        found = sampler.log_likelihoods(logits_BV, static.pieces, label_Pc.reshape(-1), True)
        return jax.tree.map(lambda x: x.reshape(P, count, *x.shape[1:]), found)

    def found():
        by_part = jax.lax.map(some, jnp.arange(0, T, count))
        return jax.tree.map(lambda x: jnp.moveaxis(x, 0, 1).reshape(P, T, *x.shape[3:]), by_part)

    def nothing():
        return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(found))

    return PromptLogP(*jax.lax.cond(wanted, found, nothing))


@functools.partial(jax.jit, static_argnames=("static", "chunk"), donate_argnames=("rows",))
def advance(
    params, rows: Rows, places_W, left_W, controls: Controls, count, *, static: Static, chunk: int
) -> tuple[Rows, Chosen]:
    """Up to `count` (<= chunk) more tokens of some rows, fewer where one has fewer left or ends.

    places_W: the rows that are computed, B for none; not looked at where W is B, and all are.
    left_W: tokens that a row may still make, 0 for one that is none. controls: of the W. Returns
    early once none goes on. -> the rows, and `Chosen` [W, C, ...], `steps.NONE` where none was made.
    """
    if len(left_W) == len(rows.token_B):
        return _advance(params, rows, left_W, controls, count, static, chunk)
    some = jax.tree.map(lambda x: jnp.take(x, places_W, axis=0, mode="clip"), rows)
    some, made = _advance(params, some, left_W, controls, count, static, chunk)
    whole = jax.tree.map(lambda all, x: all.at[places_W].set(x, mode="drop"), rows, some)
    return _placed(whole), made


def _advance(params, rows, left_B, controls, count, static, chunk):
    """Of all rows that it is given."""

    def wanted(carry):
        step, _, left_B, _ = carry
        return (step < count) & jnp.any(left_B > 0)

    def one(carry):
        step, rows, left_B, made = carry
        x_BTD, cache = steps.hidden(
            static, params, rows.token_B[:, None], cache=rows.cache, decode=True
        )
        logits_BV = steps.all_logits(params, x_BTD[:, -1])
        new = sampler.choose(logits_BV, static.pieces, controls, rows.memory, cache["cache_index"])
        rows = Rows(cache, new.token_B, sampler.remember(rows.memory, new.token_B))
        shown = new.replace(token_B=jnp.where(left_B > 0, new.token_B, steps.NONE))
        made = jax.tree.map(
            lambda all, x: jax.lax.dynamic_update_index_in_dim(all, x, step, axis=1), made, shown
        )
        left_B = jnp.maximum(left_B - 1, 0)
        for end in static.eos:
            left_B = jnp.where(new.token_B == end, 0, left_B)
        return step + 1, _placed(rows), left_B, made

    made = _unmade(len(left_B), chunk, min(static.pieces, static.config.vocab_size))
    start = (jnp.int32(0), _placed(rows), left_B, made)
    _, rows, _, made = jax.lax.while_loop(wanted, one, start)
    return _placed(rows), steps.everywhere(made)


def _unmade(B, C, V):
    K = min(sampler.LIKELIEST, V)
    return Chosen(
        token_B=jnp.full((B, C), steps.NONE, jnp.int32),
        log_p_B=jnp.zeros((B, C), jnp.float32),
        likeliest_BK=jnp.zeros((B, C, K), jnp.int32),
        log_p_BK=jnp.zeros((B, C, K), jnp.float32),
    )


@functools.partial(jax.jit, donate_argnames=("rows",))
def join(rows: Rows, new: Rows, places_P) -> Rows:
    """`rows` with row p of `new` at places_P[p]; a place of B or more is none."""
    return _placed(
        jax.tree.map(lambda all, some: all.at[places_P].set(some, mode="drop"), rows, new)
    )


@functools.partial(jax.jit, donate_argnames=("wide",))
def move(wide: Rows, narrow: Rows, from_B, to_B) -> Rows:
    """`wide` with row from_B[i] of `narrow`, which has fewer columns, at to_B[i]."""

    def one(all, some):
        some = some[from_B]
        if some.ndim == 4:
            some = jnp.pad(some, [(0, 0)] * 3 + [(0, all.shape[-1] - some.shape[-1])])
        return all.at[to_B].set(some, mode="drop")

    return _placed(jax.tree.map(one, wide, narrow))


@functools.partial(jax.jit, static_argnames=("static", "rows", "columns"))
def empty(params, *, static: Static, rows: int, columns: int) -> Rows:
    """Rows of which none is a text."""
    shape = jax.eval_shape(
        lambda: steps.hidden(
            static, params, jnp.zeros((rows, 1), jnp.int32), prefill=True,
            lengths_B=jnp.ones(rows, jnp.int32), cache_length=columns,
        )[1]
    )  # fmt: skip
    cache = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shape)
    V = static.config.vocab_size
    memory = Memory(jnp.zeros((rows, V), bool), jnp.zeros((rows, V), jnp.int16))
    return _placed(Rows(cache, jnp.zeros(rows, jnp.int32), memory))


def _placed(rows: Rows) -> Rows:
    """Where rows lie, the same after each program, or the next one would be compiled anew."""
    names = {
        1: ("batch",),
        2: ("batch", "vocab"),
        4: ("batch", "heads", "head_dim", "cache_length"),
    }
    return jax.tree.map(lambda x: nn.with_logical_constraint(x, names[x.ndim]), rows)
