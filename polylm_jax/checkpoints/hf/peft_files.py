"""Adapters as the `peft` package loads them: adapter_config.json and adapter_model.safetensors.

PEFT's names are GPT2LMHeadModel's; lora_A is our `a` turned, [rank, in], and lora_B our `b` turned,
[out, rank], with the axes merged as in param_table. Both scale by alpha / rank.
"""

import json
import pathlib

import numpy as np
import safetensors.numpy

from polylm_jax.checkpoints.checkpoint import PARAMS, Progress, adapters_of
from polylm_jax.checkpoints.param_store import Reader, reader_of
from polylm_jax.errors import InputError
from polylm_jax.model.config import PolyLMConfig
from polylm_jax.model.lora import TARGETS, Lora

PREFIX = "base_model.model.transformer."


def check(checkpoint: str, progress: Progress) -> None:
    """InputError unless the checkpoint is of adapters."""
    if not progress.base:
        raise InputError(
            f"checkpoint = {checkpoint!r} has no adapters, and file_format = 'peft' writes them: "
            "export safetensors, or finetune with LORA = @model.Lora()."
        )


def write(
    folder: pathlib.Path, checkpoint: str, progress: Progress, config: PolyLMConfig, base: str
) -> None:
    """Writes both files. base: what adapter_config.json names as the base model."""
    lora, _ = adapters_of(progress)
    reader = reader_of(checkpoint, progress, PARAMS)
    tensors = {}
    for name in lora.ranks:
        for layer in range(config.num_layers):
            a, b = _pair(reader, config, name, layer)
            theirs = f"{PREFIX}h.{layer}.{name}"
            tensors[f"{theirs}.lora_A.weight"] = np.ascontiguousarray(a.T)
            tensors[f"{theirs}.lora_B.weight"] = np.ascontiguousarray(b.T)
    safetensors.numpy.save_file(
        tensors, str(folder / "adapter_model.safetensors"), metadata={"format": "pt"}
    )
    text = json.dumps(_config(lora, base), indent=2, ensure_ascii=False)
    (folder / "adapter_config.json").write_text(text + "\n", encoding="utf-8")


def _pair(
    reader: Reader, config: PolyLMConfig, name: str, layer: int
) -> tuple[np.ndarray, np.ndarray]:
    """a [in, rank] and b [rank, out] of one matrix."""
    if config.scan_layers:
        a, b = (reader.whole(f"h.{name}.{which}")[layer] for which in ("a", "b"))
    else:
        a, b = (reader.whole(f"h_{layer}.{name}.{which}") for which in ("a", "b"))
    return a.reshape(-1, a.shape[-1]), b.reshape(b.shape[0], -1)


def _config(lora: Lora, base: str) -> dict:
    """PEFT's LoraConfig; a rank that most matrices don't have stands in its pattern."""
    ranks = [lora.ranks[name] for name in TARGETS if name in lora.ranks]
    usual = max(set(ranks), key=ranks.count)
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": usual,
        "lora_alpha": lora.alpha,
        "rank_pattern": {name: rank for name, rank in lora.ranks.items() if rank != usual},
        "target_modules": sorted(lora.ranks),
        "fan_in_fan_out": True,  # GPT-2's Conv1D holds [in, out]
        "lora_dropout": 0.0,
        "bias": "none",
        "inference_mode": True,
    }
