"""config.json and generation_config.json: PolyLM's model in the words of transformers' GPT-2."""

import json
import pathlib
from collections.abc import Mapping

from polylm_jax.errors import InputError
from polylm_jax.model.config import PolyLMConfig
from polylm_jax.model.network import EPSILON

# PolyLM-13B's release names a class of its own, with model_type gpt2 and GPT-2's fields.
OWN_CLASS = "PolyLMHeadModel"
ARCHITECTURES = ("GPT2LMHeadModel", "GPT2Model", OWN_CLASS)
# Three names of one function, the tanh GELU; 'gelu' is the exact one, which differs by up to 5e-4.
ACTIVATIONS = ("gelu_new", "gelu_fast", "gelu_pytorch_tanh")
SIZES = {  # theirs -> ours
    "vocab_size": "vocab_size",
    "n_positions": "max_length",
    "n_embd": "embed_dim",
    "n_layer": "num_layers",
    "n_head": "num_heads",
}
FIXED = {  # what decides the numbers of a GPT-2 and has one value here
    "layer_norm_epsilon": EPSILON,
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "add_cross_attention": False,
    "tie_word_embeddings": True,
}


def write_config(folder: pathlib.Path, config: PolyLMConfig, dtype: str, eos_id: int) -> None:
    """Writes both files. The text that begins without a prompt begins after the end of another."""
    special = {"bos_token_id": eos_id, "eos_token_id": eos_id, "pad_token_id": eos_id}
    values = {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        **{theirs: getattr(config, ours) for theirs, ours in SIZES.items()},
        "n_ctx": config.max_length,
        "n_inner": config.mlp_dim,
        "activation_function": "gelu_new",
        **FIXED,
        "attn_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "resid_pdrop": 0.0,
        "initializer_range": config.embedding_init_std,
        "use_cache": True,
        "torch_dtype": dtype,
        **special,
    }
    _write(folder / "config.json", values)
    _write(folder / "generation_config.json", special)


def _write(path: pathlib.Path, values: Mapping) -> None:
    path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def read_config(folder: pathlib.Path, scan_layers: bool) -> PolyLMConfig:
    """The model of a folder's config.json; InputError for one that isn't PolyLM's GPT-2.

    A field that the file leaves out has transformers' default, which is the value in `FIXED`.
    """
    path = folder / "config.json"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"HF_DIR = {str(folder)!r} has no readable config.json: name the folder of a model."
        ) from error
    _check(path, values)
    missing = [name for name in SIZES if not isinstance(values.get(name), int)]
    if missing:
        raise InputError(f"{path} has no {missing[0]}: it must say the model's size.")
    sizes = {ours: values[theirs] for theirs, ours in SIZES.items()}
    inner = values.get("n_inner") or 4 * sizes["embed_dim"]  # null means so, in transformers
    return PolyLMConfig(**sizes, mlp_dim=inner, scan_layers=scan_layers).check()


def _check(path: pathlib.Path, values: Mapping) -> None:
    model_type, kinds = values.get("model_type"), values.get("architectures") or []
    good = (
        model_type in ("gpt2", None) and kinds[0] in ARCHITECTURES
        if kinds
        else model_type == "gpt2"
    )
    if not good:
        kind = kinds[0] if kinds else f"model_type {model_type!r}"
        raise InputError(f"{path} is of a {kind}: only {', '.join(ARCHITECTURES)} can be imported.")
    if OWN_CLASS in kinds[:1]:
        print(f"{path} names {OWN_CLASS}: read as GPT-2; code that came with it isn't run")
    activation = values.get("activation_function", ACTIVATIONS[0])
    if activation not in ACTIVATIONS:
        raise InputError(
            f"{path} has activation_function = {activation!r}: only the tanh GELU can be imported "
            f"({', '.join(ACTIVATIONS)})."
        )
    for name, value in FIXED.items():
        if values.get(name, value) != value:
            raise InputError(
                f"{path} has {name} = {values[name]!r}: only a model with {value!r} can be imported."
            )
