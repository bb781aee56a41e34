"""PolyLM for t5x: the network as t5x calls it, its loss without logits, AdamW, the axis rules.

t5x's train, eval and infer take it from gin_configs/t5x (docs/t5x.md). The parameters are PolyLM's
own, name by name, so checkpoints go both ways (t5x_checkpoint). Nothing else imports this module,
and t5x is installed apart (requirements-t5x.txt).

Shapes: B batch, T tokens of a row, D embedding, V vocabulary.
"""

import contextlib
import copy
import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import flax.core
import flax.linen as nn
import jax
import jax.numpy as jnp
import seqio
from flax.linen import partitioning as flax_partitioning
from jax.interpreters import pxla
from t5x import decoding, losses, metrics, models, optimizers

from polylm_jax.errors import InputError, nearest
from polylm_jax.model import averaging, partitioning
from polylm_jax.model.layers_apart import split
from polylm_jax.model.loss import cross_entropy
from polylm_jax.model.network import PolyLM
from polylm_jax.model.optimizer import make_optimizer
from polylm_jax.training.experiment import Experiment
from polylm_jax.training.t5x.rows import one_batch_size

MESH_AXES = {"data": "data", "fsdp": "data", "tensor": "model"}  # ours -> t5x's


class Network(PolyLM):
    """`PolyLM` with the signature that t5x calls.

    Positions: of packed rows t5x gives them; a prompt's start at 0; while decoding, where t5x gives
    none, they follow from `cache_index` [B], which counts the tokens that each row has.
    """

    def __call__(  # type: ignore[override]  # t5x calls it by its own names
        self,
        decoder_input_tokens: jax.Array,
        decoder_target_tokens: jax.Array,
        decoder_segment_ids: jax.Array | None = None,
        decoder_positions: jax.Array | None = None,
        decoder_causal_attention: jax.Array | None = None,
        *,
        enable_dropout: bool = True,
        decode: bool = False,
        max_decode_length: int | None = None,
        prefill: bool = False,
        prefill_lengths: jax.Array | None = None,
    ) -> jax.Array:
        """-> float32 logits [B, T, V]. PolyLM has no dropout and looks back alone.

        The first call with `decode` has no cache to read: it makes an empty one as long as the row.
        """
        del decoder_target_tokens, enable_dropout
        tokens_BT = decoder_input_tokens
        if decoder_causal_attention is not None:
            raise InputError(
                "inputs_bidirectional_attention is set and PolyLM is causal: leave it False."
            )
        if tokens_BT.shape[1] > self.config.max_length:
            raise InputError(
                f"TASK_FEATURE_LENGTHS make rows of {tokens_BT.shape[1]} tokens and the model has "
                f"max_length = {self.config.max_length} positions: make them shorter."
            )
        if decode and not self.has_variable("cache", "cache_index"):
            prefill, prefill_lengths = True, jnp.zeros(tokens_BT.shape[0], jnp.int32)
        with _mesh_in_use():
            x_BTD = super().__call__(
                tokens_BT,
                positions_BT=decoder_positions,
                segment_ids_BT=decoder_segment_ids,
                prefill=bool(prefill),
                decode=decode and not prefill,
                lengths_B=prefill_lengths,
                cache_length=max_decode_length or tokens_BT.shape[1],
            )
            return self.logits(x_BTD)

    def _advance(self, tokens_BT, lengths_B, mode):
        """PolyLM's; t5x's beam search counts [rows, beams] in a cache of as many rows at once."""
        if mode != "decode":
            return super()._advance(tokens_BT, lengths_B, mode)
        count = self.get_variable("cache", "cache_index")
        self.put_variable("cache", "cache_index", count + tokens_BT.shape[1])
        return count.reshape(-1)


@contextlib.contextmanager
def _mesh_in_use():
    """Within it JAX's own query of the mesh answers with the one that t5x entered its old way.

    The attention kernels and the loss ask: without, they take the devices for one.
    """
    mesh = pxla.thread_resources.env.physical_mesh
    if mesh.empty:
        yield
        return
    with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):
        yield


