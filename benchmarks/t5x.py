"""t5x's own train around our model, beside `run.py train`: the same model, rows and machine.

    python -m benchmarks.t5x W1 [--rounds=5]      # where t5x is installed: docs/t5x.md

`ours` is benchmarks.train_step's: `train` itself. `t5x` is t5x.train.train with the adapter and the
exact rows; `t5x_loss` the same with t5x's loss, which holds all logits, in place of ours. Each run
is a process of its own, in turn within a round, float32 on the CPU, one device.

Prints a JSON line per run, then the medians of the ratios within a round.
"""

import argparse
import json
import pathlib
import statistics
import sys
import tempfile

from polylm_jax.runtime import huge_pages

RUN = "--under-t5x"
if sys.argv[1:2] == [RUN]:
    huge_pages.ask()

from benchmarks import toy_runs
from benchmarks.train_step import WORKLOADS, measure

LOSSES = ("t5x", "t5x_loss")


def under_t5x(name: str, loss: str) -> dict:
    """Trains the workload in this process under t5x; seconds per step as t5x reports them."""
    workload = WORKLOADS[name]
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        rows = workload.batch_size * (workload.steps + workload.warm)
        toy_runs.make_data(folder, workload.vocab_size, rows * (workload.length + 1))
        train(toy_runs.experiment(folder, workload), str(folder / "run"), loss)
        by_step = scalars(folder / "run/train", "timing/seconds")
    seconds = [by_step[step] for step in sorted(by_step)][workload.warm :]
    return {
        "name": loss,
        "workload": name,
        "tokens_per_s_median": round(workload.tokens / statistics.median(seconds), 1),
        "tokens_per_s_mean": round(workload.tokens * len(seconds) / sum(seconds), 1),
        "step_ms_median": round(1e3 * statistics.median(seconds), 2),
        "timed_steps": len(seconds),
    }


def train(experiment, model_dir: str, loss: str) -> None:
    """t5x's train, configured as gin_configs/t5x does, without validation or checkpoints."""
    import functools

    import seqio
    from t5x import gin_utils, models, partitioning, trainer, utils
    from t5x import train as t5x_train

    from polylm_jax.training.t5x import model
    from polylm_jax.training.t5x import rows as t5x_rows

    class WithTheirLoss(model.Model):
        loss_fn = models.DecoderOnlyModel.loss_fn

    kind = model.Model if loss == "t5x" else WithTheirLoss
    rate = model.learning_rate(experiment)
    dataset = utils.DatasetConfig(
        mixture_or_task_name="", task_feature_lengths={"targets": experiment.sequence_length},
        split="train", batch_size=experiment.batch_size, shuffle=False, seed=0,
    )  # fmt: skip
    t5x_train.train(
        model=kind(
            model.Network(experiment.model),
            seqio.SentencePieceVocabulary(experiment.vocabulary),
            model.optimizer(experiment),
        ),
        train_dataset_cfg=dataset,
        train_eval_dataset_cfg=None,
        infer_eval_dataset_cfg=None,
        checkpoint_cfg=utils.CheckpointConfig(),
        partitioner=partitioning.PjitPartitioner(1, logical_axis_rules=model.axis_rules()),
        trainer_cls=functools.partial(
            trainer.Trainer, learning_rate_fn=rate, num_microbatches=None
        ),
        model_dir=model_dir,
        total_steps=model.total_steps(experiment),
        eval_steps=0,
        eval_period=0,
        stats_period=1,
        random_seed=0,
        summarize_config_fn=gin_utils.summarize_gin_config,
        get_dataset_fn=functools.partial(t5x_rows.get_dataset, experiment=experiment),
        verify_matching_vocabs_fn=None,
    )


def scalars(folder: pathlib.Path, tag: str) -> dict[int, float]:
    """Step -> value of a summary that t5x wrote."""
    import tensorflow as tf

    found = {}
    for path in sorted(folder.glob("events.*")):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                if value.tag == tag:
                    found[event.step] = float(tf.make_ndarray(value.tensor))
    return found


def main() -> None:
    """Runs in turn, then the ratios."""
    if sys.argv[1:2] == [RUN]:
        print(json.dumps(under_t5x(*sys.argv[2:4])))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workload", choices=WORKLOADS)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    python = [sys.executable, "-m"]
    commands = {"ours": [*python, "benchmarks.train_step", "--ours", options.workload]}
    for loss in LOSSES:
        commands[loss] = [*python, "benchmarks.t5x", RUN, options.workload, loss]
    rates: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(options.rounds):
        for name, command in commands.items():
            rates[name].append(measure(command)["tokens_per_s_median"])
    ratios = {
        f"{loss}_to_ours": round(
            statistics.median(a / b for a, b in zip(rates[loss], rates["ours"], strict=True)), 3
        )
        for loss in LOSSES
    }
    print(json.dumps({"name": "ratios", "workload": options.workload, **ratios}))


if __name__ == "__main__":
    main()
