"""The model card of an export: where the weights come from, in numbers that the run recorded."""

import pathlib

from polylm_jax.checkpoints import layout
from polylm_jax.checkpoints.identity import Checkpoint
from polylm_jax.checkpoints.progress import Progress
from polylm_jax.data.mixture.ledger import left_out_rows
from polylm_jax.data.mixture.row_ranges import RowRanges
from polylm_jax.data.mixture.schedule import Phase, Schedule
from polylm_jax.errors import InputError
from polylm_jax.languages import registry
from polylm_jax.languages.labels import label_of
from polylm_jax.model.averaging import PLAIN
from polylm_jax.model.config import PolyLMConfig
from polylm_jax.runtime import json_lines, markdown
from polylm_jax.runtime.storage import Folder

HEAD = """---
library_name: transformers
pipeline_tag: text-generation
{languages}---

# {name}

A GPT-2 of {parameters:,} parameters with a SentencePiece vocabulary of {pieces:,} pieces, trained with
PolyLM in JAX. It loads with `AutoModelForCausalLM` and `AutoTokenizer`, without remote code. A text
ends with `{eos}` (id {eos_id}); none begins with a special token, and special tokens are never made
from text.

| | |
| --- | --- |
| layers, width, heads, MLP | {num_layers}, {embed_dim}, {num_heads}, {mlp_dim} |
| positions | {max_length:,} |
| dtype of the files | {dtype} |
| step | {step:,} |
"""


def tokens_by_label(progress: Progress) -> dict[str, int]:
    """'th', 'en-th', 'code' -> training tokens of it up to the checkpoint; {} without a schedule."""
    found = progress.fingerprint
    if "schedule" not in found:
        return {}
    phases = [
        Phase(str(number), phase["shares"], phase["rows"], phase["ramp_rows"])
        for number, phase in enumerate(found["schedule"]["phases"])
    ]
    schedule = Schedule(phases)
    tokens: dict[str, int] = {}
    row = min(progress.rows, schedule.total_rows)
    skipped = RowRanges.of(found.get("skip_rows", ()))
    counts = schedule.counts(row) - left_out_rows(schedule, skipped, row)
    for component, rows in zip(schedule.components, counts, strict=True):
        label = label_of(component)
        tokens[label] = tokens.get(label, 0) + int(rows) * found["sequence_length"]
    return tokens


def bits_per_byte(found: Checkpoint) -> tuple[int, dict[str, float]]:
    """The newest validation of the run up to a step: (its step, label -> bits per byte).

    {} where it has another measure, as preferences do, or is of other weights.
    """
    run = layout.split(found.path)[0].parent
    lines = json_lines.objects(Folder(str(run), "CHECKPOINT").peek("validation.jsonl"))
    lines = [line for line in lines if line["step"] <= found.step and "bits_per_byte" in line]
    lines = [line for line in lines if line.get("weights", PLAIN) == found.weights]
    return (lines[-1]["step"], lines[-1]["bits_per_byte"]) if lines else (0, {})


def write_card(
    folder: pathlib.Path,
    name: str,
    config: PolyLMConfig,
    progress: Progress,
    found: Checkpoint,
    *,
    dtype: str,
    pieces: int,
    eos: tuple[str, int],
    ids: str,
) -> None:
    """Writes README.md: shape, step, how ids compare, tokens per language, validation, recipe."""
    tokens = tokens_by_label(progress)
    codes = ", ".join(_codes(tokens))
    text = HEAD.format(
        name=name,
        languages=f"language: [{codes}]\n" if codes else "",
        parameters=config.num_params,
        pieces=pieces,
        eos=eos[0],
        eos_id=eos[1],
        dtype=dtype,
        step=progress.step,
        **config.sizes,
    )
    text += f"\nToken ids: {ids}.\n"
    if found.weights != PLAIN:
        text += "\nThe weights are the average of the parameters that the run kept beside them.\n"
    if "imported" in progress.fingerprint:
        text += f"\nThe weights were imported from `{progress.fingerprint['imported']}`.\n"
    validated, bits = bits_per_byte(found)
    if tokens or bits:
        text += _table(tokens, validated, bits)
    if progress.recipe:
        text += f"\n## Recipe\n\n```\n{progress.recipe.strip()}\n```\n"
    (folder / "README.md").write_text(text, encoding="utf-8")


def _codes(tokens: dict[str, int]) -> list[str]:
    """Languages of the table among the labels, as ISO codes; pairs count for both sides."""
    parts = {part for label, count in tokens.items() if count for part in label.split("-")}
    return [code for code in registry.LANGUAGES if code in parts]


def _table(tokens: dict[str, int], validated: int, bits: dict[str, float]) -> str:
    rows = [
        (
            _title(label),
            f"{tokens[label]:,}" if label in tokens else "",
            f"{bits[label]:.4f}" if label in bits else "",
        )
        for label in {**tokens, **bits}
    ]
    at = f" (step {validated:,})" if bits else ""
    heads = ("text", "tokens trained on", f"validation bits per byte{at}")
    return f"\n## Text\n\n{markdown.table(heads, rows, words=1)}\n"


def _title(label: str) -> str:
    try:
        return registry.find(label).name
    except InputError:
        return label
