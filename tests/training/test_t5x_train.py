"""t5x's train, eval and infer through our gin files. All of it needs t5x and skips without."""

import json

import gin
import jax
import numpy as np
import pytest
import seqio
import tensorflow as tf
import toy_run
import toy_t5x
import toy_t5x_gin
from toy_checkpoints import arrays

from polylm_jax.checkpoints import t5x as t5x_checkpoint
from polylm_jax.checkpoints.checkpoint import Progress
from polylm_jax.checkpoints.hf import exporting
from polylm_jax.checkpoints.params_writer import Writer
from polylm_jax.model import parameters
from polylm_jax.model.network import PolyLM
from polylm_jax.model.partitioning import MeshConfig
from polylm_jax.tokenizer.tokenizer import Tokenizer
from polylm_jax.training import train_state
from polylm_jax.training.experiment import Experiment

pytestmark = toy_t5x.needs_t5x


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("t5x") / "toy"
    toy_run.make(made)
    toy_t5x.register(made)
    return made


@pytest.fixture(autouse=True)
def clean():
    yield
    gin.clear_config()


def train(monkeypatch, folder, model_dir, *extra, **macros):
    """t5x's train over the toy; its losses by step."""
    import t5x.train

    files = [toy_t5x_gin.toy_config(folder), *extra]
    run = toy_t5x_gin.configured(
        monkeypatch, t5x.train, "train", files, MODEL_DIR=str(model_dir), **macros
    )
    run()
    return toy_t5x_gin.scalars(f"{model_dir}/train", "cross_ent_loss")


def start(folder):
    """A checkpoint of ours with fresh parameters."""
    config = toy_run.model(max_length=64)
    params = parameters.init_params(PolyLM(config), jax.random.key(5))
    leaves = jax.tree_util.tree_flatten_with_path(train_state.nn.unbox(params))[0]
    named = {jax.tree_util.keystr(p, simple=True, separator="."): np.asarray(x) for p, x in leaves}
    vocabulary = Tokenizer.load(f"{folder}/toy.model").fingerprint
    progress = Progress(0, 0, 0, "start", {"vocabulary": vocabulary})
    writer = Writer(folder / "start", {n: x.shape for n, x in named.items()}, progress)
    for name, values in named.items():
        writer.write(name, (...,), values)
    writer.close()
    return str(folder / "start")


STABLE = """
one/training.PhaseConfig.rate = 'warmup_stable'
one/training.PhaseConfig.decay_steps = 15
one/training.PhaseConfig.decay_shape = '1-sqrt'
two/training.PhaseConfig.rate = 'continue'
"""


@pytest.mark.parametrize("rates", ["", STABLE], ids=["cosine", "stable"])
def test_the_loss_curves_of_t5x_and_of_our_trainer_agree(monkeypatch, folder, tmp_path, rates):
    """Same parameters, same rows, same optimizer; t5x on a mesh of its own."""
    (tmp_path / "rates.gin").write_text(
        f"from __gin__ import dynamic_registration\nfrom polylm_jax import training\n{rates}"
    )
    begin = start(folder)
    t5x_checkpoint.export_t5x(begin, str(tmp_path / "begin"))
    theirs = train(
        monkeypatch, folder, tmp_path / "theirs", "exact_rows.gin", f"{tmp_path}/rates.gin",
        INITIAL_CHECKPOINT_PATH=f"{tmp_path}/begin/checkpoint_0",
    )  # fmt: skip
    experiment = gin.get_configurable(Experiment)()
    changes = {
        field: getattr(experiment, field)
        for field in ("model", "phases", "vocabulary", "cache_dir", "tasks", "z_loss")
    }
    ours = toy_run.run(
        folder, tmp_path / "ours", changes | {"mesh": MeshConfig(2, 2, 2)}, init_from=begin
    ) or toy_run.losses(tmp_path / "ours")
    assert len(theirs) == len(ours) == 50
    assert ours[50] < ours[1] - 1
    np.testing.assert_allclose(
        [theirs[step] for step in range(1, 51)], [ours[step] for step in range(1, 51)], rtol=2e-5
    )
    reported = toy_t5x_gin.scalars(f"{tmp_path}/theirs/train", "learning_rate")
    planned = experiment.resolve(open_stores=False).learning_rate()
    assert reported == pytest.approx(
        {step: float(planned(step - 1)) for step in reported}, rel=1e-5
    )
    if rates:
        assert (
            reported[20] == reported[35] == pytest.approx(1e-2)
            and 0 < reported[50] < reported[40] < 1e-2
        )


@pytest.fixture(scope="module")
def curriculum_run(folder, tmp_path_factory):
    """30 steps of the curriculum as a SeqIO mixture, in two halves: (MODEL_DIR, losses)."""
    model_dir = tmp_path_factory.mktemp("run") / "halves"
    with pytest.MonkeyPatch.context() as monkeypatch:
        train(monkeypatch, folder, model_dir, TRAIN_STEPS=10)
        train(monkeypatch, folder, model_dir, TRAIN_STEPS=30)
    return model_dir, toy_t5x_gin.scalars(f"{model_dir}/train", "cross_ent_loss")


