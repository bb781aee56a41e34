"""The one table between our parameters and GPT2LMHeadModel's, read both ways.

Every pair holds the same numbers in the same order: theirs merge axes of ours, and one layer of
ours is one tensor of theirs (Conv1D keeps [in, out] as we do). So a tensor goes over as a copy of
its bytes, and a piece of it as a piece.

Axes: V vocabulary, T positions, D embedding, X the three of query, key and value, N heads, H width
of a head, F width of the MLP.
"""

import dataclasses
import math
import re
from collections.abc import Mapping

from polylm_jax.errors import InputError, nearest
from polylm_jax.model.config import PolyLMConfig

PREFIX = "transformer."
WTE = f"{PREFIX}wte.weight"
TIED = "lm_head.weight"  # wte again, where a file has it at all
BUFFERS = re.compile(r"h\.\d+\.attn\.(bias|masked_bias)")  # causal masks that old versions saved

Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Param:
    """One line of the table. axes 'D XNH': ours is [D, X, N, H] and theirs [D, X * N * H]."""

    ours: str
    theirs: str
    axes: str

    def our_shape(self, sizes: Mapping[str, int]) -> Shape:
        return tuple(sizes[axis] for axis in self.axes.replace(" ", ""))

    def their_shape(self, sizes: Mapping[str, int]) -> Shape:
        return tuple(math.prod(sizes[axis] for axis in group) for group in self.axes.split())


EMBEDDINGS = (
    Param("wte.embedding", "wte.weight", "V D"),
    Param("wpe.embedding", "wpe.weight", "T D"),
)
LAYER = (
    Param("ln_1.scale", "ln_1.weight", "D"),
    Param("ln_1.bias", "ln_1.bias", "D"),
    Param("attn.c_attn.kernel", "attn.c_attn.weight", "D XNH"),
    Param("attn.c_attn.bias", "attn.c_attn.bias", "XNH"),
    Param("attn.c_proj.kernel", "attn.c_proj.weight", "NH D"),
    Param("attn.c_proj.bias", "attn.c_proj.bias", "D"),
    Param("ln_2.scale", "ln_2.weight", "D"),
    Param("ln_2.bias", "ln_2.bias", "D"),
    Param("mlp.c_fc.kernel", "mlp.c_fc.weight", "D F"),
    Param("mlp.c_fc.bias", "mlp.c_fc.bias", "F"),
    Param("mlp.c_proj.kernel", "mlp.c_proj.weight", "F D"),
    Param("mlp.c_proj.bias", "mlp.c_proj.bias", "D"),
)
FINAL = (
    Param("ln_f.scale", "ln_f.weight", "D"),
    Param("ln_f.bias", "ln_f.bias", "D"),
)


@dataclasses.dataclass(frozen=True)
class Tensor:
    """One of their tensors and where it lies in ours.

    layer: the index along our leading axis, None where ours has no axis of layers.
    """

    theirs: str
    shape: Shape
    ours: str
    our_shape: Shape
    layer: int | None

    @property
    def size(self) -> int:
        return math.prod(self.shape)


def sizes(config: PolyLMConfig) -> dict[str, int]:
    """The table's letters as numbers."""
    return {
        "V": config.vocab_size,
        "T": config.max_length,
        "D": config.embed_dim,
        "X": 3,
        "N": config.num_heads,
        "H": config.head_dim,
        "F": config.mlp_dim,
    }


def tensors(config: PolyLMConfig) -> list[Tensor]:
    """All of their tensors in their order: embeddings, layer after layer, the last norm."""
    letters = sizes(config)

    def tensor(param: Param, theirs: str, ours: str, stacked: Shape, layer: int | None) -> Tensor:
        return Tensor(
            theirs=PREFIX + theirs + param.theirs,
            shape=param.their_shape(letters),
            ours=ours + param.ours,
            our_shape=stacked + param.our_shape(letters),
            layer=layer,
        )

    found = [tensor(param, "", "", (), None) for param in EMBEDDINGS]
    for layer in range(config.num_layers):
        theirs = f"h.{layer}."
        if config.scan_layers:
            found += [tensor(one, theirs, "h.", (config.num_layers,), layer) for one in LAYER]
        else:
            found += [tensor(one, theirs, f"h_{layer}.", (), None) for one in LAYER]
    return found + [tensor(param, "", "", (), None) for param in FINAL]


