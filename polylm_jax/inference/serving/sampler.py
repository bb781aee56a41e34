"""Logits -> the next token of every row and its log-likelihood, by one program for all requests.

Shapes: B rows, V vocabulary, K likeliest tokens, E entries of a logit bias.

What a request asks for costs no compile: its numbers are arrays, and which work there is to do (a
sort of the vocabulary, penalties, log-likelihoods) is decided on the device.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from polylm_jax.errors import InputError
from polylm_jax.inference.generation import sampling, steps
from polylm_jax.inference.generation.sampling import GREEDY, Array, Sampling

LIKELIEST = 20  # tokens that log-likelihoods are given of, the protocol's most
BIASES = 300  # the protocol's most
FEW = 64  # top-k up to here sorts no more candidates than these


@dataclasses.dataclass(frozen=True)
class Rule:
    """How one request's tokens are chosen.

    frequency, presence: subtracted from the logit of a token for each time, and for the first
    time, that it was made. bias: added to the logit of a token id.
    """

    sampling: Sampling = GREEDY
    seed: int = 0
    sample: int = 0
    frequency: float = 0.0
    presence: float = 0.0
    bias: Mapping[int, float] = dataclasses.field(default_factory=dict)

    def check(self, pieces: int) -> "Rule":
        """Itself, or InputError for a number out of its range."""
        self.sampling.check()
        wrong = [token for token in self.bias if not 0 <= token < pieces]
        if wrong:
            raise InputError(
                f"logit_bias has token {wrong[0]} and the vocabulary {pieces} pieces: give ids "
                f"from 0 to {pieces - 1}."
            )
        return self

    @property
    def changes(self) -> bool:
        """Whether logits are not what the model says."""
        penalises = self.sampling.repetition_penalty != 1 or self.frequency or self.presence
        return bool(penalises or self.bias)

    @property
    def sampler(self) -> int:
        """0 the likeliest, 1 drawn from all, 2 from the FEW likeliest, 3 from the likeliest."""
        s = self.sampling
        if not s.temperature:
            return 0
        return 2 if 0 < s.top_k <= FEW else 3 if s.top_k or s.top_p < 1 else 1


class Controls(flax.struct.PyTreeNode):
    """`Rule` of every row as arrays, and what is to be done for at least one of them (scalars)."""

    knobs: sampling.Knobs
    frequency_B: Array
    presence_B: Array
    bias_token_BE: Array
    bias_BE: Array
    sampler: Array
    changes: Array
    log_p: Array


class Chosen(flax.struct.PyTreeNode):
    """token_B: made. log_p_B: of it, before any rule. The likeliest tokens and theirs, best first."""

    token_B: jax.Array
    log_p_B: jax.Array
    likeliest_BK: jax.Array
    log_p_BK: jax.Array


class Memory(flax.struct.PyTreeNode):
    """What penalties are for: tokens in prompt or text, and how often each was made."""

    seen_BV: jax.Array
    made_BV: jax.Array


def controls(rules: Sequence[Rule | None], log_p: bool) -> Controls:
    """The rows' rules; None for a row without a job. log_p: whether log-likelihoods are computed."""
    plain = Rule()
    rows = [rule or plain for rule in rules]
    token_BE = np.full((len(rows), BIASES), np.iinfo(np.int32).max, np.int32)
    bias_BE = np.zeros(token_BE.shape, np.float32)
    for row, rule in enumerate(rows):
        for entry, (token, bias) in enumerate(rule.bias.items()):
            token_BE[row, entry], bias_BE[row, entry] = token, bias
    return Controls(
        knobs=sampling.knobs([(rule.sampling, rule.seed, rule.sample) for rule in rows]),
        frequency_B=np.array([rule.frequency for rule in rows], np.float32),
        presence_B=np.array([rule.presence for rule in rows], np.float32),
        bias_token_BE=token_BE,
        bias_BE=bias_BE,
        # The cheapest that serves all.
        sampler=np.array(max(rule.sampler for rule in rows), np.int32),
        changes=np.array(any(rule.changes for rule in rows)),
        log_p=np.array(log_p),
    )


