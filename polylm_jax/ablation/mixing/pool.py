"""What a law is fitted to: the runs of a design, and of earlier evidence what is compatible with them.

A run is compatible when all that decides it is the proxies', but its mixture and its seed; when it
read no text that the design hasn't; and when its languages are validated on the same held-out text.
"""

import collections
import dataclasses
import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from polylm_jax.ablation import evidence
from polylm_jax.ablation.comparison import larger_is_better
from polylm_jax.ablation.laws.runs import Runs
from polylm_jax.ablation.mixing import components as parts
from polylm_jax.ablation.mixing import question
from polylm_jax.ablation.mixing.designs import HELD_OUT, Design
from polylm_jax.errors import InputError
from polylm_jax.languages import labels
from polylm_jax.languages.registry import CODE, LANGUAGES
from polylm_jax.runtime.fingerprint import differences
from polylm_jax.runtime.storage import Folder

OTHER_ROWS = "validated on more or fewer rows"
DIGITS = 4  # of shares that name a mixture
DIVIDED = 2e-3  # how far a component's tasks may lie from the design's own division
_OTHER = {
    "vocabulary": "of another vocabulary",
    "phases": "of another length",
    "model": "of another model",
}


@dataclasses.dataclass(frozen=True)
class Point:
    """A run as a law has it: its mixture's name, shares [K] and numbers, measure -> value.

    bytes: label -> of held-out text that it was validated on.
    """

    mixture: str
    shares: np.ndarray
    numbers: Mapping[str, float]
    bytes: Mapping[str, int]


@dataclasses.dataclass(frozen=True)
class Earlier:
    """Earlier evidence: what is compatible, the tokens/s that were measured, why others are out."""

    points: Sequence[Point] = ()
    left_out: Mapping[str, int] = dataclasses.field(default_factory=dict)
    speeds: Sequence[float] = ()

    def validated_as(self, here: Sequence[Point]) -> "Earlier":
        """Without runs that were validated on more or less of the held-out text than those here."""
        sizes = here[0].bytes if here else {}
        fits = [
            one for one in self.points
            if all(one.bytes[label] == sizes[label] for label in set(one.bytes) & set(sizes))
        ]  # fmt: skip
        left = collections.Counter(self.left_out)
        left += collections.Counter({OTHER_ROWS: len(self.points) - len(fits)})
        return dataclasses.replace(self, points=fits, left_out=left)

    def summary(self) -> str:
        """'EVIDENCE: 12 runs are used; left out: 3 of another vocabulary.'"""
        out = "; ".join(f"{number} {why}" for why, number in self.left_out.items())
        return f"EVIDENCE: {len(self.points)} runs are used" + (
            f"; left out: {out}." if out else "."
        )


def earlier(folders: Sequence[str], design: Design, settings: Mapping) -> Earlier:
    """The evidence of earlier runs; InputError for a folder without any, or with nothing compatible."""
    points: list[Point] = []
    speeds: list[float] = []
    left_out: collections.Counter[str] = collections.Counter()
    for path in folders:
        records = evidence.found(Folder(path, "EVIDENCE"))
        if not records:
            raise InputError(
                f"EVIDENCE = {path!r} has no finished run's {evidence.FILE}: the same `ablate` again "
                "writes it for runs that are done; or correct the folder."
            )
        before = len(points)
        here: collections.Counter[str] = collections.Counter()
        for record in records:
            why = unfit(record, design, settings)
            if why:
                here[why] += 1
            else:
                points.append(point(record, design))
                speeds += [record["tokens_per_second"]] if record.get("tokens_per_second") else []
        if len(points) == before:
            reasons = ", ".join(f"{number} {why}" for why, number in here.items())
            raise InputError(
                f"EVIDENCE = {path!r} has no run that fits this recipe's proxies: {reasons}; leave it out."
            )
        left_out += here
    return Earlier(points, left_out, speeds)


def unfit(record: Mapping, design: Design, settings: Mapping) -> str:
    """Why a record is no evidence for a design, in words that follow a number; '' where it is."""
    if record.get("format") != evidence.FORMAT:
        return "in another format"
    changed = differences(_comparable(record["settings"], design), _comparable(settings, design))
    if changed:
        field = changed[0].partition(":")[0]
        head = field.partition(".")[0]
        return _OTHER.get(head, f"with another {field}")
    known = {store for one in design.components for store in one.stores.values()}
    read = {name for phase in record["mixture"] for name, share in phase["shares"].items() if share}
    if read - known:
        return "with text that this mixture hasn't"
    mine, theirs = held_out(design), evidence.held_out_of(record)
    if any(theirs[label] != mine[label] for label in set(theirs) & set(mine)):
        return "of other held-out text"
    if not _divided_alike(record, design):
        return "whose components are divided otherwise"
    held = {named(one.point, design) for one in design.of(HELD_OUT)}
    return "of mixtures that are held out here" if point(record, design).mixture in held else ""