class Model(models.DecoderOnlyModel):
    """t5x's decoder-only model around a `Network`, with PolyLM's loss in place of t5x's.

    t5x's holds the logits of a batch and as many one-hot targets: 2 x 2 GB a row of 2,048 tokens
    over 256,000. Ours goes by chunks (see `loss.cross_entropy`), so there is no accuracy to report.

    Before the first token of a row stands `</s>`, as it stands before a document in pretraining.

    loss_normalizing_factor: as in t5x; by default the loss is a mean over tokens that count.
    z_loss, num_chunks, vocab_blocks: as in `Experiment`. microbatches: what t5x's trainer has; it
    sums their gradients, so each is divided by their number.
    """

    def __init__(
        self,
        module: Network,
        vocabulary: seqio.Vocabulary,
        optimizer_def: optimizers.OptimizerDef,
        decode_fn: models.DecodeFnCallable = decoding.temperature_sample,
        feature_converter_cls: Callable[..., seqio.FeatureConverter] | None = None,
        loss_normalizing_factor: float | str | None = "NUM_REAL_TARGET_TOKENS",
        z_loss: float = 0.0,
        num_chunks: int = 8,
        vocab_blocks: int = 1,
        microbatches: int | None = None,
    ):
        if vocabulary.vocab_size > module.config.check().vocab_size:
            raise InputError(
                f"the vocabulary has {vocabulary.vocab_size} pieces and the model's vocab_size = "
                f"{module.config.vocab_size}: give the model as many, or more."
            )
        converter = functools.partial(seqio.DecoderFeatureConverter, bos_id=vocabulary.eos_id)
        super().__init__(
            module=module,
            vocabulary=vocabulary,
            optimizer_def=optimizer_def,
            decode_fn=decode_fn,
            feature_converter_cls=feature_converter_cls or converter,
            z_loss=z_loss,
            loss_normalizing_factor=loss_normalizing_factor,
        )
        self._blocks = {"num_chunks": num_chunks, "vocab_blocks": vocab_blocks}
        self._microbatches = microbatches or 1

    def get_initial_variables(self, rng, input_shapes, input_types=None):
        """Parameters, and their axis names in `params_axes` as t5x wants them."""
        del input_shapes, input_types
        tokens_BT = jnp.zeros((1, 1), jnp.int32)
        boxed = self.module.init(rng, tokens_BT, tokens_BT)["params"]
        return flax.core.freeze({"params": nn.unbox(boxed), "params_axes": _axes(boxed)})

    def loss_fn(self, params, batch: Mapping[str, jax.Array], dropout_rng=None):
        """(what is minimised, t5x's metrics of it, all but the accuracy)."""
        del dropout_rng
        factor, weights_BT = losses.get_loss_normalizing_factor_and_weights(
            self._loss_normalizing_factor, batch
        )
        if weights_BT is None:
            weights_BT = jnp.ones(batch["decoder_target_tokens"].shape)
        weights_BT = weights_BT.astype(jnp.float32)
        total, nll_BT = self._cross_entropy(params, batch, weights_BT)
        sums = {"loss": total, "cross_ent_loss": jnp.sum(nll_BT * weights_BT)}
        sums["z_loss"] = total - sums["cross_ent_loss"]
        divisor = (1.0 if factor is None else factor) * self._microbatches
        minimised = {name: value / divisor for name, value in sums.items()}
        return minimised["loss"], _metrics(batch, weights_BT, sums, minimised)

    def score_batch(self, params, batch, return_intermediates: bool = False):
        """Sum of log p over the tokens of each row that count, [B], in nats."""
        if return_intermediates:
            return super().score_batch(params, batch, return_intermediates)
        weights_BT = batch["decoder_loss_weights"].astype(jnp.float32)
        _, nll_BT = self._cross_entropy(params, batch, weights_BT)
        return -jnp.sum(nll_BT * weights_BT, axis=-1)

    def predict_batch_with_aux(self, params, batch, rng=None, **kwargs):
        """t5x's, with the layers apart: every cache then has its rows first, as beams want them."""
        if not self.module.config.scan_layers:
            return super().predict_batch_with_aux(params, batch, rng, **kwargs)
        apart = copy.copy(self)
        config = dataclasses.replace(self.module.config, scan_layers=False)
        apart.module = self.module.clone(config=config)
        return apart.predict_batch_with_aux(split(params), batch, rng, **kwargs)

    def _cross_entropy(self, params, batch, weights_BT):
        """(weighted sum of loss and z-loss, -log p per token [B, T]); logits are never whole."""
        with _mesh_in_use():
            x_BTD = self.module.apply(
                {"params": params},
                batch["decoder_input_tokens"],
                positions_BT=batch.get("decoder_positions"),
                segment_ids_BT=batch.get("decoder_segment_ids"),
                method=PolyLM.__call__,
            )
            return cross_entropy(
                x_BTD, params["wte"]["embedding"], batch["decoder_target_tokens"], weights_BT,
                z_loss=self._z_loss, **self._blocks,
            )  # fmt: skip


