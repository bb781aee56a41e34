"""Preferences in the train step and in validation: the loss that is minimised, and the scores of held-out pairs.

Shapes: R rows, B rows of a batch, L labels of a row, P pairs of a row.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import rich.table

from polylm_jax.model import preference
from polylm_jax.model.preference import Pairs
from polylm_jax.training.step import Likelihood, Sums
from polylm_jax.training.validation import HeldOut, Validation

PAIRING = ("pair_BL", "reference_BL")


def apply(model: nn.Module, params, tokens_BL1, packing: Mapping, options: Mapping, sign_BL, **dpo):
    """`preference_loss` of the rows of a batch."""
    plain = {name: value for name, value in packing.items() if name not in PAIRING}
    x_BTD = model.apply({"params": params}, tokens_BL1[:, :-1], **plain)
    assert not isinstance(x_BTD, tuple)  # nothing of the model's is mutable
    return preference.preference_loss(
        x_BTD, params["wte"]["embedding"], tokens_BL1[:, 1:], sign_BL,
        packing["pair_BL"], packing["reference_BL"], **options, **dpo,
    )  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Preference(Likelihood):
    """Direct preference optimisation on rows of `data.preference_rows`; its weight is pairs.

    Reported beside the loss, over pairs: how often the chosen answer gained more on the reference
    than the rejected one, and how much more, in nats.
    """

    beta: float = 0.1
    label_smoothing: float = 0.0

    metrics: ClassVar[tuple[str, ...]] = ("chosen_gained", "gain")

    @property
    def validation(self) -> Callable:
        return functools.partial(PreferenceValidation, objective=self)

    def weight(self, batch: Mapping) -> jax.Array:
        return jnp.max(batch["packing"]["pair_BL"], axis=1).astype(jnp.float32)

    def loss(self, model: nn.Module, params, batch: Mapping, options: Mapping) -> Sums:
        options = {name: value for name, value in options.items() if name != "z_loss"}
        loss, pairs = apply(
            model, params, batch["tokens"], batch["packing"], options, batch["weights"],
            **dataclasses.asdict(self),
        )  # fmt: skip
        metrics = {"chosen_gained": jnp.sum(_gained(pairs)), "gain": jnp.sum(pairs.gain_BP)}
        return Sums(loss, jnp.sum(pairs.loss_BP, axis=1), metrics)


def _gained(pairs: Pairs) -> jax.Array:
    return (pairs.there_BP & (pairs.gain_BP > 0)).astype(jnp.float32)


@dataclasses.dataclass(frozen=True)
class PairScore:
    """Sums over pairs."""

    pairs: float
    loss: float
    gained: float
    gain: float

    @property
    def nats(self) -> float:
        """What must be a number for a run to go on."""
        return self.loss + self.gain

    def means(self) -> dict[str, float]:
        return {
            "loss": self.loss / self.pairs,
            "chosen_gained": self.gained / self.pairs,
            "gain": self.gain / self.pairs,
            "pairs": int(self.pairs),
        }


class PreferenceValidation(Validation):
    """The loss and the preferences of held-out pairs, per language."""

    def __init__(self, rows: HeldOut, pieces, mesh, batch_size: int, objective: Preference):
        super().__init__(rows, pieces, mesh, batch_size)
        self._objective = objective

    def values(self, model, params, num_chunks: int, tokens_BL1, counted_BL, packing: Mapping):
        """float32 [B, 4]: pairs, their loss, how many gained, their gain."""
        del counted_BL  # chosen answers alone; the signs have both
        packing = dict(packing)
        sign_BL = packing.pop("weights")
        options = {"num_chunks": num_chunks}
        dpo = dataclasses.asdict(self._objective)
        _, pairs = apply(model, params, tokens_BL1, packing, options, sign_BL, **dpo)
        columns = (pairs.there_BP, pairs.loss_BP, _gained(pairs), pairs.gain_BP)
        return jnp.stack([jnp.sum(one, axis=1, dtype=jnp.float32) for one in columns], axis=1)

    def scores(self, values: np.ndarray) -> dict[str, PairScore]:
        by_label = {
            label: values[self.rows.label == number].sum(axis=0)
            for number, label in enumerate(self.rows.labels)
        }
        return {label: PairScore(*sums.tolist()) for label, sums in by_label.items() if sums[0]}

    def report(self, scores: Mapping[str, PairScore], baseline: Mapping) -> dict:
        """Each measure by language."""
        means = {label: score.means() for label, score in scores.items()}
        names = next(iter(means.values()), {})
        return {name: {label: one[name] for label, one in means.items()} for name in names}

    def table(self, step: int, scores: Mapping[str, PairScore], baseline: Mapping, before: Mapping):
        """What the terminal shows."""
        shown = rich.table.Table(title=f"held-out pairs at step {step}", title_justify="left")
        shown.add_column("language")
        for column in ("loss", "chosen gained", "by nats", "pairs"):
            shown.add_column(column, justify="right")
        for label, score in sorted(scores.items()):
            m = score.means()
            shown.add_row(
                label, f"{m['loss']:.3f}", f"{m['chosen_gained']:.1%}", f"{m['gain']:+.2f}",
                f"{m['pairs']:,}",
            )  # fmt: skip
        return shown
