"""The laws of mixtures, held against RegMix's published runs.

    python benchmarks/mixture_laws.py FOLDER --runs 17,34,51 --draws 5

FOLDER holds the tables of https://github.com/sail-sg/regmix: train_mixture_1m.csv and
train_pile_loss_1m.csv, 512 mixtures of 17 components at 1M parameters with 13 losses; test_mixture_*
and test_pile_loss_* of 1m, 60m and 1B, which no fit sees. Laws are fitted to so many of the 512, drawn
anew each time, and asked for the unseen mixtures.

A JSON line per number of runs and law, each value the mean over the draws, KEY_sd their standard
deviation:

  1m, 60m, 1B       the mean over the 13 losses of Spearman's rank correlation, unseen mixtures
  inside, width     how many unseen values at 1M lie in their 90 % intervals; how wide those are, nats
  error             the mean absolute error at 1M, nats; other sizes have other losses
  pairs, near       how many differences between two unseen mixtures at 1M lie in their intervals:
                    of pairs by chance, and of each mixture and its nearest
  cpu_seconds       of one draw

--by_loss prints the rank correlations of each loss instead. `--laws lightgbm` fits gradient-boosted
trees as RegMix does (in an environment that has the package; ranks alone), but stopped by a tenth of
the runs that it is fitted to, where RegMix stops by the mixtures that it then reports.
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

from polylm_jax.ablation.laws import differences, fitted, forms
from polylm_jax.ablation.laws.objective import Objective
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


class Trees:
    """RegMix's regressor for each loss: lr 0.01, at most 1,000 trees, stopped after 3 that don't help."""

    def __init__(self, runs: Runs):
        import lightgbm

        self.by_measure = []
        tenth = max(len(runs.mixtures) // 10, 2)
        few = {"min_data_in_leaf": 3, "min_data_in_bin": 1} if len(runs.mixtures) < 100 else {}
        for measured_R in runs.measured_RM.T:
            trees = lightgbm.LGBMRegressor(
                n_estimators=1000, learning_rate=0.01, random_state=42, n_jobs=1, verbose=-1, **few
            )
            trees.fit(
                runs.shares_RK[tenth:], measured_R[tenth:], eval_metric="l2",
                eval_X=runs.shares_RK[:tenth], eval_y=measured_R[:tenth],
                callbacks=[lightgbm.early_stopping(3, verbose=False)],
            )  # fmt: skip
            self.by_measure.append(trees)

    def means(self, shares_QK: np.ndarray) -> np.ndarray:
        """mean_QM."""
        return np.stack([trees.predict(shares_QK) for trees in self.by_measure], axis=1)


def spearman(mean_QM: np.ndarray, measured_QM: np.ndarray) -> np.ndarray:
    """Of each measure; a law that says the same of all mixtures has 0."""
    return np.array(
        [
            stats.spearmanr(mine, theirs).statistic if np.ptp(mine) > 0 else 0.0
            for mine, theirs in zip(mean_QM.T, measured_QM.T)
        ]
    )


def inside_pairs(law: fitted.Fitted, test: Runs, second_Q: np.ndarray) -> float:
    """How many differences to the mixtures `second_Q` lie in their intervals, over the measures."""
    other_QK, other_QM = test.shares_RK[second_Q], test.measured_RM[second_Q]
    held = []
    for number, name in enumerate(test.measures):
        told = differences.difference(law, Objective(measures=(name,)), test.shares_RK, other_QK)
        truth_Q = test.measured_RM[:, number] - other_QM[:, number]
        held += [one.low <= truth <= one.high for one, truth in zip(told, truth_Q)]
    return float(np.mean(held))


def nearest(shares_QK: np.ndarray) -> np.ndarray:
    """The nearest other mixture of each."""
    apart_QQ = ((np.sqrt(shares_QK)[:, None] - np.sqrt(shares_QK)) ** 2).sum(axis=-1)
    return np.argmin(apart_QQ + 1e3 * np.eye(len(shares_QK)), axis=1)


def held(law: fitted.Fitted | Trees, tests: dict[str, Runs], by_loss: bool) -> dict[str, float]:
    """One draw's numbers."""
    ranks = {size: spearman(law.means(t.shares_RK), t.measured_RM) for size, t in tests.items()}
    if by_loss:
        names = tests["1m"].measures
        return {f"{n} {s}": float(r) for s, by in ranks.items() for n, r in zip(names, by)}
    test, found = tests["1m"], {size: float(rank.mean()) for size, rank in ranks.items()}
    if isinstance(law, Trees):
        return found
    asked, measured_QM = law.predict(test.shares_RK), test.measured_RM
    inside = (asked.low_QM <= measured_QM) & (measured_QM <= asked.high_QM)
    return found | {
        "inside": float(inside.mean()),
        "width": float((asked.high_QM - asked.low_QM).mean()),
        "error": float(np.abs(asked.mean_QM - measured_QM).mean()),
        "pairs": inside_pairs(law, test, np.roll(np.arange(len(test.mixtures)), 1)),
        "near": inside_pairs(law, test, nearest(test.shares_RK)),
    }


def main() -> None:
    """Fits and asks, draw by draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--runs", default="17,34,51,512", help="how many of the 512, by commas")
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--laws", default=",".join((*forms.LAWS, fitted.CHOSEN)))
    parser.add_argument("--by_loss", action="store_true")
    options = parser.parse_args()
    train = read(options.folder, "train", "1m", "1m")
    tests = {size: read(options.folder, "test", of, size) for size, of in SIZES.items()}
    for number in map(int, options.runs.split(",")):
        for name in options.laws.split(","):
            began = time.process_time()
            draws = 1 if number == len(train.mixtures) else options.draws
            runs = (drawn(train, number, seed) for seed in range(draws))
            fits = (Trees(one) if name == "lightgbm" else fitted.fit(one, name) for one in runs)
            rows = [held(law, tests, options.by_loss) for law in fits]
            told = {"runs": number, "law": name, "draws": draws}
            for key in rows[0]:
                values = [row[key] for row in rows]
                told[key] = round(statistics.mean(values), 4)
                told[f"{key}_sd"] = round(statistics.pstdev(values), 4)
            told["cpu_seconds"] = round((time.process_time() - began) / draws, 2)
            print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
