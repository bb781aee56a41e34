"""Bits per byte and per character of held-out text, per language, beside a smoothed unigram's.

Bits per byte = nats / (ln 2 x UTF-8 bytes), per character the same over code points (a Thai one is
three bytes). Both are summed over the same labels: the nats of every label, the EOS that closes a
document included; the bytes from the labels' pieces (EOS stands for none). So vocabularies, and
languages of any script, compare. Averages over languages are unweighted.

Shapes: R rows, B rows of a batch, L labels of a row, V vocabulary.
"""

import dataclasses
import math
import types
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import rich.table
from jax.sharding import Mesh

from polylm_jax.data.rows import Rows
from polylm_jax.data.stores.store import TokenStore
from polylm_jax.languages.registry import LANGUAGES
from polylm_jax.model import partitioning
from polylm_jax.training import executables, known_values, parts
from polylm_jax.training.programs import Programs
from polylm_jax.training.step import row_loss


@dataclasses.dataclass(frozen=True)
class Score:
    """Sums over labels; scores add up."""

    nats: float = 0.0
    bytes: int = 0
    tokens: int = 0
    characters: int = 0

    def __add__(self, other: "Score") -> "Score":
        nats, size = self.nats + other.nats, self.bytes + other.bytes
        return Score(nats, size, self.tokens + other.tokens, self.characters + other.characters)

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
    """Rows of held-out text: tokens int32 [R, L+1], the labels that count bool [R, L], whose [R].

    packing: what else the model takes of packed rows, [R, L] each.
    """

    tokens: np.ndarray
    counted: np.ndarray
    label: np.ndarray
    labels: tuple[str, ...]
    packing: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)

    def scores(self, nats: np.ndarray, pieces: Pieces) -> dict[str, Score]:
        """Sums per language of nats [R] and of the bytes, tokens and characters of the labels."""
        sums = {label: Score() for label in self.labels}
        bytes_R, characters_R = (
            (sizes[self.tokens[:, 1:]] * self.counted).sum(axis=1, dtype=np.int64)
            for sizes in pieces
        )
        tokens_R = self.counted.sum(axis=1)
        for label, row_nats, *counts in zip(
            self.label, nats, bytes_R, tokens_R, characters_R, strict=True
        ):
            sums[self.labels[label]] += Score(float(row_nats), *map(int, counts))
        return {name: score for name, score in sums.items() if score.bytes}


