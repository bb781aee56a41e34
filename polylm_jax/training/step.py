"""The pure train step: loss and gradients over the whole batch, then AdamW.

Shapes: B batch, L tokens that a row predicts, C components of the mixture, M microbatches.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import ClassVar, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from polylm_jax.model.averaging import Average
from polylm_jax.model.loss import cross_entropy
from polylm_jax.training import parts
from polylm_jax.training.train_state import TrainState, whole


def row_loss(
    model: nn.Module,
    params,
    tokens_BL1: jax.Array,
    weights_BL: jax.Array,
    *,
    num_chunks: int = 8,
    vocab_blocks: int = 1,
    z_loss: float = 0.0,
    **packing,
) -> tuple[jax.Array, jax.Array]:
    """Sum of the weighted loss over the batch (nats, differentiable), and nats per token [B, L].

    tokens_BL1: rows of L + 1 tokens; all but the first are labels.
    packing: positions_BT and segment_ids_BT of packed rows, [B, L].
    """
    x_BTD = model.apply({"params": params}, tokens_BL1[:, :-1], **packing)
    assert not isinstance(x_BTD, tuple)  # nothing of the model's is mutable
    return cross_entropy(
        x_BTD, params["wte"]["embedding"], tokens_BL1[:, 1:], weights_BL,
        num_chunks=num_chunks, vocab_blocks=vocab_blocks, z_loss=z_loss,
    )  # fmt: skip


class Sums(NamedTuple):
    """Over the rows of a batch: the loss (differentiable), what is reported of each row [B], and the
    sums of an objective's own metrics."""

    loss: jax.Array
    reported_B: jax.Array
    metrics: dict[str, jax.Array]


@dataclasses.dataclass(frozen=True)
class Likelihood:
    """The loss that pretraining minimises: -log p of the labels that count; a row weighs as many."""

    metrics: ClassVar[tuple[str, ...]] = ()  # reported beside the loss

    @property
    def validation(self) -> Callable | None:
        """What scores held-out rows, where it isn't their likelihood."""
        return None

    def weight(self, batch: Mapping) -> jax.Array:
        """float32 [B]: what each row counts."""
        return jnp.sum(batch["weights"], axis=1)

    def loss(self, model: nn.Module, params, batch: Mapping, options: Mapping) -> Sums:
        """options: of `cross_entropy`."""
        loss, nll_BL = row_loss(
            model, params, batch["tokens"], batch["weights"], **options, **batch["packing"]
        )
        return Sums(loss, jnp.sum(nll_BL * batch["weights"], axis=1), {})


def make_train_step(
    model: nn.Module,
    tx: optax.GradientTransformation,
    learning_rate_fn: Callable[[jax.Array], jax.Array],
    num_components: int,
    *,
    microbatches: int = 1,
    skip_non_finite: bool = False,
    objective: Likelihood | None = None,
    average: Average | None = None,
    seed: int = 0,
    num_chunks: int = 8,
    **loss_options: float,
) -> Callable[..., tuple[TrainState, dict[str, jax.Array]]]:
    """step(state, tokens [B, L+1], component [B], weights=None, **packing) -> (state, metrics).

    Loss and gradients are sum / total weight over the whole batch, whatever `microbatches` and the
    parts that a CPU takes a small model's batch in (`layers_apart.parts`).
    weights: float32 [B, L], one per label (all 1 by default). Metrics, float32: 'loss' (mean
    nats per token, z-loss not in it), 'component_nats' and 'component_weight' [C], 'z_loss'
    (mean, with its coefficient), 'grad_norm' (before clipping), 'param_norm', 'learning_rate', and
    'component_rows' [C], int32. With `skip_non_finite` an update whose loss or gradient is no number
    isn't made (parameters and optimizer stay, the step counts), and 'skipped' says so. Of another
    objective 'loss', 'component_nats' and 'component_weight' are in its own units, and its metrics
    are there as means. average: what the state keeps of its parameters, drawn of the seed.
    num_chunks, loss_options (vocab_blocks, z_loss): of `cross_entropy`.
    """
    objective = objective or Likelihood()

    def loss_and_gradients(params, frozen, batch, total, options):
        def loss_fn(params):
            sums = objective.loss(model, whole(params, frozen), batch, options)
            return sums.loss / total, sums

        (loss, sums), gradients = jax.value_and_grad(loss_fn, has_aux=True)(params)
        nats_C = jax.ops.segment_sum(sums.reported_B, batch["component"], num_components)
        return {"loss": loss, "nats": nats_C, "gradients": gradients, "metrics": sums.metrics}

    def step(state, tokens, component, weights=None, **packing):
        if weights is None:
            weights = jnp.ones((tokens.shape[0], tokens.shape[1] - 1), jnp.float32)
        batch = {"tokens": tokens, "component": component, "weights": weights, "packing": packing}
        weight_B = objective.weight(batch)
        total = jnp.sum(weight_B)
        rows, length = weights.shape
        pieces, chunks = parts.of(model, rows // microbatches, length, num_chunks)
        options = loss_options | {"num_chunks": chunks}
        sums = parts.summed(
            lambda part: loss_and_gradients(state.params, state.frozen, part, total, options),
            batch,
            microbatches * pieces,
        )
        gradients, nats_C = sums["gradients"], sums["nats"]
        updates, opt_state = tx.update(gradients, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        mean, grad_norm = jnp.sum(nats_C) / total, optax.tree.norm(gradients)
        skipped = {}
        if skip_non_finite:
            finite = jnp.isfinite(mean) & jnp.isfinite(grad_norm)
            params, opt_state = jax.tree.map(
                lambda new, old: jnp.where(finite, new, old),
                (params, opt_state),
                (state.params, state.opt_state),
            )
            skipped = {"skipped": ~finite}
        metrics = {
            "loss": mean,
            "component_nats": nats_C,
            "component_weight": jax.ops.segment_sum(weight_B, component, num_components),
            "component_rows": jax.ops.segment_sum(
                jnp.ones_like(component), component, num_components
            ),
            "z_loss": sums["loss"] - mean if loss_options.get("z_loss") else jnp.zeros(()),
            "grad_norm": grad_norm,
            "param_norm": optax.tree.norm(params),
            "learning_rate": learning_rate_fn(state.step),
            **skipped,
            **{name: value / total for name, value in sums["metrics"].items()},
        }
        kept = average.updated(state.average, params, state.step, seed) if average else None
        return TrainState(state.step + 1, params, opt_state, state.frozen, kept), metrics

    return step
