"""Names of the version before the rooms, which go on working until the next release.

What lies on users' disks says them: the config.gin of a run, the recipes of an ablation, the gin
file of a vocabulary or a store, the recipe in a checkpoint, and users' own recipes. `import
polylm_jax.experiment` gives the very module polylm_jax.training.experiment, so that old and new
names mean the same objects, and says so once.
"""

import importlib
import importlib.abc
import importlib.machinery
import sys
import types
import warnings

# Room -> the old modules that are in it now, under polylm_jax; `old>new` where the file's name changed.
_ROOMS = {
    "ablation": (
        "ablation.ablate>run ablation.beginnings>reuse ablation.launching>launch "
        "ablation.run_records>records"
    ),
    "data.mixture": "apportionment ledger mixing>schedule",
    "model": (
        "attention finetuning.lora loss memory>cost model>network optimizer partitioning projection"
    ),
    "data.stores": (
        "cache cache_report>cache_view store_build>build store_identity>identity "
        "store_writer>writer task_identity task_tokens>tokens token_store>store"
    ),
    "checkpoints": "checkpoint param_store t5x_checkpoint>t5x",
    "languages": "chosen_shares>shares languages>registry words",
    "runtime": (
        "command_line fingerprint gin_errors huge_pages output_folder run_lock>lock "
        "stderr storage tensorflow_devices terminal"
    ),
    "data": "data>batches finetuning.packed_rows finetuning.packing permutation",
    "evaluation": ("evaluation.during_training>in_training evaluation.evaluate>run"),
    "training": (
        "experiment finetuning.adapted_programs finetuning.finetune>finetuning "
        "inspection inspection_view metrics peers>heartbeat preemption profiling "
        "programs run_directory run_log>log run_start>start run_summary train>run "
        "train_state train_step>step training_loop>loop validation"
    ),
    "tokenizer": "fertility sentencepiece_trainer tokenizer tokenizer_training>train",
    "inference.generation": (
        "generation.beams>beam_search generation.buckets generation.chat "
        "generation.decode generation.detokenizer generation.generate "
        "generation.progress generation.prompts generation.results generation.sampling "
        "generation.steps generation.text>text_generator generation.weights"
    ),
    "text": "held_out instruction_defects mixtures task_text text_sample>sample",
    "corpus.instructions": (
        "self_instruct.card self_instruct.checks self_instruct.endpoint "
        "self_instruct.journal self_instruct.likeness self_instruct.parsing "
        "self_instruct.progress self_instruct.prompts self_instruct.refusals "
        "self_instruct.rounds self_instruct.screening self_instruct.self_instruct>run "
        "self_instruct.spending self_instruct.state self_instruct.task "
        "self_instruct.transport"
    ),
    "inference.serving": (
        "serving.answers>responses serving.app serving.asking>requests serving.bodies "
        "serving.chat_format>chat_template serving.choice>sampler serving.engine "
        "serving.guard>middleware serving.jobs serving.lanes>slots serving.page "
        "serving.pieces>logprobs serving.programs serving.protocol serving.serve "
        "serving.telemetry serving.writing"
    ),
    "training.t5x": "t5x_curriculum>curriculum t5x_model>model t5x_rows>rows",
}
_TASKS = {
    "polylm_jax.runtime": "tasks.json_objects>text_lines",
    "tasks.sources": (
        "tasks.batches tasks.files tasks.formats>text_formats "
        "tasks.lines tasks.moses tasks.pages tasks.parquet tasks.sources>source "
        "tasks.tfds_sources>tfds"
    ),
    "tasks.toy_world": (
        "tasks.world.answered tasks.world.facts tasks.world.generate>generate_text "
        "tasks.world.instruct>generate_instructions tasks.world.instruction_types "
        "tasks.world.probes tasks.world.spoken>language_of"
    ),
}
# Packages that went elsewhere whole.
_PACKAGES = {
    "polylm_jax.hf": "polylm_jax.checkpoints.hf",
    "polylm_jax.planning": "polylm_jax.training.planning",
    "polylm_jax.generation": "polylm_jax.inference.generation",
    "polylm_jax.serving": "polylm_jax.inference.serving",
    "polylm_jax.self_instruct": "polylm_jax.corpus.instructions",
    "tasks.world": "tasks.toy_world",
}
_EMPTIED = ("polylm_jax.finetuning",)  # a package whose modules went to several rooms

