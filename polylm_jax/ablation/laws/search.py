"""The search for the smallest objective: many places that keep the constraints, the best refined.

Everything is drawn with a fixed seed, so that the same laws give the same proposal.
"""

from collections.abc import Callable, Mapping

import numpy as np

from polylm_jax.ablation.laws.constraints import Constraints, Space, linear_program
from polylm_jax.ablation.laws.fitted import Fitted
from polylm_jax.ablation.laws.objective import Objective
from polylm_jax.errors import InputError

CORNERS, BETWEEN, REFINED = 60, 2000, 6
SMOOTH = {"maxiter": 200, "ftol": 1e-10}
CORNER = {"maxiter": 100, "ftol": 1e-8}  # between measures that are equally bad it creeps
STEP = 1e-5  # of a share, for slopes
BROKEN = 1e-5  # how far a constraint may be missed


def smallest(
    fitted: Fitted,
    objective: Objective,
    constraints: Constraints,
    where: Space,
    prior_K: np.ndarray,
    compared: Mapping[str, np.ndarray],
) -> np.ndarray:
    """shares_K; InputError where no mixture is predicted to keep the losses."""
    task = _Task(fitted, objective, constraints, where, prior_K)
    starts_QK = task.starts(compared)
    order = np.argsort(task.penalized(starts_QK), kind="stable")[:REFINED]
    found_QK = np.stack([*starts_QK[order], *(task.refined(starts_QK[n]) for n in order)])
    keeps_Q = task.broken(found_QK) <= BROKEN
    if not keeps_Q.any():
        task.refuse(found_QK)
    value_Q = np.where(keeps_Q, task.value(found_QK), np.inf)
    return found_QK[int(np.argmin(value_Q))]


