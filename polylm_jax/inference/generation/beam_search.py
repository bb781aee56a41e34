"""Beam search: the likeliest texts, with the rules of transformers' `generate(num_beams=...)`.

Shapes: B prompts, K beams, C candidates (the best 2K or more continuations), M new tokens at most,
V vocabulary. The cache holds B x K rows, the beams of a prompt side by side.

The best C continuations of all beams are found; those that end a text may enter the K best ended
ones, if they are among the first K; the best K others go on. Scores of ended texts are the sum of
log p over length ** length_penalty, the length counting new tokens with the end of text.
"""

import dataclasses
import functools

import flax.struct
import jax
import jax.numpy as jnp

from polylm_jax.errors import InputError
from polylm_jax.inference.generation import sampling
from polylm_jax.runtime.parameter_types import check_ranges
from polylm_jax.runtime.ranges import Count, Finite

NEVER = -1e9  # the score of what may not be chosen
EARLY_STOPPING = (True, False, "never")


@dataclasses.dataclass(frozen=True)
class Beams:
    """What a search looks for; PolyLM's examples use 4 beams.

    beams: texts followed at once. length_penalty: above 0 favours long texts, below 0 short ones.
    early_stopping: True ends at `beams` ended texts; False when the best one under way is no better
    than the worst ended at its present length; 'never' when it can't become better at any length.
    """

    beams: Count = 4
    length_penalty: Finite = 1.0
    early_stopping: bool | str = False

    def check(self) -> "Beams":
        """Itself, or InputError for what is no search."""
        check_ranges(self)
        if self.early_stopping not in EARLY_STOPPING:
            raise InputError(
                f"early_stopping = {self.early_stopping!r}: give True, False or 'never'."
            )
        return self


class Search(flax.struct.PyTreeNode):
    """A search between two steps; `ended` are texts that are over, best first.

    step: new tokens made. open_B: whether a prompt's ended texts can still be improved.
    """

    cache: dict
    step: jax.Array
    open_B: jax.Array
    token_BK: jax.Array
    text_BKM: jax.Array
    score_BK: jax.Array
    seen_BKV: jax.Array | None
    ended_text_BKM: jax.Array
    ended_score_BK: jax.Array
    ended_length_BK: jax.Array  # 0 for none yet

    @property
    def going_B(self) -> jax.Array:
        return self.open_B & (self.step < self.text_BKM.shape[-1])


def begin(cache, seen_BV, open_B, beams: Beams, limit: int) -> Search:
    """The search before its first token; every row of the cache becomes K of them."""
    B, K = len(open_B), beams.beams
    none_BKM = jnp.zeros((B, K, limit), jnp.int32)
    return Search(
        cache=jax.tree.map(lambda x: jnp.repeat(x, K, axis=0), cache),
        step=jnp.int32(0),
        open_B=open_B,
        token_BK=jnp.zeros((B, K), jnp.int32),
        text_BKM=none_BKM,
        score_BK=jnp.full((B, K), NEVER).at[:, 0].set(0.0),  # K equal beams would stay equal
        seen_BKV=None if seen_BV is None else jnp.repeat(seen_BV[:, None], K, axis=1),
        ended_text_BKM=none_BKM,
        ended_score_BK=jnp.full((B, K), NEVER),
        ended_length_BK=jnp.zeros((B, K), jnp.int32),
    )