def held_out(rows: Rows, languages: Mapping[str, str], max_rows: int) -> HeldOut:
    """The held-out rows of every component, at most `max_rows` of each, the same ones every time.

    languages: component -> label; components with the same one are pooled.
    """
    labels = tuple(sorted(set(languages.values())))
    parts, label = [], []
    for component in sorted(rows.validated):
        parts.append(rows.held_out(component, max_rows))
        number = labels.index(languages[component])
        label.append(np.full(len(parts[-1]["tokens"]), number))
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    tokens, counted = joined.pop("tokens"), joined.pop("counted")
    return HeldOut(tokens, counted, np.concatenate(label), labels, joined)


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

    def __init__(self, rows: HeldOut, pieces: Pieces, mesh: Mesh, batch_size: int):
        self.rows = rows
        self._pieces = pieces
        self._mesh = mesh
        self._batch_size = batch_size
        self._sharding = partitioning.batch_sharding(mesh)

    def compile(
        self,
        model: nn.Module,
        abstract_params,
        num_chunks: int,
        options: Mapping[str, object] = types.MappingProxyType({}),
    ) -> None:
        """Ahead of the first step, so that nothing compiles between two steps. options: the compiler's."""

        def values(params, tokens_BL1, counted_BL, **packing):
            pieces, chunks = parts.of(model, *counted_BL.shape, num_chunks)
            rows = tokens_BL1, counted_BL, packing
            return parts.each(lambda part: self.values(model, params, chunks, *part), rows, pieces)

        def shape(rows):
            shape = (self._batch_size, *rows.shape[1:])
            return jax.ShapeDtypeStruct(shape, rows.dtype, sharding=self._sharding)

        tokens, counted = shape(self.rows.tokens), shape(self.rows.counted)
        packing = {name: shape(rows) for name, rows in self.rows.packing.items()}
        with partitioning.activate(self._mesh):
            jitted = jax.jit(values, out_shardings=partitioning.replicated(self._mesh))
            lowered = jitted.lower(abstract_params, tokens, counted, **packing)
        self._values = executables.compiled(lowered, options, self._mesh)

    def values(
        self, model: nn.Module, params, num_chunks: int, tokens_BL1, counted_BL, packing: Mapping
    ) -> jax.Array:
        """What is computed of each row [B, ...]: the nats of the labels that count."""
        weights_BL = counted_BL.astype(jnp.float32)
        _, nll_BL = row_loss(
            model, params, tokens_BL1, weights_BL, num_chunks=num_chunks, **packing
        )
        return jnp.sum(nll_BL * weights_BL, axis=1)

    def scores(self, values: np.ndarray) -> dict[str, Any]:
        """Scores per language of the values of all rows [R, ...]."""
        return self.rows.scores(values, self._pieces)

    def run(self, params, stop: Callable[[], bool] = lambda: False) -> dict[str, Any] | None:
        """Scores per language; None if `stop()`, asked after every batch, ended it early.

        In a process of several runs, those that start from the same parameters are scored once.
        """
        rows = self.rows.tokens, self.rows.counted, dict(self.rows.packing)
        values = known_values.once(self._values, rows, params, lambda: self._computed(params, stop))
        return None if values is None else self.scores(values.astype(np.float64))

    def _computed(self, params, stop: Callable[[], bool]) -> np.ndarray | None:
        values: list[np.ndarray] = []
        pending = None
        for start in range(0, len(self.rows.tokens), self._batch_size):
            here = slice(start, start + self._batch_size)
            tokens = self._place(self.rows.tokens[here])
            counted = self._place(self.rows.counted[here])
            packing = {name: self._place(rows[here]) for name, rows in self.rows.packing.items()}
            dispatched = self._values(params, tokens, counted, **packing)
            if pending is not None:
                values.append(jax.device_get(pending))
            pending = dispatched
            if stop():
                return None
        values.append(jax.device_get(pending))
        return np.concatenate(values)[: len(self.rows.tokens)]

    def report(self, scores: Mapping[str, Any], baseline: Mapping[str, Score]) -> dict:
        """The line of validation.jsonl."""
        return report(scores, baseline)

    def table(self, step: int, scores: Mapping, baseline: Mapping, before: Mapping):
        """What the terminal shows."""
        return table(step, scores, baseline, before)

    def _place(self, rows: np.ndarray) -> jax.Array:
        """Rows on the mesh, the batch filled up with rows of which nothing counts."""
        missing = [(0, self._batch_size - len(rows))] + [(0, 0)] * (rows.ndim - 1)
        full = np.pad(rows, missing)
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


def compiled(programs: Programs, max_rows: int) -> tuple[Validation | None, dict[str, Score]]:
    """The compiled validation and the unigram's scores; nothing where no text is held out."""
    resolved = programs.resolved
    assert resolved.rows is not None and resolved.tokenizer is not None
    experiment, stores = resolved.experiment, resolved.rows.validated
    languages = {name: store.language for name, store in stores.items()}
    rows = held_out(resolved.rows, languages, max_rows)
    if not len(rows.tokens):
        return None, {}
    pieces = Pieces(resolved.tokenizer.piece_bytes, resolved.tokenizer.piece_characters)
    kind = programs.objective.validation or Validation
    found = kind(rows, pieces, programs.mesh, experiment.batch_size)
    params = programs.abstract_state.whole
    found.compile(programs.computed, params, experiment.num_chunks, programs.options)
    return found, unigram(rows, stores, languages, pieces)
