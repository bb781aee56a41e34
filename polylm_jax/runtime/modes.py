"""The modes of run.py: the name of each, and the function that a room hands on for it."""

from polylm_jax.runtime.processes import STARTED

MODES = {
    "clean": "polylm_jax.corpus.clean",
    "train_tokenizer": "polylm_jax.tokenizer.train_tokenizer",
    "cache": "polylm_jax.data.cache",
    "train": "polylm_jax.training.train",
    "finetune": "polylm_jax.training.finetune",
    "dpo": "polylm_jax.training.dpo",
    "inspect": "polylm_jax.training.inspect",
    "evaluate": "polylm_jax.evaluation.evaluate",
    "gap": "polylm_jax.evaluation.gap",
    "signal": "polylm_jax.evaluation.signal",
    "plan": "polylm_jax.training.plan",
    "goodput": "polylm_jax.training.goodput",
    "ablate": "polylm_jax.ablation.ablate",
    "mix": "polylm_jax.ablation.mix",
    "generate": "polylm_jax.inference.generate",
    "serve": "polylm_jax.inference.serve",
    "self_instruct": "polylm_jax.corpus.instructions.self_instruct",
    "export": "polylm_jax.checkpoints.export",
    "import_hf": "polylm_jax.checkpoints.import_hf",
    "verify": "polylm_jax.checkpoints.verify",
    "average": "polylm_jax.checkpoints.average",
    "import_t5x": "polylm_jax.checkpoints.import_t5x",
    "export_t5x": "polylm_jax.checkpoints.export_t5x",
}
# Modes that look at what a run left, and need no recipe.
ALONE = {"goodput": ("runs/goodput.gin", "MODEL_DIR = None")}
# What is called before anything is imported: modes of steps whose memory comes and goes ask for huge
# pages, those that train runs by workers begin to import what these need.
BEFORE = dict.fromkeys(
    ("train", "finetune", "dpo", "evaluate", "gap", "generate", "serve", *STARTED),
    "polylm_jax.runtime.huge_pages.ask",
) | dict.fromkeys(("ablate", "mix"), "polylm_jax.ablation.begin")
