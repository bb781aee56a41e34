"""The laws of mixtures, held against RegMix's published runs.

    python benchmarks/mixture_laws.py FOLDER --runs 17,34,51 --draws 5

FOLDER holds the tables of https://github.com/sail-sg/regmix: train_mixture_1m.csv and
train_pile_loss_1m.csv, 512 mixtures of 17 components at 1M parameters with 13 losses; test_mixture_*
and test_pile_loss_* of 1m, 60m and 1B, which no fit sees. Laws are fitted to so many of the 512, drawn
anew each time, and asked for the unseen mixtures.

A JSON line per size that was asked for, number of runs and law: the mean over the 13 losses of
Spearman's rank correlation, over the draws its mean and standard deviation, and how many of the 90 %
intervals hold what was measured (at 1M alone: other sizes have other losses).
"""

import argparse
import csv
import json
import pathlib
import statistics
import sys
import time

import numpy as np
from scipy import stats

REPO = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPO))

from polylm_jax.ablation.laws import fitted, forms
from polylm_jax.ablation.laws.runs import Runs

SIZES = {"1m": "1m", "60m": "1m", "1B": "1B"}  # size of the losses -> of the mixtures' file
MIXTURE, LOSS = "train_the_pile_", "metric/the_pile_"


def table(path: pathlib.Path, head: str, tail: str = "") -> tuple[list[str], np.ndarray, list[str]]:
    """(column names, values, the rows' own numbers) of one CSV."""
    with path.open(encoding="utf-8", newline="") as file:
        names, *rows = csv.reader(file)
    short = [name.removeprefix(head).removesuffix(tail) for name in names[1:]]
    return short, np.array([row[1:] for row in rows], float), [row[0] for row in rows]


def read(folder: pathlib.Path, part: str, mixtures: str, losses: str) -> Runs:
    """Runs of one part ('train', 'test') at one size; rounded shares are made to sum to 1."""
    components, shares_RK, here = table(folder / f"{part}_mixture_{mixtures}.csv", MIXTURE)
    measures, measured_RM, there = table(
        folder / f"{part}_pile_loss_{losses}.csv", LOSS, "_val_loss"
    )
    assert here == there, f"{part} {losses}: the tables don't have the same rows"
    shares_RK = shares_RK / shares_RK.sum(axis=1, keepdims=True)
    own = {name: (components.index(name),) for name in measures if name in components}
    return Runs(shares_RK, measured_RM, tuple(here), tuple(components), tuple(measures), own)


def drawn(runs: Runs, number: int, seed: int) -> Runs:
    """So many of the runs."""
    rows = np.random.default_rng(seed).permutation(len(runs.mixtures))[:number]
    return Runs(
        runs.shares_RK[rows], runs.measured_RM[rows], tuple(runs.mixtures[row] for row in rows),
        runs.components, runs.measures, runs.own,
    )  # fmt: skip


def spearman(mean_QM: np.ndarray, measured_QM: np.ndarray) -> float:
    """The mean over measures; a law that says the same of all mixtures has 0."""
    found = [
        stats.spearmanr(mine, theirs).statistic if np.ptp(mine) > 0 else 0.0
        for mine, theirs in zip(mean_QM.T, measured_QM.T)
    ]
    return float(np.mean(found))


def held(law: fitted.Fitted, tests: dict[str, Runs]) -> dict[str, float]:
    """size -> rank correlation, and how many values lie in their intervals at 1M, how wide."""
    found = {
        size: spearman(law.means(test.shares_RK), test.measured_RM) for size, test in tests.items()
    }
    asked = law.predict(tests["1m"].shares_RK)
    measured_QM = tests["1m"].measured_RM
    inside = (asked.low_QM <= measured_QM) & (measured_QM <= asked.high_QM)
    return found | {
        "inside": float(inside.mean()),
        "width": float((asked.high_QM - asked.low_QM).mean()),
        "error": float(np.abs(asked.mean_QM - measured_QM).mean()),
    }


def main() -> None:
    """Fits and asks, draw by draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--runs", default="17,34,51,512", help="how many of the 512, by commas")
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--laws", default=",".join((*forms.LAWS, fitted.CHOSEN)))
    options = parser.parse_args()
    train = read(options.folder, "train", "1m", "1m")
    tests = {size: read(options.folder, "test", of, size) for size, of in SIZES.items()}
    for number in map(int, options.runs.split(",")):
        for name in options.laws.split(","):
            began = time.process_time()
            draws = 1 if number == len(train.mixtures) else options.draws
            rows = [held(fitted.fit(drawn(train, number, n), name), tests) for n in range(draws)]
            told = {"runs": number, "law": name, "draws": draws}
            for key in rows[0]:
                values = [row[key] for row in rows]
                told[key] = round(statistics.mean(values), 4)
                told[f"{key}_sd"] = round(statistics.pstdev(values), 4)
            told["cpu_seconds"] = round((time.process_time() - began) / draws, 2)
            print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
