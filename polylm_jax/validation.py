"""Bits per byte and per character of held-out text, per language, beside a smoothed unigram's.

Bits per byte = nats / (ln 2 x UTF-8 bytes), per character the same over code points (a Thai one is
three bytes). Both are summed over the same labels: the nats of every
label, the EOS that closes a document included; the bytes from the labels' pieces (EOS stands for
none). So vocabularies, and languages of any script, compare. Averages over languages are unweighted.

Shapes: R rows, B rows of a batch, L labels of a row, V vocabulary.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import rich.table
from jax.sharding import Mesh

from polylm_jax import partitioning
from polylm_jax.languages import LANGUAGES
from polylm_jax.token_store import TokenStore
from polylm_jax.train_step import row_loss

SPLIT = "validation"


@dataclasses.dataclass(frozen=True)
class Score:
    """Sums over labels; scores add up."""

    nats: float = 0.0
    bytes: int = 0
    tokens: int = 0
    characters: int = 0

    def __add__(self, other: "Score") -> "Score":
        return Score(
            self.nats + other.nats,
            self.bytes + other.bytes,
            self.tokens + other.tokens,
            self.characters + other.characters,
        )

    @property
    def bits_per_byte(self) -> float:
        return self.nats / (math.log(2) * self.bytes)

    @property
    def bits_per_character(self) -> float:
        return self.nats / (math.log(2) * self.characters)

    @property
    def loss(self) -> float:
        """Nats per token."""
        return self.nats / self.tokens


def average(scores: Mapping[str, Score], measure: str = "bits_per_byte") -> float:
    """The mean of a measure over languages, each counting once; pairs and code don't count.

    Over all labels where none is a language of the table.
    """
    languages = [label for label in scores if label in LANGUAGES] or list(scores)
    return float(np.mean([getattr(scores[label], measure) for label in languages]))


def report(scores: Mapping[str, Score], baseline: Mapping[str, Score]) -> dict:
    """A line of validation.jsonl: per language, and the unweighted average over languages."""
    return {
        "bits_per_byte": {label: score.bits_per_byte for label, score in scores.items()},
        "unigram_bits_per_byte": {label: baseline[label].bits_per_byte for label in scores},
        "average_bits_per_byte": average(scores),
        "bits_per_character": {k: score.bits_per_character for k, score in scores.items()},
        "average_bits_per_character": average(scores, "bits_per_character"),
        "loss": {label: score.loss for label, score in scores.items()},
        "bytes": {label: score.bytes for label, score in scores.items()},
        "tokens": {label: score.tokens for label, score in scores.items()},
    }


class Pieces(NamedTuple):
    """What the pieces of a vocabulary stand for: UTF-8 bytes and code points, int32 [V] each."""

    bytes: np.ndarray
    characters: np.ndarray


@dataclasses.dataclass(frozen=True)
class HeldOut:
    """Rows of held-out text: tokens int32 [R, L+1], how many labels of each count [R], whose [R]."""

    tokens: np.ndarray
    valid: np.ndarray
    label: np.ndarray
    labels: tuple[str, ...]

    @property
    def counted(self) -> np.ndarray:
        """bool [R, L]: the labels that count; a row that ends a short split is padded."""
        return np.arange(self.tokens.shape[1] - 1) < self.valid[:, None]

    def scores(self, nats: np.ndarray, pieces: Pieces) -> dict[str, Score]:
        """Sums per language of nats [R] and of the bytes, tokens and characters of the labels."""
        sums = {label: Score() for label in self.labels}
        bytes_R, characters_R = (
            (sizes[self.tokens[:, 1:]] * self.counted).sum(axis=1, dtype=np.int64)
            for sizes in pieces
        )
        for label, row_nats, *counts in zip(
            self.label, nats, bytes_R, self.valid, characters_R, strict=True
        ):
            sums[self.labels[label]] += Score(float(row_nats), *map(int, counts))
        return {name: score for name, score in sums.items() if score.bytes}


def _held_out_rows(store: TokenStore, length: int, max_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """(tokens [R, L+1], valid [R]): the whole split if it is short, else rows spread over it."""
    labels = store.num_tokens(SPLIT) - 1
    if labels < 1:
        return np.zeros((0, length + 1), np.int32), np.zeros(0, np.int64)
    if labels > max_rows * length:
        rows = np.arange(max_rows, dtype=np.int64) * (labels // length) // max_rows
        return store.read_rows(SPLIT, rows, length), np.full(max_rows, length)
    text = store.read_rows(SPLIT, np.zeros(1, np.int64), labels)[0]
    starts = np.arange(0, labels, length)
    padded = np.pad(text, (0, int(starts[-1]) + length - labels))
    tokens = np.stack([padded[start : start + length + 1] for start in starts])
    return tokens, np.minimum(length, labels - starts)


def held_out(
    stores: Mapping[str, TokenStore],
    languages: Mapping[str, str],
    length: int,
    max_rows: int,
) -> HeldOut:
    """The held-out rows of every component, at most `max_rows` of each, the same ones every time.

    languages: component -> label; components with the same one are pooled.
    """
    labels = tuple(sorted(set(languages.values())))
    parts = [
        (*_held_out_rows(store, length, max_rows), labels.index(languages[component]))
        for component, store in sorted(stores.items())
    ]
    return HeldOut(
        tokens=np.concatenate([tokens for tokens, _, _ in parts]),
        valid=np.concatenate([valid for _, valid, _ in parts]),
        label=np.concatenate([np.full(len(valid), label) for _, valid, label in parts]),
        labels=labels,
    )


def train_counts(
    store: TokenStore, vocab_size: int, max_tokens: int, length: int = 4096
) -> np.ndarray:
    """int64 [V]: how often each token stands in the training text.

    Above `max_tokens` in so many of them, as rows of `length` tokens spread over the text.
    """
    tokens = store.num_tokens("train")
    if tokens <= max_tokens:
        text = store.read_rows("train", np.zeros(1, np.int64), tokens - 1)
    else:
        wanted, available = max_tokens // length, store.num_rows("train", length)
        rows = np.arange(wanted, dtype=np.int64) * available // wanted
        text = store.read_rows("train", rows, length)[:, :-1]
    return np.bincount(text.ravel(), minlength=vocab_size)


def unigram(
    rows: HeldOut,
    stores: Mapping[str, TokenStore],
    languages: Mapping[str, str],
    pieces: Pieces,
    max_tokens: int = 4_000_000,
) -> dict[str, Score]:
    """Scores of a unigram per language over the same labels: training counts plus one each.

    max_tokens: of training text counted per component.
    """
    vocab_size = len(pieces.bytes)
    counts = np.zeros((len(rows.labels), vocab_size), np.int64)
    for component, store in stores.items():
        counts[rows.labels.index(languages[component])] += train_counts(
            store, vocab_size, max_tokens
        )
    nats_of = np.log(counts.sum(axis=1, keepdims=True) + vocab_size) - np.log(counts + 1)
    nats = nats_of[rows.label[:, None], rows.tokens[:, 1:]]
    return rows.scores((nats * rows.counted).sum(axis=1), pieces)


class Validation:
    """The model over the held-out rows; compiled once, its arrays shared over the mesh."""

    def __init__(
        self,
        rows: HeldOut,
        pieces: Pieces,
        mesh: Mesh,
        batch_size: int,
    ):
        self.rows = rows
        self._pieces = pieces
        self._mesh = mesh
        self._batch_size = batch_size
        self._sharding = partitioning.batch_sharding(mesh)

    def compile(self, model: nn.Module, abstract_params, num_chunks: int) -> None:
        """Ahead of the first step, so that nothing compiles between two steps."""

        def row_nats(params, tokens_BL1, valid_B):
            L = tokens_BL1.shape[1] - 1
            weights_BL = (jnp.arange(L) < valid_B[:, None]).astype(jnp.float32)
            _, nll_BL = row_loss(model, params, tokens_BL1, weights_BL, num_chunks=num_chunks)
            return jnp.sum(nll_BL * weights_BL, axis=1)

        B, L1 = self._batch_size, self.rows.tokens.shape[1]
        tokens = jax.ShapeDtypeStruct((B, L1), jnp.int32, sharding=self._sharding)
        valid = jax.ShapeDtypeStruct((B,), jnp.int32, sharding=self._sharding)
        with partitioning.activate(self._mesh):
            jitted = jax.jit(row_nats, out_shardings=partitioning.replicated(self._mesh))
            self._row_nats = jitted.lower(abstract_params, tokens, valid).compile()

    def run(self, params, stop: Callable[[], bool] = lambda: False) -> dict[str, Score] | None:
        """Scores per language; None if `stop()`, asked after every batch, ended it early."""
        nats: list[np.ndarray] = []
        pending = None
        for start in range(0, len(self.rows.tokens), self._batch_size):
            tokens = self._place(self.rows.tokens[start : start + self._batch_size])
            valid = self._place(self.rows.valid[start : start + self._batch_size])
            dispatched = self._row_nats(params, tokens, valid)
            if pending is not None:
                nats.append(jax.device_get(pending))
            pending = dispatched
            if stop():
                return None
        nats.append(jax.device_get(pending))
        nats_R = np.concatenate(nats)[: len(self.rows.tokens)].astype(np.float64)
        return self.rows.scores(nats_R, self._pieces)

    def _place(self, rows: np.ndarray) -> jax.Array:
        """Rows on the mesh, the batch filled up with rows of which nothing counts."""
        missing = [(0, self._batch_size - len(rows))] + [(0, 0)] * (rows.ndim - 1)
        full = np.pad(rows, missing).astype(np.int32)
        return jax.make_array_from_callback(full.shape, self._sharding, lambda index: full[index])


def table(
    step: int,
    scores: Mapping[str, Score],
    baseline: Mapping[str, Score],
    before: Mapping[str, Score],
) -> rich.table.Table:
    """Bits per language, the change since `before`, and the ratio to the unigram."""
    shown = rich.table.Table(title=f"validation at step {step}", title_justify="left")
    shown.add_column("language")
    for column in ("bits per byte", "change", "of a unigram's", "per character", "tokens"):
        shown.add_column(column, justify="right")
    for label, score in sorted(scores.items()):
        bits = score.bits_per_byte
        change = f"{bits - before[label].bits_per_byte:+.3f}" if label in before else ""
        ratio = f"{bits / baseline[label].bits_per_byte:.2f}"
        characters = f"{score.bits_per_character:.3f}"
        shown.add_row(label, f"{bits:.3f}", change, ratio, characters, f"{score.tokens:,}")
    characters = f"{average(scores, 'bits_per_character'):.3f}"
    shown.add_row("languages, unweighted", f"{average(scores):.3f}", "", "", characters, "")
    return shown
