"""What one device does in a compiled step: FLOPs of its matrix products, bytes of its main memory.

Rematerialised products are in it, since the program has them. Element-wise work isn't counted:
it rides on the bytes.
"""

import math
import re
from collections.abc import Iterator, Mapping

from polylm_jax.training.planning.hlo import Array, Instruction, Module

# Products of [T, H] by [H, S] (or their like) in each of the attention kernel's programs.
SPLASH_PRODUCTS = {"splash_mha_fwd": 2, "splash_mha_dq": 3, "splash_mha_dkv": 4}
_DQ_BESIDE = 1  # which the last one has more where it gives the queries' gradient, too
_FREE = {
    "parameter", "constant", "tuple", "get-tuple-element", "bitcast", "while", "call", "conditional",
    "after-all", "partition-id", "replica-id", "iota", "copy-done", "opt-barrier",
}  # fmt: skip
_FREE_CALLS = ("AllocateBuffer", "AssumeGatherIndicesInBound")  # a place, and a promise
_COLLECTIVES = {"all-gather", "all-reduce", "reduce-scatter", "all-to-all", "collective-permute"}
_SLICED = {"dynamic-slice", "slice", "gather"}


def flops(module: Module) -> float:
    """FLOPs of a step on one device: products, convolutions, attention kernels, all runs."""
    return sum(
        runs * instruction_flops(instruction, computation)
        for instruction, computation, runs in module.instructions()
    )


def instruction_flops(instruction: Instruction, computation: Mapping[str, Instruction]) -> float:
    """2 per multiplication of a product; 0 for what multiplies no matrices."""
    if instruction.opcode == "dot":
        left = computation[instruction.operands[0]].arrays[0]
        contracted = _numbers(instruction.attribute("lhs_contracting_dims") or "")
        return 2 * instruction.arrays[0].size * math.prod(left.dims[dim] for dim in contracted)
    if instruction.opcode == "convolution":
        return _convolution(instruction, computation)
    if instruction.opcode == "custom-call":
        return _attention(instruction, computation)
    return 0


def _numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", text)]


def _convolution(instruction: Instruction, computation: Mapping[str, Instruction]) -> float:
    """TPUs write every product as a convolution, some of them padded: what is padding isn't work."""
    left, right = (computation[name].arrays[0] for name in instruction.operands[:2])
    labels = re.match(r"(\w+)_(\w+)->(\w+)", instruction.required("dim_labels"))
    assert labels is not None
    ins, kernel, outs = labels.groups()
    spatial = sorted(letter for letter in ins if letter.isdigit())
    window = _window(instruction.attribute("window") or "", len(spatial))
    pairs = 1
    for place, letter in enumerate(spatial):
        size, made = left.dims[ins.index(letter)], instruction.arrays[0].dims[outs.index(letter)]
        pairs *= _valid_pairs(
            size, made, **{name: values[place] for name, values in window.items()}
        )
    batch, features = left.dims[ins.index("b")], right.dims[kernel.index("o")]
    groups = int(instruction.attribute("batch_group_count") or 1)
    return 2 * pairs * batch // groups * features * right.dims[kernel.index("i")]


def _window(text: str, dims: int) -> dict[str, list[int]]:
    """'size=3x1 pad=2_2x0_0' -> the fields of each dimension, defaults filled in."""
    fields = dict(field.split("=") for field in text.split())

    def values(name: str, default: int) -> list[int]:
        return [int(x) for x in fields[name].split("x")] if name in fields else [default] * dims

    pads = (
        [int(x.split("_")[0]) for x in fields["pad"].split("x")] if "pad" in fields else [0] * dims
    )
    return {
        "taps": values("size", 1),
        "stride": values("stride", 1),
        "pad": pads,
        "lhs_dilate": values("lhs_dilate", 1),
        "rhs_dilate": values("rhs_dilate", 1),
    }


def _valid_pairs(size, made, taps, stride, pad, lhs_dilate, rhs_dilate) -> int:
    """Pairs (output place, tap of the kernel) that meet a value of the input, in one dimension."""
    count = 0
    for tap in range(taps):
        for out in range(made):
            place = out * stride + tap * rhs_dilate - pad
            count += place % lhs_dilate == 0 and 0 <= place // lhs_dilate < size
    return count


def _attention(instruction: Instruction, computation: Mapping[str, Instruction]) -> float:
    """The kernels skip blocks that the causal mask hides whole."""
    products = next((n for p, n in SPLASH_PRODUCTS.items() if instruction.name.startswith(p)), 0)
    if not products:
        return 0
    arrays = [a for name in instruction.operands for a in computation[name].arrays]
    rows, columns = next(
        a.dims[-2:] for a in arrays if a.dtype == "s8"
    )  # blocks of queries, of keys
    seen = sum(math.ceil((row + 1) * columns / rows) for row in range(rows)) / (rows * columns)
    # Queries are the first of the largest rank: [rows, heads, length, width], of one row [heads, ...].
    values = [a.dims for a in arrays if a.dtype in ("bf16", "f32")]
    queries = next(dims for dims in values if len(dims) == max(map(len, values)))
    # Their gradient comes out once for each block of keys.
    if any(len(made.dims) > len(queries) for made in instruction.arrays):
        products += _DQ_BESIDE
    return products * 2 * math.prod(queries) * queries[-2] * seen