class _Task:
    """One search: the laws, what is to be small, and where."""

    def __init__(self, fitted, objective, constraints, where, prior_K):
        self.fitted, self.objective, self.where, self.prior_K = fitted, objective, where, prior_K
        self.measures = fitted.runs.measures
        self.losses = constraints.losses
        self.loss_columns = [self.measures.index(one.measure) for one in self.losses]
        self.limit_C = np.array([one.reference + one.by for one in self.losses])
        self.width = fitted.runs.shares_RK.shape[1]
        self._newest: tuple[bytes, np.ndarray] = (b"", np.empty(0))

    def value(self, shares_QK: np.ndarray) -> np.ndarray:
        """value_Q of the objective."""
        return self.objective.value(self.fitted.means(shares_QK), self.measures)

    def excess(self, mean_QM: np.ndarray) -> np.ndarray:
        """How much each loss is above its limit, excess_QC."""
        return mean_QM[:, self.loss_columns] - self.limit_C

    def broken(self, shares_QK: np.ndarray) -> np.ndarray:
        """broken_Q: by how much the worst constraint is missed."""
        linear_Q = [-self.where.slack(row, self.prior_K).min(initial=0) for row in shares_QK]
        losses_Q = self.excess(self.fitted.means(shares_QK)).max(axis=1, initial=0)
        return np.maximum(linear_Q, losses_Q)

    def penalized(self, shares_QK: np.ndarray) -> np.ndarray:
        """The objective, and what is above a limit many times."""
        mean_QM = self.fitted.means(shares_QK)
        above_Q = np.clip(self.excess(mean_QM), 0, None).sum(axis=1)
        return self.objective.value(mean_QM, self.measures) + 100 * above_Q

    def starts(self, compared: Mapping[str, np.ndarray]) -> np.ndarray:
        """Places that keep the linear constraints: given ones, corners, and between them."""
        chance = np.random.default_rng(0)
        width = self.where.row_NV.shape[1]
        costs = chance.normal(size=(CORNERS, width))
        costs[:, self.width :] = 0
        corners = np.stack([linear_program(self.where, cost_V)[0] for cost_V in costs])
        corners = corners[:, : self.width]
        weights = chance.dirichlet(np.full(CORNERS, 0.2), BETWEEN)
        given = [self.prior_K, *compared.values(), *self.fitted.runs.shares_RK]
        centre = corners.mean(axis=0)
        drawn = [self._inside(row, centre) for row in given]
        return np.stack([centre, *drawn, *corners, *(weights @ corners)])

    def _inside(self, shares_K: np.ndarray, centre_K: np.ndarray) -> np.ndarray:
        """The place between the centre and given shares that is nearest to them and allowed."""
        shares_K = shares_K / shares_K.reshape(len(self.where.stage_SV), -1).sum(1).repeat(
            self.width // len(self.where.stage_SV)
        )
        low, high = 0.0, 1.0
        for _ in range(30):
            middle = high if low == 0.0 and high == 1.0 else (low + high) / 2
            place = centre_K + middle * (shares_K - centre_K)
            if self.where.slack(place, self.prior_K).min(initial=0) >= -1e-12:
                low = middle
                if middle == 1.0:
                    break
            else:
                high = middle
        return centre_K + low * (shares_K - centre_K)

    def refined(self, start_K: np.ndarray) -> np.ndarray:
        """The nearest smallest place by sequential quadratic programming."""
        from scipy import optimize

        worst = self.objective.kind == "worst"
        start_V = self.where.point(start_K, self.prior_K)
        start = np.append(start_V, self.value(start_K[None])) if worst else start_V
        found = optimize.minimize(
            self._goal, start, jac=self._goal_slope, method="SLSQP",
            bounds=[(0, 1)] * len(start_V) + [(None, None)] * worst,
            constraints=self._conditions(len(start)), options=CORNER if worst else SMOOTH,
        )  # fmt: skip
        shares_K = np.clip(np.nan_to_num(found.x[: self.width]), 0, None)
        stages = len(self.where.stage_SV)
        sums = shares_K.reshape(stages, -1).sum(axis=1).repeat(self.width // stages)
        return shares_K / np.where(sums > 0, sums, 1)

    def _goal(self, place: np.ndarray) -> float:
        if self.objective.kind == "worst":
            return float(place[-1])
        return float(self.objective.value(self._around(place)[:1], self.measures)[0])

    def _goal_slope(self, place: np.ndarray) -> np.ndarray:
        slope = np.zeros(len(place))
        if self.objective.kind == "worst":
            slope[-1] = 1.0
        else:
            slope[: self.width] = self._slopes(
                lambda mean_QM: self.objective.value(mean_QM, self.measures), place
            )
        return slope

    def _around(self, place: np.ndarray) -> np.ndarray:
        """mean_QM at a place, and a step from it in each share; of the newest place they are kept."""
        here_K = place[: self.width]
        key = here_K.tobytes()
        if self._newest[0] != key:
            near_QK = np.vstack([here_K, here_K + STEP * np.eye(self.width)])
            self._newest = (key, self.fitted.means(near_QK))
        return self._newest[1]

    def _slopes(self, of: Callable, place: np.ndarray) -> np.ndarray:
        """Differences forward of a function of mean_QM, by share."""
        values = of(self._around(place))
        return ((values[1:] - values[0]) / STEP).T

    def _conditions(self, size: int) -> list[dict]:
        def padded(rows: np.ndarray) -> np.ndarray:
            return np.hstack([rows, np.zeros((len(rows), size - rows.shape[1]))])

        rows, sums = padded(self.where.row_NV), padded(self.where.stage_SV)
        found = [{"type": "eq", "fun": lambda z: sums @ z - 1, "jac": lambda z: sums}]
        if len(rows):
            most_N = self.where.most_N
            found += [{"type": "ineq", "fun": lambda z: most_N - rows @ z, "jac": lambda z: -rows}]
        if self.losses:
            found += [self._nonlinear(lambda mean_QM: -self.excess(mean_QM), size, 0.0)]
        if self.objective.kind == "worst":
            found += [
                self._nonlinear(
                    lambda mean_QM: -self.objective.parts(mean_QM, self.measures), size, 1.0
                )
            ]
        return found

    def _nonlinear(self, of: Callable, size: int, last: float) -> dict:
        """A condition of(mean_QM) + last * (the bound of the worst) >= 0."""

        def slope(place: np.ndarray) -> np.ndarray:
            slopes = self._slopes(of, place)
            found = np.zeros((len(slopes), size))
            found[:, : self.width] = slopes
            found[:, -1] += last
            return found

        def value(place: np.ndarray) -> np.ndarray:
            return of(self._around(place)[:1])[0] + last * place[-1]

        return {"type": "ineq", "fun": value, "jac": slope}

    def refuse(self, found_QK: np.ndarray) -> None:
        """Raises InputError that names the loss which nothing reaches, and how near it can be."""
        excess_QC = self.excess(self.fitted.means(found_QK))
        best = int(np.argmin(excess_QC.max(axis=1)))
        worst = int(np.argmax(excess_QC[best]))
        one = self.losses[worst]
        raise InputError(
            f"constraint {one.name!r}: no mixture that keeps the others is predicted to reach it; "
            f"the nearest found is {one.by + excess_QC[best, worst]:.4g} worse."
        )
