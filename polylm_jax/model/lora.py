"""LoRA (arXiv 2106.09685): a frozen matrix W and two small ones beside it, y = x W + scale (x a) b.

Adapters are a tree like the layers' own, {'h': {'attn': {'c_attn': {'a': ..., 'b': ...}}}}, and
the model's collection 'adapters' (projection.py). `a` has the input axes of its matrix and the
rank, `b` the rank and the output axes; scanned layers have an axis of layers before them.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp

from polylm_jax.errors import InputError, one_of
from polylm_jax.model.config import PolyLMConfig
from polylm_jax.runtime.parameter_types import check_ranges
from polylm_jax.runtime.ranges import Count, Positive

ADAPTERS = "adapters"
TARGETS = {"attn.c_attn": 1, "attn.c_proj": 2, "mlp.c_fc": 1, "mlp.c_proj": 1}  # input axes of each


@dataclasses.dataclass(frozen=True)
class Lora:
    """Which matrices of each layer have adapters, of which rank, and alpha: scale = alpha / rank.

    ranks: a name in `TARGETS` -> its rank; what isn't named has no adapter.
    """

    ranks: Mapping[str, Count] = dataclasses.field(
        default_factory=lambda: dict.fromkeys(TARGETS, 8)
    )
    alpha: Positive = 16.0

    def check(self) -> "Lora":
        """Itself, or InputError."""
        if not self.ranks:
            raise InputError(f"lora.ranks is empty: name one of {', '.join(TARGETS)}.")
        for name in self.ranks:
            one_of("a name of lora.ranks", name, TARGETS)
        return check_ranges(self, "lora.")

    def num_params(self, model: PolyLMConfig) -> int:
        """Of the adapters of a model: (inputs + outputs) x rank for each matrix of each layer."""
        D, F = model.embed_dim, model.mlp_dim
        widths = {
            "attn.c_attn": D + 3 * D,
            "attn.c_proj": 2 * D,
            "mlp.c_fc": D + F,
            "mlp.c_proj": F + D,
        }
        return model.num_layers * sum(rank * widths[name] for name, rank in self.ranks.items())

    def notes(self, embed_dim: int, mlp_dim: int) -> Iterator[str]:
        """A sentence for each rank above the smaller side of its matrix, where it adds nothing."""
        for name, rank in self.ranks.items():
            side = min(embed_dim, mlp_dim) if name.startswith("mlp") else embed_dim
            if rank > side:
                yield (
                    f"lora.ranks[{name!r}] = {rank} is above the smaller side of its matrix, {side}: "
                    f"no more can be learned than with {side}, at a higher cost"
                )

    def scale(self, name: str) -> float:
        return self.alpha / self.ranks[name]

    def scaled(self, adapters):
        """The adapters as the model takes them: the scale in `b`."""
        tree = jax.tree.map(lambda x: x, adapters)  # of its own: branches are replaced below
        for layers, name in self._places(adapters):
            part, matrix = name.split(".")
            pair = adapters[layers][part][matrix]
            tree[layers][part][matrix] = {"a": pair["a"], "b": pair["b"] * self.scale(name)}
        return tree

    def boxed(self, base) -> dict:
        """Shapes of the adapters in boxes of axis names, from those of the base's parameters."""
        tree: dict = {}
        for layers, name in self._places(base):
            part, matrix = name.split(".")
            kernel = base[layers][part][matrix]["kernel"]
            a, b = _pair(kernel, TARGETS[name], self.ranks[name])
            tree.setdefault(layers, {}).setdefault(part, {})[matrix] = {"a": a, "b": b}
        return tree

    def init(self, base, rng: jax.Array) -> dict:
        """Adapters that change nothing yet: b is zero; a is uniform as PEFT has it."""

        def one(path, box):
            shape = box.value.shape
            if path[-1].key == "b":
                return jnp.zeros(shape, jnp.float32)
            layered = len(box.names) > 0 and box.names[0] == "layers"
            bound = math.prod(shape[layered:-1]) ** -0.5
            key = jax.random.fold_in(rng, [*TARGETS].index(f"{path[1].key}.{path[2].key}"))
            if not layered and path[0].key.startswith("h_"):
                key = jax.random.fold_in(key, int(path[0].key[2:]))
            return jax.random.uniform(key, shape, jnp.float32, -bound, bound)

        is_box = lambda x: isinstance(x, nn.Partitioned)
        return jax.tree_util.tree_map_with_path(one, self.boxed(base), is_leaf=is_box)

    def merged(self, params, adapters):
        """The parameters with the adapters in their matrices; those of `params` are used up."""
        tree = jax.tree.map(lambda x: x, params)
        for layers, name in self._places(adapters):
            part, matrix = name.split(".")
            old, pair = params[layers][part][matrix], adapters[layers][part][matrix]
            kernel = _add(old["kernel"], pair["a"], pair["b"], self.scale(name), layers == "h")
            tree[layers][part][matrix] = {**old, "kernel": kernel}
        return tree

    def _places(self, tree) -> Iterator[tuple[str, str]]:
        """('h', 'attn.c_attn'), ... for each matrix that has an adapter."""
        for layers in tree:
            if layers == "h" or layers.startswith("h_"):
                yield from ((layers, name) for name in self.ranks)


@dataclasses.dataclass(frozen=True)
class AdaptedModel:
    """A model whose `params` hold the base's and, as `ADAPTERS`, the adapters."""

    model: nn.Module
    lora: Lora

    def apply(self, variables, *args, **kwargs):
        params = dict(variables["params"])
        adapters = self.lora.scaled(params.pop(ADAPTERS))
        return self.model.apply({"params": params, ADAPTERS: adapters}, *args, **kwargs)


def _pair(kernel: nn.Partitioned, inputs: int, rank: int) -> tuple[nn.Partitioned, nn.Partitioned]:
    """The boxes of a and b of a boxed kernel whose first axes, but for the layers', are inputs."""
    shape, names = kernel.value.shape, kernel.names
    head = int(names[0] == "layers")
    cut = head + inputs

    def box(shape, names):
        return nn.Partitioned(jax.ShapeDtypeStruct(shape, jnp.float32), names)

    a = box((*shape[:cut], rank), (*names[:cut], "rank"))
    b = box((*shape[:head], rank, *shape[cut:]), (*names[:head], "rank", *names[cut:]))
    return a, b


def _add(kernel, a, b, scale: float, layered: bool):
    batch = ((0,), (0,)) if layered else ((), ())
    sharding = kernel.sharding

    def add(kernel, a, b):
        contracted = ((a.ndim - 1,), (int(layered),))
        delta = jax.lax.dot_general(a, b, (contracted, batch), precision="highest")
        return (kernel + scale * delta).astype(kernel.dtype)

    return jax.jit(add, donate_argnums=0, out_shardings=sharding)(kernel, a, b)