def our_shapes(config: PolyLMConfig) -> dict[str, Shape]:
    """Name -> shape of every parameter of ours: what `Tensor.ours` names."""
    return {tensor.ours: tensor.our_shape for tensor in tensors(config)}


def config_of(shapes: Mapping[str, Shape]) -> PolyLMConfig:
    """The model whose parameters have these names and shapes; InputError where none of ours has.

    The layers may be scanned ('h.attn...', an axis of layers first) or not ('h_0.attn...').
    """
    scanned = "h.mlp.c_fc.kernel" in shapes
    head = "h." if scanned else "h_0."
    needed = ("wte.embedding", "wpe.embedding", f"{head}attn.c_attn.kernel", f"{head}mlp.c_fc.bias")
    for name in needed:
        if name not in shapes:
            raise InputError(
                f"the checkpoint has no parameter {name}: give one that this project trained."
            )
    qkv, layers = shapes[needed[2]], {name.split(".")[0] for name in shapes if name[:2] == "h_"}
    config = PolyLMConfig(
        num_layers=qkv[0] if scanned else len(layers),
        embed_dim=shapes["wte.embedding"][1],
        num_heads=qkv[-2],
        mlp_dim=shapes[needed[3]][-1],
        vocab_size=shapes["wte.embedding"][0],
        max_length=shapes["wpe.embedding"][0],
        scan_layers=scanned,
    ).check()
    _check(our_shapes(config), shapes, "parameter", "the checkpoint")
    return config


def check_theirs(config: PolyLMConfig, shapes: Mapping[str, Shape], where: str) -> dict[str, str]:
    """Our table's tensor name -> its name in a file; InputError names what lacks or doesn't fit.

    shapes: of the file's tensors, by the file's names: with `transformer.` before them
    (GPT2LMHeadModel) or without (GPT2Model), with saved causal masks or not, the embedding under its
    own name, as the tied lm_head, or both.
    """
    named = {PREFIX + name.removeprefix(PREFIX): name for name in shapes if name != TIED}
    # safetensors' save_model keeps one name of a shared tensor.
    if TIED in shapes and WTE not in named:
        named[WTE] = TIED
    named = {key: name for key, name in named.items() if not BUFFERS.fullmatch(key[len(PREFIX) :])}
    wanted = {tensor.theirs: tensor.shape for tensor in tensors(config)}
    _check(wanted, {key: shapes[name] for key, name in named.items()}, "tensor", where)
    if TIED in shapes and tuple(shapes[TIED]) != wanted[WTE]:
        raise InputError(
            f"{where} has {TIED} of shape {tuple(shapes[TIED])}, which can't be tied to the "
            f"embedding {wanted[WTE]}: give a GPT-2 with tied embeddings."
        )
    return named


def _check(wanted: Mapping[str, Shape], found: Mapping[str, Shape], what: str, where: str) -> None:
    """InputError for the first name that is missing, of another shape, or too many."""
    for name, shape in wanted.items():
        if name not in found:
            raise InputError(f"{where} lacks the {what} {name} of shape {shape}: it is incomplete.")
        if tuple(found[name]) != shape:
            raise InputError(
                f"{where} has the {what} {name} of shape {tuple(found[name])} where the model has "
                f"{shape}: the configuration and the weights belong to different models."
            )
    for name in found:
        if name not in wanted:
            raise InputError(
                f"{where} has the {what} {name}, which GPT-2 lacks: give a plain GPT-2."
                f"{nearest(name, wanted)}"
            )