def beam_search(inputs, initial_index, **options) -> tuple[jax.Array, jax.Array]:
    """t5x's beam search behind `</s>`: (decodes [B, beams, T], scores [B, beams]).

    t5x's own takes a first token that is not 0 for one of the prompt's, and gives its last again.
    """
    empty_B = initial_index == 0  # of such a prompt the first token is all that there is
    inputs = jnp.asarray(inputs)
    inputs = inputs.at[:, 0].set(jnp.where(empty_B, inputs[:, 0], 0))
    decodes, scores = decoding.beam_search(inputs=inputs, initial_index=initial_index, **options)
    without_first = jnp.roll(decodes.at[:, :, 0].set(0), -1, axis=-1)
    return jnp.where(empty_B[:, None, None], without_first, decodes), scores


def _axes(boxed) -> Any:
    """{'wte': {'embedding_axes': AxisMetadata('vocab', 'embed')}, ...}, complete: every box has it."""
    if not isinstance(boxed, Mapping):
        return flax_partitioning.AxisMetadata(names=jax.sharding.PartitionSpec(*boxed.names))
    return {
        name if isinstance(value, Mapping) else f"{name}_axes": _axes(value)
        for name, value in boxed.items()
    }


def _metrics(batch, weights_BT, sums, minimised) -> dict:
    """t5x's metrics; those per token from sums, so that they are what their names say."""
    ids = {"decoder": batch["decoder_segment_ids"]} if "decoder_segment_ids" in batch else None
    targets_BT = batch["decoder_target_tokens"]
    found = models.compute_base_metrics(
        logits=jnp.zeros((*targets_BT.shape, 1)),  # only the accuracy looks at them
        targets=targets_BT,
        mask=weights_BT,
        loss=sums["loss"],
        z_loss=sums["z_loss"],
        segment_ids=ids or {"decoder_target_tokens": targets_BT != 0},
    )
    del found["accuracy"]
    return found | {n: metrics.AveragePerStep(total=value) for n, value in minimised.items()}


def optimizer(experiment: Experiment) -> optimizers.OptaxWrapper:
    """The run's AdamW with its learning rate inside: t5x's wrapper drops the trainer's."""
    return optimizers.OptaxWrapper(make_optimizer(experiment.optimizer, learning_rate(experiment)))


def learning_rate(experiment: Experiment) -> Callable[[jax.Array], jax.Array]:
    """Step -> rate, for the optimizer, and for t5x's trainer, which only reports it."""
    return resolved(experiment).learning_rate()


def total_steps(experiment: Experiment) -> int:
    """Steps of the whole schedule: t5x's TRAIN_STEPS."""
    return resolved(experiment).total_steps


def resolved(experiment: Experiment):
    """The run as `Experiment.resolve` checks it; how devices are laid out is t5x's partitioner's."""
    averaging.refuse_under_t5x(experiment.average)
    return one_batch_size(experiment).resolve(open_stores=False, num_devices=1)


def axis_rules(shard_parameters: bool = True) -> list[tuple[str, str | tuple[str, ...] | None]]:
    """The house's axis rules for t5x's mesh of `data` and `model`, for PjitPartitioner.

    shard_parameters: over `data` too, parameters and optimizer state, as `fsdp` does.
    """
    axes = MESH_AXES | ({} if shard_parameters else {"fsdp": None})
    return [(name, _on_mesh(rule, axes)) for name, rule in partitioning.RULES.items()]


def _on_mesh(rule, axes):
    """('data', 'fsdp') -> 'data', ('tensor', 'fsdp') -> ('model', 'data'), None -> None."""
    named = (rule,) if isinstance(rule, str) else rule or ()
    there = tuple(dict.fromkeys(axes[axis] for axis in named if axes[axis]))
    return there[0] if len(there) == 1 else there or None


def registered(name: str, tasks: object = None) -> str:
    """A SeqIO task's or mixture's name; InputError where nothing registered it.

    tasks: what registering returned; gin evaluates it before it comes here.
    """
    del tasks
    names = [*seqio.MixtureRegistry.names(), *seqio.TaskRegistry.names()]
    if name not in names:
        raise InputError(
            f"MIXTURE_OR_TASK_NAME = {name!r} isn't registered.{nearest(name, names)} Set TASKS to "
            "what registers it, or import its module in a gin file."
        )
    return name
