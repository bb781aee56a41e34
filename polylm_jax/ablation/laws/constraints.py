"""What a proposal must keep: floors, ceilings, groups, sums, losses, nearness to a prior."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from polylm_jax.errors import InputError, nearest

TOLERANCE = 1e-7


@dataclasses.dataclass(frozen=True)
class Sum:
    """A weighted sum of shares that is at most so much.

    Attributes:
      name: what it is called where it binds, such as 'th: 4 epochs over the target'.
      weights: component or group -> what its share counts.
      most: the largest sum.
    """

    name: str
    weights: Mapping[str, float]
    most: float


@dataclasses.dataclass(frozen=True)
class NoWorse:
    """A measure that is predicted to be worse than a reference by at most so much."""

    measure: str
    reference: float
    by: float = 0.0

    @property
    def name(self) -> str:
        """'en at most 0.02 worse than 1.234'."""
        return f"{self.measure} at most {self.by:g} worse than {self.reference:.4g}"


@dataclasses.dataclass(frozen=True)
class Constraints:
    """All that holds of a proposal's shares.

    Attributes:
      floors, ceilings: component or group -> the smallest and largest share.
      groups: name -> components whose shares it adds up, such as 'parallel'.
      sums: weighted sums of shares, such as the epochs of a component over two stages.
      losses: measures that must not become worse.
      near: the largest total variation to the prior, half the sum of absolute differences (of
        several stages, over all of them); None where it may lie anywhere.
    """

    floors: Mapping[str, float] = dataclasses.field(default_factory=dict)
    ceilings: Mapping[str, float] = dataclasses.field(default_factory=dict)
    groups: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
    sums: Sequence[Sum] = ()
    losses: Sequence[NoWorse] = ()
    near: float | None = None

    def check(self, components: Sequence[str], measures: Sequence[str]) -> "Constraints":
        """Itself, or InputError: a component, group or measure that isn't there."""
        known = (*components, *self.groups)
        for name in (n for group in self.groups.values() for n in group):
            if name not in components:
                raise InputError(f"group: no component {name!r}.{nearest(name, components)}")
        for name in (*self.floors, *self.ceilings, *(n for s in self.sums for n in s.weights)):
            if name not in known:
                raise InputError(
                    f"constraint: {name!r} is no component and no group.{nearest(name, known)}"
                )
        for one in self.losses:
            if one.measure not in measures:
                raise InputError(
                    f"constraint: no run has the measure {one.measure!r}."
                    f"{nearest(one.measure, measures)}"
                )
        return self


class Nothing(Exception):
    """No shares keep these rows."""


@dataclasses.dataclass(frozen=True, eq=False)
class Space:
    """The shares that keep every linear constraint: rows . shares <= most, stages sum to 1.

    A last part of the variables, one a share, stands for absolute differences to the prior where
    nearness is asked for: nearness is then linear too.

    Attributes:
      names: of the rows; '' for those that only define the differences.
      row_NV, most_N: V variables, the K shares first.
      stage_SV: rows that sum to 1.
    """

    names: tuple[str, ...]
    row_NV: np.ndarray
    most_N: np.ndarray
    stage_SV: np.ndarray

    def slack(self, shares_K: np.ndarray, prior_K: np.ndarray) -> np.ndarray:
        """slack_N: how much each row has left; negative where it is broken."""
        return self.most_N - self.row_NV @ self.point(shares_K, prior_K)

    def point(self, shares_K: np.ndarray, prior_K: np.ndarray) -> np.ndarray:
        """The variables of given shares."""
        if self.row_NV.shape[1] == len(shares_K):
            return shares_K
        return np.concatenate([shares_K, np.abs(shares_K - prior_K)])


