"""Optimized HLO as text -> its computations, and how often each one runs in a step.

XLA's own `cost_analysis` counts the body of a loop once; the layers are one loop, so here every
computation carries the number of times that it runs.
"""

import dataclasses
import math
import re
from collections.abc import Iterator, Mapping

_BYTES = {
    "pred": 1, "s4": 0.5, "u4": 0.5, "s8": 1, "u8": 1, "s16": 2, "u16": 2, "s32": 4, "u32": 4,
    "s64": 8, "u64": 8, "f16": 2, "bf16": 2, "f32": 4, "f64": 8, "c64": 8, "c128": 16,
}  # fmt: skip
_ARRAY = re.compile(r"\b(\w+)\[([\d,<=]*)\](?:\{([^{}]*)\})?")
_HEAD = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\) -> .*\{$")
_LINE = re.compile(r"^\s+(ROOT )?%?([\w.\-]+) = (.*)$")
_CALLED = re.compile(r"\b(calls|body|to_apply|called_computations|branch_computations)=")
_NAME = re.compile(r"%([\w.\-]+)")


@dataclasses.dataclass(frozen=True)
class Array:
    """An array of one device. fast: it lies in a memory of the core (VMEM), not in HBM."""

    dtype: str
    dims: tuple[int, ...]
    fast: bool = False

    @property
    def size(self) -> int:
        return math.prod(self.dims)

    @property
    def nbytes(self) -> float:
        return self.size * _BYTES.get(self.dtype[:2] if self.dtype[:2] == "f8" else self.dtype, 1)


@dataclasses.dataclass(frozen=True)
class Instruction:
    """One line of a computation. operands: names; attributes: the text after the operands."""

    name: str
    opcode: str
    arrays: tuple[Array, ...]
    operands: tuple[str, ...]
    attributes: str
    root: bool

    @property
    def called(self) -> list[str]:
        """Computations that run because it runs."""
        found = []
        for match in _CALLED.finditer(self.attributes):
            if match[1] != "to_apply" or self.opcode == "call":
                text = self.attributes[match.end() :]
                found += _NAME.findall(_group(text) if text.startswith("{") else text[:200])[
                    : None if text.startswith("{") else 1
                ]
        return found

    def required(self, name: str) -> str:
        """The text of 'name=...'; ValueError where there is none."""
        if (found := self.attribute(name)) is None:
            raise ValueError(f"{self.opcode} {self.name} has no {name!r}")
        return found

    def attribute(self, name: str) -> str | None:
        """The text of 'name=...': a {group} without its braces, or a word."""
        match = re.search(rf"\b{name}=", self.attributes)
        if match is None:
            return None
        text = self.attributes[match.end() :]
        return (
            _group(text)[1:-1] if text.startswith("{") else re.split(r"[,\s]", text, maxsplit=1)[0]
        )


@dataclasses.dataclass(frozen=True)
class Module:
    """computations: name -> instructions by their names, in order. runs: name -> runs in a step."""

    computations: Mapping[str, Mapping[str, Instruction]]
    entry: str
    runs: Mapping[str, int]
    fused: frozenset[str]

    def instructions(self) -> Iterator[tuple[Instruction, Mapping[str, Instruction], int]]:
        """(instruction, its computation, runs) of all that runs, what is fused included."""
        for name, computation in self.computations.items():
            if self.runs[name]:
                for instruction in computation.values():
                    yield instruction, computation, self.runs[name]


def parse(text: str) -> Module:
    """The module of `compiled.as_text()`; ValueError for a loop whose length can't be read."""
    computations: dict[str, dict[str, Instruction]] = {}
    entry, body = "", None
    for line in text.splitlines():
        line = re.sub(r"/\*.*?\*/", "", line)
        head = _HEAD.match(line)
        if head:
            body = computations.setdefault(head[2], {})
            entry = head[2] if head[1] else entry
        elif body is not None and (match := _LINE.match(line)):
            body[match[2]] = _instruction(match[2], match[3], bool(match[1]))
    fused = {
        name
        for c in computations.values()
        for i in c.values()
        if i.opcode == "fusion"
        for name in i.called
    }
    return Module(computations, entry, _runs(computations, entry), frozenset(fused))


def _instruction(name: str, text: str, root: bool) -> Instruction:
    shape = _group(text) if text.startswith("(") else text.split(" ", 1)[0]
    opcode, _, rest = text[len(shape) :].strip().partition("(")
    operands = _group(f"({rest}")
    return Instruction(
        name=name,
        opcode=opcode,
        arrays=tuple(_arrays(shape)),
        operands=tuple(_NAME.findall(operands)) if opcode != "constant" else (),
        attributes=(operands if opcode in ("constant", "parameter") else "")
        + rest[len(operands) - 1 :],
        root=root,
    )


def _arrays(shape: str) -> Iterator[Array]:
    for dtype, dims, layout in _ARRAY.findall(shape):
        sizes = tuple(int(size.strip("<=")) for size in dims.split(",") if size)
        yield Array(dtype, sizes, fast=bool(re.search(r"S\([1-9]\d*\)", layout)))


def _group(text: str) -> str:
    """The leading '(...)' or '{...}' of a text, nested ones included."""
    opening, depth = text[0], 0
    closing = {"(": ")", "{": "}"}[opening]
    for place, letter in enumerate(text):
        depth += (letter == opening) - (letter == closing)
        if not depth:
            return text[: place + 1]
    raise ValueError(f"unbalanced {opening!r} in HLO: {text[:80]!r}")


def _runs(computations: dict[str, dict[str, Instruction]], entry: str) -> dict[str, int]:
    """Callers come after what they call in HLO's text, so one walk backwards is enough."""
    runs = dict.fromkeys(computations, 0)
    runs[entry] = 1
    for name in reversed(computations):
        for instruction in computations[name].values() if runs[name] else ():
            times = 1
            if instruction.opcode == "while":
                times = trip_count(instruction, computations[name], computations)
            for called in instruction.called:
                runs[called] += runs[name] * times
    return runs


def trip_count(
    loop: Instruction,
    computation: Mapping[str, Instruction],
    computations: Mapping[str, Mapping[str, Instruction]],
) -> int:
    """How often the body of a `while` of a computation runs: XLA's note, else counter and limit.

    The counter starts above 0 where XLA took the first turn out of the loop, and its stride is
    above 1 where it does several turns in one.
    """
    known = re.search(r'"known_trip_count":\{"n":"(\d+)"', loop.attributes)
    if known:
        return int(known[1])
    condition = computations[loop.required("condition").removeprefix("%")]
    limits = {number for i in condition.values() if (number := _constant(i)) is not None}
    if len(limits) != 1:
        raise ValueError(f"the loop {loop.name} has no length that can be read: {sorted(limits)}")
    start, stride = 0, 1
    counters = [i for i in condition.values() if i.opcode == "get-tuple-element"]
    if len(counters) == 1:
        place = int(counters[0].required("index"))
        body = computations[loop.required("body").removeprefix("%")]
        start = _start(computation[loop.operands[0]], place, computation)
        stride = _stride(next(i for i in body.values() if i.root), place, body)
    return -(-(limits.pop() - start) // stride)


def _constant(instruction: Instruction) -> int | None:
    """The value of a whole number in HLO."""
    match = re.match(r"\((\d+)\)", instruction.attributes)
    return int(match[1]) if match and instruction.opcode == "constant" else None


def _start(state: Instruction, place: int, computation: Mapping[str, Instruction]) -> int:
    """What a loop's counter is before it; 0 where that can't be read."""
    if state.opcode != "tuple":
        return 0
    value = computation[state.operands[place]]
    while value.opcode in ("copy", "bitcast"):
        value = computation[value.operands[0]]
    return _constant(value) or 0


def _stride(state: Instruction, place: int, body: Mapping[str, Instruction]) -> int:
    """What a turn of the body adds to the counter; 1 where that can't be read."""
    added = body[state.operands[place]] if state.opcode == "tuple" else state
    if added.opcode != "add":
        return 1
    return next((n for name in added.operands if (n := _constant(body[name]))), 1)