def _comparable(settings: Mapping, design: Design) -> Mapping:
    """Of a run's settings what must be alike: where phases may begin elsewhere, their whole length."""
    if not design.moves:
        return settings
    rows = sum(phase["rows"] for phase in settings["phases"])
    phases = [{**phase, "rows": None} for phase in settings["phases"]]
    return {**settings, "phases": phases, "rows": rows}


def held_out(design: Design) -> dict[str, str]:
    """Label -> what the held-out text under it is known by, all components together."""
    found: dict[str, list[str]] = {}
    for one in design.components:
        for label, text in zip(one.languages, one.held_out.values(), strict=True):
            found.setdefault(label, []).append(text)
    return {label: evidence.joined(of_label) for label, of_label in found.items()}


def _by_task(record: Mapping, design: Design) -> list[dict[str, float]]:
    """Of each phase, task of the design -> share."""
    task = {store: name for one in design.components for name, store in one.stores.items()}
    return [
        {task[store]: share for store, share in phase["shares"].items() if share}
        for phase in record["mixture"]
    ]


def _divided_alike(record: Mapping, design: Design) -> bool:
    shares = _by_task(record, design)
    again = parts.shares_of_tasks(design.components, _components(shares, design))
    return all(
        abs(row.get(task, 0.0) - other.get(task, 0.0)) <= DIVIDED
        for row, other in zip(shares, again, strict=True)
        for task in {*row, *other}
    )


def _components(shares: Sequence[Mapping[str, float]], design: Design) -> np.ndarray:
    """Shares of components [P, C]."""
    return np.array(
        [[sum(row.get(t, 0.0) for t in one.tasks) for one in design.components] for row in shares]
    )


def point(record: Mapping, design: Design) -> Point:
    """A compatible record as a law has it."""
    shares_PC = _components(_by_task(record, design), design)
    shares_PC = shares_PC / shares_PC.sum(axis=1, keepdims=True)
    if design.moves:
        tokens_P = np.array([phase["tokens"] for phase in record["mixture"]], float)
        shares_PC = shares_PC * (tokens_P / tokens_P.sum())[:, None]
    point_K = shares_PC.ravel()
    return Point(named(point_K, design), point_K, record["numbers"], record.get("bytes", {}))


def named(point_K: np.ndarray, design: Design) -> str:
    """What runs of one mixture are known by, whatever their seeds and folders."""
    shares_PC = np.reshape(point_K, (len(design.phases), -1))
    return hashlib.sha256(str(shares_PC.round(DIGITS).tolist()).encode()).hexdigest()[:12]


def measures_of(numbers: Sequence[Mapping[str, float]], scores: Sequence[str]) -> list[str]:
    """Bits per byte of each language and code that any run has, and the scores that are asked for.

    Raises InputError for a score that no run has.
    """
    there = {name for one in numbers for name in one}
    bits = [name.removeprefix(question.BITS) for name in there if name.startswith(question.BITS)]
    spoken = labels.in_order(name for name in bits if name in LANGUAGES or name == CODE)
    for name in scores:
        if name not in there:
            have = sorted(n for n in there if not n.startswith(question.BITS)) or [
                "no score at all"
            ]
            raise InputError(
                f"MIX_WEIGHTS names {name!r}, a measure that no run has: they have {', '.join(have)}."
            )
    own = labels.in_order(set(bits) - {"average", "not_english"})
    return [question.BITS + name for name in spoken or own] + list(scores)


def value(numbers: Mapping[str, float], measure: str) -> float:
    """A measure of a run, smaller being better; NaN where it has none."""
    sign = -1.0 if larger_is_better(measure) else 1.0
    return sign * numbers[measure] if measure in numbers else float("nan")


def runs(points: Sequence[Point], design: Design, measures: Sequence[str]) -> Runs:
    """What laws are fitted to."""
    return Runs(
        np.stack([one.shares for one in points]),
        np.array([[value(one.numbers, name) for name in measures] for one in points]),
        tuple(one.mixture for one in points),
        question.columns_of(design),
        tuple(measures),
        {name: _own(name, design) for name in measures},
        design.stages,
    )


def _own(measure: str, design: Design) -> tuple[int, ...]:
    """The columns of the components in a measure's language alone; else of those that it is a part of.

    A part of a component that keeps its proportions goes with the component's share.
    """
    label, width = measure.removeprefix(question.BITS), len(design.components)
    all_in = [n for n, one in enumerate(design.components) if set(one.languages) == {label}]
    mine = all_in or [n for n, one in enumerate(design.components) if label in one.languages]
    return tuple(phase * width + n for phase in range(len(design.phases)) for n in mine)
