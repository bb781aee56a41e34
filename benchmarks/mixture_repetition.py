"""The best share of a small language by short proxies, repeated as they come and as at the target.

    python benchmarks/mixture_repetition.py FOLDER --data DATA_DIR --plot docs/mixture_repetition.svg

DATA_DIR holds en.jsonl and SMALL.jsonl ({"id", "text"}), of which the first --pages pages are the small
language's text, half of them held out. A model of 2 layers of width 64 is trained on both with shares of
the small language from 3 to 80 %: for --target steps, which is the answer; and for --lengths steps, each
as it comes (a short run reads the small text less often than the target does) and matched
(`repeat_as_tokens`: its part of the small text, as often as the target). What is to be small is the mean
of both languages' bits per byte of held-out text.

All runs are one `run.py ablate` in FOLDER; killed, the same command goes on. A JSON line per curve: the
objective at each share, both languages, the best share by a parabola through the smallest value and its
neighbours, how often the small text is read there, and how far the best share lies from the target's.
"""

import argparse
import itertools
import json
import pathlib
import subprocess
import sys

import numpy as np

REPO = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPO))

from polylm_jax.ablation import figures

SHARES = (0.03, 0.08, 0.2, 0.4, 0.6, 0.8)
TOKENS = 1024  # of a step
TARGET, MATCHED, AS_IT_COMES = "target", "matched", "as it comes"
RECIPE = """
from __gin__ import dynamic_registration

from polylm_jax import ablation
from polylm_jax import model
from polylm_jax import training
from tasks import corpus

include 'models/tiny.gin'
include 'runs/modes.gin'

DATA_DIR = '{folder}/text'
CACHE_DIR = '{folder}/cache'
VOCABULARY = '{folder}/vocabulary.model'
MODEL_DIR = '{folder}/model'
ABLATION_DIR = '{folder}/runs'
TASKS = @corpus.register()
corpus.register:
  name = 'two'
  data_dir = %DATA_DIR
  vocabulary = %VOCABULARY
  cache_dir = %CACHE_DIR
  held_out = 0.5
  monolingual = {{'en': 'en.jsonl', '{small}': '{small}.jsonl'}}
VOCAB_SIZE = 1_000
model.PolyLMConfig:
  embed_dim = 64
  num_heads = 2
  mlp_dim = 256
  vocab_size = %VOCAB_SIZE
  max_length = 64
SEQUENCE_LENGTH = 64
BATCH_SIZE = 16
N_STEPS = {target}
EVAL_EVERY_STEPS = %N_STEPS
SAVE_EVERY_STEPS = %N_STEPS
MIXTURE = {{'two.en': 0.5, 'two.{small}': 0.5}}
PHASES = [@training.PhaseConfig()]
training.PhaseConfig:
  mixture = %MIXTURE
  steps = %N_STEPS
  peak_learning_rate = 5e-3
  warmup_steps = 10
training.Experiment.max_epochs = 10_000
training.train.log_every_steps = 50
SEEDS = {seeds}
VARIANTS = {variants!r}
OTHER_BUDGETS = {others!r}
"""


def variants(lengths: list[int], target: int, small: str) -> dict[str, dict]:
    """Variant -> its way, steps, share and gin lines."""
    ways = [(TARGET, target), *itertools.product((AS_IT_COMES, MATCHED), lengths)]
    found = {}
    for way, steps in ways:
        for share in SHARES:
            lines = [
                f"N_STEPS = {steps}",
                f"MIXTURE = {{'two.en': {1 - share:.2f}, 'two.{small}': {share:.2f}}}",
            ]
            if way == MATCHED:
                lines.append(f"training.Experiment.repeat_as_tokens = {target * TOKENS}")
            name = f"{way.replace(' ', '_')}_{steps}_{round(100 * share):02}"
            found[name] = {"way": way, "steps": steps, "share": share, "lines": lines}
    return found


