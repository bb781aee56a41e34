"""What this machine has, and where each worker computes: a core, a chip, or all that there is.

A small model's step keeps neither eight chips nor two cores busy, and runs don't wait for each other:
so each has a core or a chip to itself. On a CPU the order of sums follows from the number of cores:
small models have one each, however many workers there are, so that this number changes no bit.
"""

import dataclasses
import glob
import importlib.util
import os
import pathlib
import re
from collections.abc import Mapping, Sequence

from jax._src import hardware_utils  # counts TPU chips by their PCI ids, and takes none of them

from polylm_jax.errors import InputError
from polylm_jax.runtime import huge_pages, processes
from polylm_jax.runtime.processes import ALONE
from polylm_jax.runtime.terminal import count

SMALL = 50_000_000  # parameters up to which a core, or a chip, is enough for a run
CPU, TPU, GPU = "cpu", "tpu", "gpu"
_ONE = "1,1,1"  # chips, or processes, along x, y and z
_PORT = 8476  # the first of the ports that libtpu's processes are told
_OF_A_SLICE = re.compile(r"MEGASCALE_.*|TPU_(PROCESS_ADDRESSES|MESH_CONTROLLER_.*|TOPOLOGY.*)")
CONTAINER = pathlib.Path("/sys/fs/cgroup")  # what a container may have, by Linux's second version
_PROCESS_BYTES = 1.5e9  # Python, JAX, SeqIO and TensorFlow


@dataclasses.dataclass(frozen=True)
class Machine:
    """What processes may use here. chips: their numbers, as the drivers have them, of `kind`.

    memory: bytes that are free, None where that isn't known.
    """

    cores: tuple[int, ...]
    kind: str = CPU
    chips: tuple[str, ...] = ()
    memory: float | None = None


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a worker computes; without cores or a chip, on all that the machine has."""

    cores: tuple[int, ...] = ()
    kind: str = CPU
    chip: str = ""

    def __str__(self) -> str:
        if self.chip:
            return f"{self.kind.upper()} {self.chip}"
        if not self.cores:
            return "the whole machine"
        return f"core{'s' * (len(self.cores) > 1)} {', '.join(map(str, self.cores))}"


@dataclasses.dataclass(frozen=True)
class Need:
    """What the largest run of an ablation takes: parameters, devices that its mesh names, bytes."""

    parameters: int
    devices: int = 1
    bytes: float = 0.0

    @property
    def small(self) -> bool:
        return self.parameters <= SMALL and self.devices == 1


def machine(environ: Mapping[str, str] = os.environ) -> Machine:
    """This one, as far as JAX would use it; no device is touched."""
    cores = processes.cores()
    cores = cores[: _quota(len(cores))]
    wanted = environ.get("JAX_PLATFORMS", "").lower()
    kinds = ((TPU, ("tpu",), _tpus), (GPU, ("cuda", "gpu"), _gpus))
    for kind, names, there in kinds:
        if (not wanted or any(name in wanted for name in names)) and (chips := there(environ)):
            return Machine(cores, kind, chips, _free())
    return Machine(cores, memory=_free())


def _tpus(environ: Mapping[str, str]) -> tuple[str, ...]:
    if not importlib.util.find_spec("libtpu"):
        return ()
    if visible := environ.get("TPU_VISIBLE_CHIPS") or environ.get("TPU_VISIBLE_DEVICES"):
        return tuple(visible.split(","))
    return tuple(map(str, range(hardware_utils.num_available_tpu_chips_and_device_id()[0])))


def _gpus(environ: Mapping[str, str]) -> tuple[str, ...]:
    if not any(importlib.util.find_spec(f"jax_cuda{n}_plugin") for n in (12, 13)):
        return ()
    if (visible := environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return tuple(filter(None, visible.split(",")))
    found = glob.glob("/dev/nvidia[0-9]*")
    return tuple(sorted((path.removeprefix("/dev/nvidia") for path in found), key=int))


def _quota(cores: int, group: pathlib.Path = CONTAINER) -> int:
    """How many cores a container may keep busy, of so many that it sees; 1 at least."""
    words = _words(group / "cpu.max")
    limited = len(words) == 2 and all(word.isdigit() for word in words)
    return max(1, min(cores, int(words[0]) // int(words[1]))) if limited else cores


def _free(group: pathlib.Path = CONTAINER) -> float | None:
    """Bytes of memory that Linux, and a container, would give; None where that isn't known."""
    lines = (line.split() for line in _text(pathlib.Path("/proc/meminfo")).splitlines())
    found = [1024.0 * int(words[1]) for words in lines if words[0] == "MemAvailable:"]
    most, used = _words(group / "memory.max"), _words(group / "memory.current")
    if most and used and most[0].isdigit():
        found.append(float(int(most[0]) - int(used[0])))
    return min(found, default=None)