# What recipes bound by module, `train.train.keep_last = 2` -> what they bind now.
_BOUND = {
    "training": (
        "experiment.Experiment experiment.PhaseConfig train.train finetune.finetune "
        "finetune.FinetuningExperiment inspection.inspect plan.plan"
    ),
    "model": "optimizer.OptimizerConfig partitioning.MeshConfig lora.Lora",
    "data": "cache.cache",
    "tokenizer": "tokenizer_training.train_tokenizer",
    "checkpoints": (
        "exporting.export importing.import_hf verifying.verify "
        "t5x_checkpoint.import_t5x t5x_checkpoint.export_t5x"
    ),
    "inference": "generate.generate serve.serve prompts.Options",
    "evaluation": "evaluate.evaluate during_training.TrainingTasks language_model.Batching",
    "ablation": "ablate.ablate claims.Claim",
    "corpus": "cleaning.clean",
    "instructions": (
        "self_instruct.self_instruct checks.Limits endpoint.Endpoint rounds.Plan spending.Cap"
    ),
    "t5x": (
        "t5x_curriculum.get_dataset>curriculum_dataset t5x_curriculum.register "
        "t5x_model.Model t5x_model.Network t5x_model.axis_rules t5x_model.learning_rate "
        "t5x_model.optimizer t5x_model.registered t5x_model.total_steps "
        "t5x_rows.get_dataset>rows_dataset"
    ),
}


def _modules() -> dict[str, str]:
    """Every old module -> the new one."""
    found = {}
    for prefix, rooms in (("polylm_jax.", _ROOMS), ("", _TASKS)):
        for room, names in rooms.items():
            for old, _, new in (name.partition(">") for name in names.split()):
                found[prefix + old] = f"{prefix}{room}.{new or old.rpartition('.')[2]}"
    return found


MODULES = _modules()
BOUND = {
    old: f"{room}.{new or old.partition('.')[2]}"
    for room, names in _BOUND.items()
    for old, _, new in (name.partition(">") for name in names.split())
}


def new_module(name: str) -> str | None:
    """'polylm_jax.hf.importing' -> 'polylm_jax.checkpoints.hf.importing'; None for no old name."""
    if name in MODULES:
        return MODULES[name]
    for old, new in _PACKAGES.items():
        if name == old or name.startswith(f"{old}."):
            return new + name[len(old) :]
    return None


def new_binding(name: str) -> str:
    """'train.train.keep_last' -> 'training.train.keep_last', scopes kept; any other as it is."""
    scopes, slash, rest = name.rpartition("/")
    module, _, inside = rest.partition(".")
    symbol, dot, parameter = inside.partition(".")
    new = BOUND.get(f"{module}.{symbol}")
    return f"{scopes}{slash}{new}{dot}{parameter}" if new else name


class _OldNames(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Answers an old module's name with the new module itself."""

    warned = False

    def find_spec(self, fullname, path=None, target=None):
        # A room of today that has the name of an old module is that room: polylm_jax.model.
        new = new_module(fullname)
        if fullname in _EMPTIED:
            return importlib.machinery.ModuleSpec(fullname, self, is_package=True)
        if new is None or new == fullname or new.startswith(f"{fullname}."):
            return None
        return importlib.machinery.ModuleSpec(fullname, self)

    def create_module(self, spec):
        if spec.name in _EMPTIED:
            return None
        self._warn(spec.name)
        module = importlib.import_module(new_module(spec.name))
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        spec = module.__spec__
        assert spec is not None  # importlib made the module from it
        if spec.loader_state is not None:
            module.__spec__ = spec.loader_state  # importlib has put the old name's in its place

    def _warn(self, name: str) -> None:
        if not _OldNames.warned:
            _OldNames.warned = True
            warnings.warn(
                f"{name} is a name of the version before: it is {new_module(name)} now. Recipes import "
                "rooms (`from polylm_jax import training`, then `training.train`); old names work until "
                "the next release.",
                FutureWarning,
                stacklevel=2,
            )


def install() -> None:
    """Puts the finder in front of Python's own, which would load a moved package's files twice."""
    if not any(isinstance(finder, _OldNames) for finder in sys.meta_path):
        sys.meta_path.insert(0, _OldNames())