def test_a_resume_reads_on_in_the_curriculum(monkeypatch, folder, curriculum_run, tmp_path):
    _, halves = curriculum_run
    whole = train(monkeypatch, folder, tmp_path / "whole", TRAIN_STEPS=30)
    assert whole[30] < whole[1] - 1
    assert {step: halves[step] for step in whole} == pytest.approx(whole, rel=1e-6)


def test_what_t5x_trained_comes_home_and_goes_to_pytorch(folder, curriculum_run, tmp_path):
    model_dir, _ = curriculum_run
    vocabulary = f"{folder}/toy.model"
    t5x_checkpoint.import_t5x(str(model_dir), str(tmp_path / "home"), vocabulary)
    theirs = arrays(model_dir / "checkpoint_30/state")
    home = arrays(tmp_path / "home/checkpoints/30/params")
    assert home.keys() == {n.removeprefix("target.") for n in theirs if n.startswith("target.")}
    for name, values in home.items():
        assert values.tobytes() == theirs[f"target.{name}"].tobytes()
    exporting.export(str(tmp_path / "home"), str(tmp_path / "torch"), vocabulary)
    assert (tmp_path / "torch/model.safetensors").exists()


def test_validation_is_reported_per_task(curriculum_run):
    model_dir, _ = curriculum_run
    for task in ("t5x.en", "t5x.th", "t5x.de"):
        losses = toy_t5x_gin.scalars(
            f"{model_dir}/training_eval/{task}", "loss_per_nonpadding_target_token"
        )
        assert losses[30] < losses[10]


def questions(folder):
    """A task with inputs and targets, and a metric of its own."""
    vocabulary = seqio.SentencePieceVocabulary(f"{folder}/toy.model")
    feature = seqio.Feature(vocabulary, add_eos=True, dtype=tf.int32)
    texts = {"inputs": ["abc", "ab cd abd", "b"], "targets": ["ab", "abd", "cd"]}

    def read(split, shuffle_files, seed=None):
        return tf.data.Dataset.from_tensor_slices(texts)

    if "t5x.questions" not in seqio.TaskRegistry.names():
        seqio.TaskRegistry.add(
            "t5x.questions",
            seqio.FunctionDataSource(read, ["train", "validation", "test"]),
            preprocessors=[seqio.preprocessors.tokenize, seqio.preprocessors.append_eos],
            output_features={"inputs": feature, "targets": feature},
            metric_fns=[lambda targets, predictions: {"answers": len(predictions)}],
        )
    return "t5x.questions"


LENGTHS = {"inputs": 12, "targets": 12}


def test_finetuning_evaluating_and_inferring(monkeypatch, folder, curriculum_run, tmp_path):
    """A finetune from t5x's own checkpoint, then eval and infer of what comes out."""
    import t5x.eval
    import t5x.infer
    import t5x.train

    name = questions(folder)
    size = str(folder / "size.gin")
    text = (folder / "toy_pretrain.gin").read_text().partition("VOCABULARY")[0]
    for line in ("import __main__ as train_script\n", "include 'pretrain.gin'\n"):
        text = text.replace(line, "")
    (folder / "size.gin").write_text(text)
    asked = {
        "MIXTURE_OR_TASK_NAME": name,
        "TASK_FEATURE_LENGTHS": LENGTHS,
        "VOCABULARY": f"{folder}/toy.model",
    }
    toy_t5x_gin.configured(
        monkeypatch, t5x.train, "train", [size, "finetune.gin"], **asked, FINETUNE_STEPS=6,
        MODEL_DIR=f"{tmp_path}/tuned", BATCH_SIZE=8, EVAL_PERIOD=6, CHECKPOINT_PERIOD=6,
        INITIAL_CHECKPOINT_PATH=f"{curriculum_run[0]}/checkpoint_30", LEARNING_RATE=1e-3,
    )()  # fmt: skip
    tuned = f"{tmp_path}/tuned/checkpoint_36"
    toy_t5x_gin.configured(
        monkeypatch, t5x.eval, "evaluate", [size, "eval.gin"], **asked, CHECKPOINT_PATH=tuned,
        EVAL_OUTPUT_DIR=f"{tmp_path}/eval",
    )()  # fmt: skip
    metrics = (tmp_path / f"eval/inference_eval/{name}-metrics.jsonl").read_text()
    assert json.loads(metrics.splitlines()[-1])["answers"] == 3
    toy_t5x_gin.configured(
        monkeypatch, t5x.infer, "infer", [size, "infer.gin"], **asked, CHECKPOINT_PATH=tuned,
        INFER_OUTPUT_DIR=f"{tmp_path}/infer",
    )()  # fmt: skip
    written = list((tmp_path / "infer").glob(f"{name}-predict.jsonl*"))
    lines = [json.loads(line) for path in written for line in path.read_text().splitlines()]
    assert len(lines) == 3 and all("prediction" in line for line in lines)