def extend(
    search: Search, logits_BKV: jax.Array, penalty_B: jax.Array, beams: Beams, eos: tuple[int, ...]
) -> Search:
    """The search one token further; its cache is reordered and does not have the token's keys yet."""
    B, K, V = logits_BKV.shape
    log_p_BKV = jax.nn.log_softmax(logits_BKV, axis=-1)
    if search.seen_BKV is not None:
        lower = jax.vmap(sampling.penalise, in_axes=(1, 1, None), out_axes=1)
        log_p_BKV = lower(log_p_BKV, search.seen_BKV, penalty_B)
    total_BV = (log_p_BKV + search.score_BK[:, :, None]).reshape(B, K * V)
    score_BC, index_BC = jax.lax.top_k(total_BV, max(2, 1 + len(eos)) * K)
    parent_BC, token_BC = index_BC // V, (index_BC % V).astype(jnp.int32)
    text_BCM = _beams(search.text_BKM, parent_BC).at[:, :, search.step].set(token_BC)
    over_BC = jnp.full(token_BC.shape, search.step + 1 == search.text_BKM.shape[-1])
    for end in eos:
        over_BC |= token_BC == end
    search = _end(search, score_BC, text_BCM, over_BC, beams)
    score_BK, chosen_BK = jax.lax.top_k(score_BC + over_BC * NEVER, K)
    parent_BK, token_BK = _beams(parent_BC, chosen_BK), _beams(token_BC, chosen_BK)
    search = search.replace(
        cache=_reordered(search.cache, parent_BK),
        step=search.step + 1,
        token_BK=token_BK,
        text_BKM=_beams(text_BCM, chosen_BK),
        score_BK=score_BK,
        seen_BKV=_seen(search.seen_BKV, parent_BK, token_BK),
    )
    return search.replace(open_B=_open(search, beams))


def _end(search, score_BC, text_BCM, over_BC, beams):
    """Candidates that are over, among the best K of them, into the K best ended texts."""
    K = search.token_BK.shape[1]
    may_BC = over_BC & (jnp.arange(over_BC.shape[1]) < K) & search.open_B[:, None]
    if beams.early_stopping is True:
        may_BC &= ~_full(search)[:, None]
    length = search.step + 1
    final_BC = score_BC / length.astype(jnp.float32) ** beams.length_penalty
    merge = functools.partial(jnp.concatenate, axis=1)
    all_scores = merge([search.ended_score_BK, jnp.where(may_BC, final_BC, NEVER)])
    ended_score_BK, chosen_BK = jax.lax.top_k(all_scores, K)
    lengths = merge([search.ended_length_BK, jnp.where(may_BC, length, 0)])
    return search.replace(
        ended_score_BK=ended_score_BK,
        ended_length_BK=_beams(lengths, chosen_BK),
        ended_text_BKM=_beams(merge([search.ended_text_BKM, text_BCM]), chosen_BK),
    )


def _open(search, beams):
    """Whether a text under way may still become better than the worst ended one."""
    length = search.step
    if beams.early_stopping == "never" and beams.length_penalty > 0:
        length = jnp.int32(search.text_BKM.shape[-1])
    best_B = search.score_BK[:, 0] / length.astype(jnp.float32) ** beams.length_penalty
    worst_B = jnp.where(_full(search), jnp.min(search.ended_score_BK, axis=1), NEVER)
    open_B = search.open_B & (best_B > worst_B)
    return open_B & ~_full(search) if beams.early_stopping is True else open_B


def _full(search):
    return jnp.all(search.ended_length_BK > 0, axis=1)


def _beams(x_BK, index_BK):
    """x[b, index[b, k]] for every b and k, whatever axes follow."""
    return jnp.take_along_axis(x_BK, index_BK.reshape(index_BK.shape + (1,) * (x_BK.ndim - 2)), 1)


def _reordered(cache, parent_BK):
    B, K = parent_BK.shape
    apart = jax.tree.map(lambda x: x.reshape(B, K, *x.shape[1:]), cache)
    return jax.tree.map(lambda x: _beams(x, parent_BK).reshape(B * K, *x.shape[2:]), apart)


def _seen(seen_BKV, parent_BK, token_BK):
    if seen_BKV is None:
        return None
    token_BKV = jax.nn.one_hot(token_BK, seen_BKV.shape[-1], dtype=bool)
    return _beams(seen_BKV, parent_BK) | token_BKV