def space(
    constraints: Constraints, components: Sequence[str], prior_K: np.ndarray, stages: int = 1
) -> Space:
    """The linear constraints as rows."""
    named = list(_rows(constraints, components))
    width = len(components)
    names = [name for name, _, _ in named]
    row_NV = np.array([row for _, row, _ in named]).reshape(len(named), width)
    most_N = np.array([most for _, _, most in named], float)
    stage_SV = np.kron(np.eye(stages), np.ones(width // stages))
    if constraints.near is not None:
        eye, none = np.eye(width), np.zeros((len(named), width))
        near = np.concatenate([np.zeros(width), np.full(width, 0.5)])
        row_NV = np.block([[row_NV, none], [eye, -eye], [-eye, -eye]])
        row_NV = np.vstack([row_NV, near])
        most_N = np.concatenate([most_N, prior_K, -prior_K, [constraints.near]])
        names += [""] * (2 * width) + [f"within {constraints.near:g} of the prior"]
        stage_SV = np.hstack([stage_SV, np.zeros_like(stage_SV)])
    return Space(tuple(names), row_NV, most_N, stage_SV)


def _rows(
    constraints: Constraints, components: Sequence[str]
) -> Iterator[tuple[str, np.ndarray, float]]:
    def counted(weights: Mapping[str, float]) -> np.ndarray:
        row_K = np.zeros(len(components))
        for name, weight in weights.items():
            for member in constraints.groups.get(name, (name,)):
                row_K[list(components).index(member)] += weight
        return row_K

    for name, least in constraints.floors.items():
        yield f"floor of {name}: {least:g}", counted({name: -1.0}), -least
    for name, most in constraints.ceilings.items():
        yield f"ceiling of {name}: {most:g}", counted({name: 1.0}), most
    for one in constraints.sums:
        yield one.name, counted(one.weights), one.most


def linear_program(
    where: Space, cost_V: np.ndarray, kept: Sequence[int] | None = None, eased: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """(variables_V, ease_N) of the smallest cost; Nothing where nothing keeps the rows.

    Args:
      kept: the rows that count; all by default.
      eased: each named row may be broken, at a cost of 1 for each unit of share; then `cost_V`
        doesn't count.
    """
    from scipy import optimize

    rows = np.arange(len(where.names)) if kept is None else np.array(kept, int)
    row_NV, most_N = where.row_NV[rows], where.most_N[rows]
    width = where.row_NV.shape[1]
    ease_NN = np.zeros((len(rows), 0))
    if eased:
        size_N = np.abs(row_NV).max(axis=1, initial=0)
        ease_NN = -np.diag(size_N * [bool(where.names[row]) for row in rows])
        cost_V = np.zeros(width)
    cost = np.concatenate([cost_V, np.ones(ease_NN.shape[1])])
    found = optimize.linprog(
        cost,
        A_ub=np.hstack([row_NV, ease_NN]) if len(rows) else None,
        b_ub=most_N if len(rows) else None,
        A_eq=np.hstack([where.stage_SV, np.zeros((len(where.stage_SV), ease_NN.shape[1]))]),
        b_eq=np.ones(len(where.stage_SV)),
        bounds=(0, None),
        method="highs",
    )
    if not found.success:
        raise Nothing(found.message)
    return found.x[:width], -ease_NN @ found.x[width:] if eased else np.zeros(len(rows))


def _fits(where: Space, kept: Sequence[int] | None = None) -> bool:
    try:
        linear_program(where, np.zeros(where.row_NV.shape[1]), kept)
    except Nothing:
        return False
    return True


def refuse_contradictions(where: Space) -> None:
    """Raises InputError that names constraints which contradict one another, and what would fit."""
    if _fits(where):
        return
    kept = list(range(len(where.names)))
    for row in range(len(where.names)):  # what is left when none can be spared contradicts
        rest = [one for one in kept if one != row]
        if where.names[row] and not _fits(where, rest):
            kept = rest
    named = [row for row in kept if where.names[row]]
    _, ease_N = linear_program(where, np.zeros(where.row_NV.shape[1]), eased=True)
    fits = [
        f"{where.names[row]!r} eased by {ease:.4g}"
        for row, ease in enumerate(ease_N) if ease > TOLERANCE
    ]  # fmt: skip
    raise InputError(
        f"constraints: {' and '.join(repr(where.names[row]) for row in named)} contradict one "
        f"another; the nearest that fits has {' and '.join(fits)}."
    )
