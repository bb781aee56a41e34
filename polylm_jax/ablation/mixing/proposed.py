"""proposed.gin: the recipe with the proposed shares, which know where they come from."""

import os
from collections.abc import Mapping, Sequence

from polylm_jax.ablation.mixing import components as parts
from polylm_jax.ablation.mixing.answer import Answer
from polylm_jax.ablation.mixing.designs import Design
from polylm_jax.runtime import paths
from polylm_jax.runtime.storage import Folder
from polylm_jax.runtime.terminal import count

FILE = "proposed.gin"


def write(
    place: Folder, design: Design, found: Answer, gin_files: Mapping[str, Sequence[str]]
) -> None:
    """Writes MIX_DIR/proposed.gin, or says why the recipe needs no other shares.

    gin_files: the "files" and "overrides" that the recipe was given as.
    """
    if found.is_already:
        print(
            f"The recipe's shares are already the proposal, to {found.distance:.2%}: {FILE} would be "
            "the recipe."
        )
        return
    text = recipe(place.path, design, found, gin_files)
    place.write(FILE, text.encode())
    print(f"{place.path}/{FILE} is a recipe for `run.py train` with the proposed shares")


def recipe(
    where: str, design: Design, found: Answer, gin_files: Mapping[str, Sequence[str]]
) -> str:
    """The text of the file: it includes the recipe, so that what is changed there is changed here."""
    shares = parts.shares_of_tasks(design.components, found.mixture.shares)
    phases = "\n".join(
        "    {\n"
        + "".join(f"        {task!r}: {share!r},\n" for task, share in one.items())
        + "    },"
        for one in shares
    )
    lines = [
        f"# The shares of tokens that `run.py mix` proposes for {count(design.target_tokens)} tokens.",
        f"# {where} has the report, the runs and the laws behind them.",
        "from __gin__ import dynamic_registration\n",
        "from polylm_jax import training\n",
        *(f"include {_found(file)!r}" for file in gin_files.get("files", ())),
        *gin_files.get("overrides", ()),
        "\ntraining.Experiment.phases = @training.with_shares()",
        f"training.with_shares.how = {how(where, design, found)!r}",
        f"training.with_shares.shares = [\n{phases}\n]",
    ]
    if found.mixture.parts is not None:
        lines.append(f"training.with_shares.parts = {found.mixture.parts.tolist()!r}")
    return "\n".join(lines) + "\n"


def _found(file: str) -> str:
    """A gin file's place for any working folder; one that gin finds by itself keeps its name."""
    if paths.is_remote(file) or not os.path.exists(file):
        return file
    return os.path.abspath(file)


def how(where: str, design: Design, found: Answer) -> str:
    """What `inspect` says of the shares."""
    runs = len(found.fitted.runs.mixtures)
    return (
        f"mix {where} ({found.mixture.name}): laws of {runs} runs of {count(design.tokens)} tokens, "
        f"for {count(design.target_tokens)}"
    )