def _words(path: pathlib.Path) -> list[str]:
    return _text(path).split()


def _text(path: pathlib.Path) -> str:
    """A file of Linux's, '' where there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


def chosen(here: Machine, need: Need, runs: int, workers: int | None = None) -> list[Place]:
    """A place for each worker; InputError for a number that this machine has no room for.

    runs: how many there are to train. workers: how many are asked for; None: a core or a chip each
    where the runs are small, as many as there are runs and as memory has room for; else one.
    """
    if workers is not None and workers < 1:
        raise InputError(f"workers = {workers}: give 1 or more, or leave it out.")
    most = len(here.chips or here.cores)
    if workers is not None and here.chips and workers > most:
        raise InputError(
            f"workers = {workers}, and this machine has {most} {here.kind.upper()} chips, one for each "
            f"worker: give {most} at most."
        )
    if workers is not None and workers > 1 and need.devices > 1:
        raise InputError(
            f"workers = {workers}, and the recipe's mesh names {need.devices} devices, where a worker "
            "has one: leave workers out, or MESH as it is by default."
        )
    number = workers or (min(most, max(runs, 1), _fitting(here, need)) if need.small else 1)
    if here.chips:
        return (
            [Place((), here.kind, chip) for chip in here.chips[:number]]
            if number > 1
            else [Place()]
        )
    if need.small:  # more workers than cores share them
        return [Place((here.cores[n % most],)) for n in range(number)]
    return _shared_out(here.cores, number) if number > 1 else [Place()]


def _fitting(here: Machine, need: Need) -> int:
    """How many workers the machine's memory has room for, 1 at least; chips have their own."""
    if here.memory is None or here.chips:
        return len(here.chips or here.cores)
    return max(1, int(here.memory // (_PROCESS_BYTES + need.bytes)))


def _shared_out(cores: Sequence[int], number: int) -> list[Place]:
    """The cores in as many parts, next to each other; more parts than cores share them."""
    each = max(1, len(cores) // number)
    starts = (n * each % len(cores) for n in range(number))
    return [Place(tuple(cores[start : start + each])) for start in starts]


def summary(places: Sequence[Place], need: Need) -> str:
    """One sentence for the terminal, before anything starts."""
    workers = f"{len(places)} worker{'s' * (len(places) > 1)}"
    model = f"{count(need.parameters)} parameters"
    return f"{workers} for {model}: {'; '.join(map(str, places))} (--workers=N for another number)"


def environment(base: Mapping[str, str], place: Place) -> dict[str, str]:
    """The environment of a worker: `base`, in which it finds its chip and no other.

    A TPU chip is then a slice of its own, of one process, and the worker asks no cluster for others.
    One with cores of its own keeps the memory that its steps have freed.
    """
    if not place.chip:
        return huge_pages.keeping(base) if place.cores else dict(base)
    if place.kind == GPU:
        return dict(base) | {"CUDA_VISIBLE_DEVICES": place.chip, ALONE: "1"}
    kept = {name: value for name, value in base.items() if not _OF_A_SLICE.fullmatch(name)}
    return kept | {
        ALONE: "1",
        "TPU_VISIBLE_CHIPS": place.chip,
        "TPU_VISIBLE_DEVICES": place.chip,  # its name for older versions of libtpu, as the next two
        "TPU_CHIPS_PER_HOST_BOUNDS": _ONE,
        "TPU_HOST_BOUNDS": _ONE,
        "TPU_CHIPS_PER_PROCESS_BOUNDS": _ONE,
        "TPU_PROCESS_BOUNDS": _ONE,
        "TPU_PROCESS_PORT": str(_PORT + int(place.chip)),
        "CLOUD_TPU_TASK_ID": "0",
        "TPU_WORKER_ID": "0",
        "TPU_WORKER_HOSTNAMES": "localhost",
        "TPU_SKIP_MDS_QUERY": "1",  # what the machine knows of its slice isn't this process's
        "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    }