def write_text(folder: pathlib.Path, data: pathlib.Path, small: str, pages: int) -> None:
    """English, and the first pages of the small language."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "en.jsonl").write_bytes((data / "en.jsonl").read_bytes())
    with (data / f"{small}.jsonl").open(encoding="utf-8") as lines:
        text = "".join(itertools.islice(lines, pages))
    (folder / f"{small}.jsonl").write_text(text, encoding="utf-8")


def run(*arguments: str) -> None:
    """A `run.py` of this checkout; what it says goes to stderr."""
    subprocess.run(
        [sys.executable, str(REPO / "run.py"), *arguments], cwd=REPO, check=True, stdout=sys.stderr
    )


def best(shares: list[float], values: list[float]) -> float:
    """Where a parabola in log-odds through the smallest value and its neighbours has its foot."""
    at = int(np.argmin(values))
    if at in (0, len(values) - 1):
        return shares[at]
    odds = np.log(np.array(shares) / (1 - np.array(shares)))[at - 1 : at + 2]
    a, b, _ = np.polyfit(odds, values[at - 1 : at + 2], 2)
    return float(1 / (1 + np.exp(b / (2 * a))))


def curves(folder: pathlib.Path, asked: dict[str, dict], small: str) -> list[dict]:
    """A line per way and length, the mean over seeds."""
    found: dict[tuple[str, int], dict] = {}
    for name, one in asked.items():
        records = [json.loads(p.read_text()) for p in folder.glob(f"runs/{name}/*/evidence.json")]
        line = found.setdefault(
            (one["way"], one["steps"]),
            {"way": one["way"], "steps": one["steps"], "runs": 0, "en": [], small: []},
        )
        line["runs"] += len(records)
        for label in ("en", small):
            values = [record["numbers"][f"bits_per_byte/{label}"] for record in records]
            line[label].append(round(float(np.mean(values)), 4))
        text = next(s for s in records[0]["stores"].values() if s["language"] == small)
        line["tokens"] = text["tokens"]
    return [
        _summed(line, found[TARGET, max(s for _, s in found)], small) for line in found.values()
    ]


def _summed(line: dict, target: dict, small: str) -> dict:
    objective = lambda of: [(a + b) / 2 for a, b in zip(of["en"], of[small], strict=True)]
    share = best(list(SHARES), objective(line))
    length = target["steps"] if line["way"] == MATCHED else line["steps"]
    return {
        "way": line["way"],
        "steps": line["steps"],
        "runs": line["runs"],
        "shares": list(SHARES),
        "objective": [round(value, 4) for value in objective(line)],
        "en": line["en"],
        small: line[small],
        "best_share": round(share, 3),
        "epochs_there": round(share * length * TOKENS / line["tokens"], 1),
        "off": round(share - best(list(SHARES), objective(target)), 3),
    }


def plot(lines: list[dict], small: str, path: str) -> None:
    """The objective above its smallest by the share: proxies as they come beside matched ones."""
    figure, panels = figures.grid(2, 1, 5.6)
    target = next(line for line in lines if line["way"] == TARGET)
    for panel, way in zip(panels, (AS_IT_COMES, MATCHED), strict=True):
        for line in [target, *(line for line in lines if line["way"] == way)]:
            values = np.array(line["objective"]) - min(line["objective"])
            label = f"{line['steps']} steps" + (", target" if line is target else "")
            style = {"color": "black", "linewidth": 2} if line is target else {}
            (drawn,) = panel.plot(line["shares"], values, "o-", markersize=3, label=label, **style)
            panel.axvline(line["best_share"], color=drawn.get_color(), linestyle=":", linewidth=1)
        panel.set_xscale("log")
        panel.set_xticks(line["shares"], [f"{share:.0%}" for share in line["shares"]])
        panel.minorticks_off()
        panel.set_title(f"proxies repeat their text {way}" if way == AS_IT_COMES else
                        "proxies repeat their text as the target does", fontsize="small")  # fmt: skip
        panel.legend(fontsize="x-small", frameon=False)
    figure.supxlabel(f"share of {small}, of which there is little", fontsize="small")
    figure.supylabel("mean bits per byte of both, above the smallest", fontsize="small")
    text = figures.svg(figure, "repetition")
    text = "\n".join(one.rstrip() for one in text.splitlines()) + "\n"
    pathlib.Path(path).write_text(text, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--small", default="th")
    parser.add_argument("--pages", type=int, default=160)
    parser.add_argument("--target", type=int, default=320, help="steps of 1,024 tokens")
    parser.add_argument("--lengths", default="40,80,160")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--plot", default="")
    options = parser.parse_args()
    folder, small = options.folder.resolve(), options.small
    asked = variants([*map(int, options.lengths.split(","))], options.target, small)
    write_text(folder / "text", options.data, small, options.pages)
    recipe = folder / "recipe.gin"
    text = RECIPE.format(
        folder=folder, small=small, target=options.target, seeds=tuple(range(options.seeds)),
        variants=[(name, *one["lines"]) for name, one in asked.items()],
        others=[name for name, one in asked.items() if one["way"] != TARGET],
    )  # fmt: skip
    recipe.write_text(text, encoding="utf-8")
    if not (folder / "vocabulary.model").exists():
        run("train_tokenizer", f"--gin_file={recipe}")
    run("ablate", f"--gin_file={recipe}")
    lines = curves(folder, asked, small)
    for line in lines:
        print(json.dumps(line), flush=True)
    if options.plot:
        plot(lines, small, options.plot)


if __name__ == "__main__":
    main()