def choose(
    all_BV: jax.Array, pieces: int, controls: Controls, memory: Memory, position_B: jax.Array
) -> Chosen:
    """The next token of every row. all_BV: float32 logits of all ids; those from `pieces` on are
    never made. position_B: where it will stand."""
    logits_BV = steps.with_pieces(all_BV, pieces)
    ruled_BV = jax.lax.cond(
        controls.changes, functools.partial(_ruled, controls, memory), lambda x: x, logits_BV
    )
    greedy_B = sampling.likeliest(ruled_BV)
    drawn = functools.partial(_drawn, controls, position_B)
    token_B = jax.lax.cond(
        controls.sampler > 0, drawn, lambda _, greedy_B: greedy_B, ruled_BV, greedy_B
    )
    return Chosen(token_B, *log_likelihoods(all_BV, pieces, token_B, controls.log_p))


def _drawn(controls, position_B, logits_BV, greedy_B):
    """As `sampling.choose` draws, with the candidates that are sorted decided on the device."""
    knobs, (B, V) = controls.knobs, logits_BV.shape
    warm_B = knobs.temperature_B > 0
    scaled_BV = logits_BV / jnp.where(warm_B, knobs.temperature_B, 1.0)[:, None]

    def least_of(candidates):
        return lambda x_BV: sampling.threshold(x_BV, knobs.top_k_B, knobs.top_p_B, candidates)

    branches = [lambda _: jnp.full(B, sampling.REMOVED), least_of(min(FEW, V)), least_of(V)]
    least_B = jax.lax.switch(controls.sampler - 1, branches, scaled_BV)
    return jnp.where(warm_B, sampling.draw(scaled_BV, least_B, knobs, position_B), greedy_B)


def _ruled(controls, memory, logits_BV):
    made_BV = memory.made_BV.astype(jnp.float32)
    logits_BV = sampling.penalise(logits_BV, memory.seen_BV, controls.knobs.penalty_B)
    logits_BV -= controls.frequency_B[:, None] * made_BV
    logits_BV -= controls.presence_B[:, None] * (made_BV > 0)
    rows_B1 = jnp.arange(len(logits_BV))[:, None]
    return logits_BV.at[rows_B1, controls.bias_token_BE].add(controls.bias_BE, mode="drop")


def log_likelihoods(all_BV, pieces, token_B, wanted) -> tuple[jax.Array, jax.Array, jax.Array]:
    """log p of a token of every row, the likeliest tokens and theirs; zeros where not wanted.

    They are the model's own: ids without a piece count in the sum, and are among no likeliest.
    """
    K = min(LIKELIEST, pieces, all_BV.shape[-1])

    def found(logits_BV):
        total_B1 = jax.nn.logsumexp(logits_BV, axis=-1, keepdims=True)
        top_BK, ids_BK = jax.lax.top_k(steps.with_pieces(logits_BV, pieces), K)
        of_B1 = jnp.take_along_axis(logits_BV, token_B[:, None], axis=-1)
        return (of_B1 - total_B1)[:, 0], ids_BK.astype(jnp.int32), top_BK - total_B1

    def nothing(logits_BV):
        B = len(logits_BV)
        zeros_BK = jnp.zeros((B, K), jnp.float32)
        return jnp.zeros(B, jnp.float32), jnp.zeros((B, K), jnp.int32), zeros_BK

    return jax.lax.cond(wanted, found, nothing, all_BV)


def remember(memory: Memory, token_B: jax.Array) -> Memory:
    """With one more token in every row's text."""
    rows_B = jnp.arange(len(token_B))
    return Memory(
        seen_BV=memory.seen_BV.at[rows_B, token_B].set(True),
        made_BV=memory.made_BV.at[rows_B, token_B].add(1),
    )