def hbm_bytes(module: Module) -> float:
    """Bytes that a step reads from and writes to the main memory of one device.

    A fusion reads its operands and writes its result; of what it only slices, the slice counts,
    and of what it updates in place, the update. Copies to and from VMEM count their HBM side. A
    collective that runs beside products counts where it is done.
    """
    return sum(
        runs * instruction_bytes(instruction, computation, module)
        for name, computation in module.computations.items()
        if (runs := module.runs[name]) and name not in module.fused
        for instruction in computation.values()
    )


def instruction_bytes(
    instruction: Instruction, computation: Mapping[str, Instruction], module: Module
) -> float:
    """Bytes between the cores and main memory of one instruction, once."""
    opcode = instruction.opcode.removesuffix("-start")
    if instruction.opcode in _FREE or instruction.opcode.endswith("-done"):
        return 0
    if opcode == "custom-call" and _target(instruction) in _FREE_CALLS:
        return 0
    operands = [computation[name].arrays for name in instruction.operands]
    if opcode == "fusion":
        return _fusion_bytes(instruction, operands, module)
    if opcode == "copy":  # started: (to, from, counter)
        return _slow([*operands[0], instruction.arrays[0]])
    if opcode in ("send", "recv"):  # to and from the host, on the way to another slice
        return _slow(instruction.arrays[:1])
    if opcode in _SLICED:  # started: (from, to, counter)
        made = instruction.arrays[1 if instruction.opcode.endswith("-start") else 0]
        return made.nbytes * sum(not array.fast for array in (operands[0][0], made))
    if opcode == "dynamic-update-slice":
        return 2 * _slow(operands[1])
    outs = instruction.arrays[:1] if instruction.opcode.endswith("-start") else instruction.arrays
    return _slow([array for arrays in operands for array in arrays]) + _slow(outs)


def communicates(instruction: Instruction, module: Module) -> bool:
    """Whether it is a collective, or a fusion of one and what goes with it."""
    if instruction.opcode.removesuffix("-start") in _COLLECTIVES:
        return True
    bodies = instruction.called if instruction.opcode == "fusion" else ()
    return any(
        i.opcode in _COLLECTIVES for name in bodies for i in module.computations[name].values()
    )


def _target(instruction: Instruction) -> str:
    return (instruction.attribute("custom_call_target") or "").strip('"')


def _slow(arrays) -> float:
    return sum(array.nbytes for array in arrays if not array.fast)


def _fusion_bytes(
    instruction: Instruction, operands: list[tuple[Array, ...]], module: Module
) -> float:
    """Operands as far as they are read, results as far as they are written."""
    body = module.computations[instruction.called[0]]
    if instruction.name.startswith("async-collective"):
        return _slow(instruction.arrays) if "done" in instruction.name else 0
    on_its_way = {
        array.dims
        for i in body.values()
        if i.opcode in _COLLECTIVES
        for array in (*i.arrays, *body[i.operands[0]].arrays)
    }
    total = 0.0
    for name, number in _parameters(body).items():
        if operands[number] and operands[number][0].dims in on_its_way:
            continue
        if not any(array.fast for array in operands[number]):
            total += min(_read(name, body, module), _slow(operands[number]))
    updated = dict(_updates(body, module))
    for array in instruction.arrays:
        total += (
            0
            if array.fast or array.dims in on_its_way
            else min(updated.get(array.dims, math.inf), array.nbytes)
        )
    return total


def _parameters(body: Mapping[str, Instruction]) -> dict[str, int]:
    """Name of a computation's parameter -> its number."""
    found = {}
    for name, instruction in body.items():
        if instruction.opcode == "parameter":
            number = re.match(r"\((\d+)\)", instruction.attributes)
            assert number is not None
            found[name] = int(number[1])
    return found


def _updates(
    body: Mapping[str, Instruction], module: Module
) -> Iterator[tuple[tuple[int, ...], float]]:
    """(dims of what is updated in place, bytes of the update) of a fusion and those within it."""
    for i in body.values():
        if i.opcode == "dynamic-update-slice":
            yield i.arrays[0].dims, body[i.operands[1]].arrays[0].nbytes
        elif i.opcode == "fusion":
            yield from _updates(module.computations[i.called[0]], module)


def _read(name: str, body: Mapping[str, Instruction], module: Module) -> float:
    """Bytes of a value that a fusion looks at; none of what it only updates in place."""
    total, whole = 0.0, sum(array.nbytes for array in body[name].arrays)
    for user in body.values():
        if name not in user.operands:
            continue
        if user.opcode in _SLICED and user.operands[0] == name:
            total += user.arrays[0].nbytes
        elif user.opcode in ("bitcast", "reshape", "get-tuple-element"):
            total += _read(user.name, body, module)
        elif user.opcode == "fusion":
            within = module.computations[user.called[0]]
            for parameter, number in _parameters(within).items():
                if user.operands[number] == name:
                    total += _read(parameter, within, module)
        elif not (user.opcode == "dynamic-update-slice" and user.operands[0] == name):
            return whole
    return min(total, whole)
