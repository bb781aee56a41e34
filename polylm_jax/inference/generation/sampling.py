"""Logits -> the next token: repetition penalty, temperature, top-k, top-p, and whose turn of chance it is.

Shapes: B rows, V vocabulary, K candidates.

Filters and their order are those of transformers (penalty, temperature, top-k, top-p), except that
tokens tied with the last one kept are kept too. Every row has its own numbers, and its chance is a
function of (seed, sample, position) alone: neither the row's place nor what stands beside it matters.
"""

import dataclasses
from collections.abc import Sequence

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from polylm_jax.runtime.parameter_types import check_ranges
from polylm_jax.runtime.ranges import Natural, NonNegative, Positive, SomeShare

REMOVED = -jnp.inf


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How the next token is chosen; the defaults are greedy.

    temperature: divides the logits; 0 takes the most likely token. top_k: only the k most likely,
    0 for all. top_p: only the fewest of them that together have this probability, 1 for all.
    repetition_penalty: divides the positive logits and multiplies the negative ones of every token
    in the prompt and the text so far (CTRL, arXiv 1909.05858); 1 for none.
    """

    temperature: NonNegative = 0.0
    top_k: Natural = 0
    top_p: SomeShare = 1.0
    repetition_penalty: Positive = 1.0

    def check(self) -> "Sampling":
        """Itself, or InputError for a number out of its range."""
        return check_ranges(self)


GREEDY = Sampling()


Array = jax.Array | np.ndarray  # of the host until it is placed


class Knobs(flax.struct.PyTreeNode):
    """`Sampling` and chance of every row, as arrays [B]: no value of theirs costs a compile."""

    temperature_B: Array
    top_k_B: Array
    top_p_B: Array
    penalty_B: Array
    seed_B: Array
    sample_B: Array


@dataclasses.dataclass(frozen=True)
class Kind:
    """What a program has to be able to do (static): the cheapest that serves all of its rows.

    samples: some row has a temperature. candidates: how many tokens are sorted for the filters,
    0 for none. penalises: some row has a repetition penalty.
    """

    samples: bool = False
    candidates: int = 0
    penalises: bool = False


def knobs(rows: Sequence[tuple[Sampling, int, int]]) -> Knobs:
    """(sampling, seed, sample) of every row -> arrays."""
    chosen = [sampling for sampling, _, _ in rows]
    return Knobs(
        temperature_B=np.array([s.temperature for s in chosen], np.float32),
        top_k_B=np.array([s.top_k for s in chosen], np.int32),
        top_p_B=np.array([s.top_p for s in chosen], np.float32),
        penalty_B=np.array([s.repetition_penalty for s in chosen], np.float32),
        seed_B=np.array([seed % 2**32 for _, seed, _ in rows], np.uint32),
        sample_B=np.array([sample for _, _, sample in rows], np.uint32),
    )


def kind(rows: Sequence[Sampling], vocab_size: int) -> Kind:
    """The cheapest program for these rows; candidates go to powers of two, or all of V."""
    drawn = [s for s in rows if s.temperature > 0]
    filtered = [s for s in drawn if s.top_k or s.top_p < 1]
    widest = max((s.top_k or vocab_size for s in filtered), default=0)
    return Kind(
        samples=bool(drawn),
        candidates=min(vocab_size, 1 << (widest - 1).bit_length()) if widest else 0,
        penalises=any(s.repetition_penalty != 1 for s in rows),
    )


def choose(
    logits_BV: jax.Array, knobs: Knobs, kind: Kind, seen_BV: jax.Array | None, position_B: jax.Array
) -> jax.Array:
    """The next token of every row, int32 [B].

    seen_BV: the tokens that the penalty is for, None where no row has one. position_B: where in
    its row the token will stand; with seed and sample it decides the row's chance.
    """
    if kind.penalises:
        assert seen_BV is not None
        logits_BV = penalise(logits_BV, seen_BV, knobs.penalty_B)
    greedy_B = likeliest(logits_BV)
    if not kind.samples:
        return greedy_B
    warm_B = knobs.temperature_B > 0
    scaled_BV = logits_BV / jnp.where(warm_B, knobs.temperature_B, 1.0)[:, None]
    least_B = None
    if kind.candidates:
        least_B = threshold(scaled_BV, knobs.top_k_B, knobs.top_p_B, kind.candidates)
    return jnp.where(warm_B, draw(scaled_BV, least_B, knobs, position_B), greedy_B)


def penalise(logits_BV: jax.Array, seen_BV: jax.Array, penalty_B: Array) -> jax.Array:
    """Logits of the tokens seen, further down by each row's penalty."""
    penalty_B1 = penalty_B[:, None]
    lower_BV = jnp.where(logits_BV < 0, logits_BV * penalty_B1, logits_BV / penalty_B1)
    return jnp.where(seen_BV, lower_BV, logits_BV)


def threshold(logits_BV: jax.Array, top_k_B: Array, top_p_B: Array, candidates: int) -> jax.Array:
    """The least logit that top-k and then top-p keep, [B]; at least one token is kept."""
    sorted_BK = jax.lax.top_k(logits_BV, candidates)[0]
    rank_B = jnp.where(top_k_B > 0, jnp.minimum(top_k_B, candidates), candidates) - 1
    of_k_B = jnp.take_along_axis(sorted_BK, rank_B[:, None], axis=1)[:, 0]
    within_BK = jnp.where(sorted_BK >= of_k_B[:, None], sorted_BK, REMOVED)
    p_BK = jax.nn.softmax(within_BK, axis=-1)
    before_BK = jnp.cumsum(p_BK, axis=-1) - p_BK
    keep_BK = (before_BK < top_p_B[:, None]) | (top_p_B >= 1)[:, None]
    of_p_B = jnp.min(jnp.where(keep_BK, within_BK, jnp.inf), axis=-1)
    unfiltered_B = (top_k_B == 0) & (top_p_B >= 1)
    return jnp.where(unfiltered_B, REMOVED, jnp.maximum(of_k_B, of_p_B))


def draw(logits_BV, least_B, knobs, position_B):
    """One token of each row by its probability: the largest of logits + Gumbel noise.

    least_B: logits below it are out, None for none.
    """
    if least_B is not None:
        logits_BV = jnp.where(logits_BV >= least_B[:, None], logits_BV, REMOVED)

    def noise(seed, sample, position):
        key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), sample), position)
        return jax.random.gumbel(key, logits_BV.shape[1:], jnp.float32)

    noise_BV = jax.vmap(noise)(knobs.seed_B, knobs.sample_B, position_B)
    return likeliest(logits_BV + noise_BV)


def likeliest(logits_BV):
    """The first of the largest. Two plain reductions: argmax's own is four times slower on a CPU."""
    last = logits_BV.shape[-1] - 1
    ids_V = jnp.arange(last + 1, dtype=jnp.int32)
    largest_B1 = jnp.max(logits_BV, axis=-1, keepdims=True)
    return jnp.min(jnp.where(logits_BV == largest_B1, ids_V, last), axis=-1)
