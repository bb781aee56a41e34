"""Where numbers go: JSON lines, TensorBoard, Weights & Biases. One line per step, whatever happened.

A run that resumes does the steps after its checkpoint again; their old lines are cut off first, so
no step stands twice. What happened (starts, saves, commits) is kept in a file of its own, uncut.
"""

import errno
import os
import pathlib
import tempfile
import time
import uuid
from collections.abc import Mapping
from typing import Self

from polylm_jax.errors import InputError
from polylm_jax.runtime import json_lines, paths
from polylm_jax.runtime.imports import importing
from polylm_jax.runtime.storage import Folder
from polylm_jax.runtime.tensorflow_devices import leave_gpus
from polylm_jax.training import time_account
from polylm_jax.training.settings import Settings


class JsonLines:
    """A log of steps: `runtime.json_lines` with a "step" in each line.

    last_step: lines whose "step" is above it are cut off. `reached` is the highest step that stood
    there before, `last` the highest that stands there, `damaged` how many lines couldn't be read and
    are gone, `cut_seconds` what the steps of the lines that were cut off took, `alive` the Unix time of
    the newest line, cut off or not. On gs://, which can't append, the file grows here and `flush` copies it there.
    """

    def __init__(self, folder: Folder, name: str, last_step: int | None = None):
        self._folder, self._name, self._last_step = folder, name, last_step
        self.reached = self.last = -1
        self.cut_seconds, self.alive = 0.0, None
        if folder.local:
            self._path = folder.local / name
        else:
            self._path = pathlib.Path(tempfile.mkdtemp(prefix="polylm_")) / name
            self._path.write_bytes(folder.read(name) or b"")
        self.damaged = json_lines.mend(self._path, self._stays)
        self._lines = json_lines.Appender(self._path.open("ab"))

    def write(self, line: Mapping) -> None:
        """Appends an object; from any thread (commits of checkpoints are told by theirs)."""
        self.last = max(self.last, line["step"])
        try:
            self._lines.write(line)
        except OSError as error:
            raise InputError(
                f"{self._path} can't be written ({error.strerror}): make room, then the same command "
                "goes on from the newest checkpoint."
            ) from error

    def flush(self) -> None:
        self._lines.sync()
        if not self._folder.local:
            self._folder.write(self._name, self._path.read_bytes())

    def close(self) -> None:
        """A full disk is reported where the line that has no room is written."""
        try:
            self.flush()
            self._lines.close()
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise

    def _stays(self, line: dict) -> bool:
        step = line.get("step")
        if not isinstance(step, int):
            return False
        self.reached = max(self.reached, step)
        stays = self._last_step is None or step <= self._last_step
        self.last = max(self.last, step if stays else -1)
        self.alive = line.get("time", self.alive)
        if not stays and isinstance(line.get("seconds"), dict):
            self.cut_seconds += line["seconds"].get("all", 0.0)
        return stays


def flat(line: Mapping, prefix: str = "") -> dict[str, float]:
    """{'loss': 1, 'language': {'th': 2}} -> {'loss': 1, 'language/th': 2}: numbers only."""
    numbers: dict[str, float] = {}
    for name, value in line.items():
        if isinstance(value, Mapping):
            numbers |= flat(value, f"{prefix}{name}/")
        elif isinstance(value, (int, float)):
            numbers[prefix + name] = value
    return numbers


class RunLog:
    """All logs of a run, in its folder; without a folder (on processes that don't lead) silent.

    step: where the run goes on. wandb_project: also to Weights & Biases, where it is installed
    (its own WANDB_MODE holds).
    """

    def __init__(
        self,
        folder: Folder | None,
        step: int,
        *,
        tensorboard: bool = True,
        wandb_project: str | None = None,
    ):
        self._files: dict[str, JsonLines] = {}
        self._board = self._wandb = None
        if not folder:
            return
        for name in ("metrics", "validation", "evaluation", "ledger"):
            self._files[name] = JsonLines(folder, f"{name}.jsonl", last_step=step)
        self._files["events"] = JsonLines(folder, "events.jsonl")
        if tensorboard:
            self._board = _tensorboard(folder, step)
        if wandb_project:
            self._wandb = _wandb(folder, wandb_project)

    @classmethod
    def of(cls, directory, step: int, settings: Settings) -> Self:
        """The logs in a `RunDirectory`, silent for None, as the settings have them."""
        folder = directory.folder if directory else None
        board, project = settings.tensorboard, settings.wandb_project
        return cls(folder, step, tensorboard=board, wandb_project=project)

    def metrics(self, step: int, line: Mapping) -> None:
        """Training's numbers at a step; the file has the time (Unix seconds) besides."""
        self._write("metrics", step, line, time=time.time())

    def validation(self, step: int, line: Mapping) -> None:
        """Validation's numbers at a step."""
        self._write("validation", step, line)

    def evaluation(self, step: int, line: Mapping) -> None:
        """The metrics of evaluation tasks at a step: task -> name -> number."""
        self._write("evaluation", step, line)

    def ledger(self, step: int, line: Mapping) -> None:
        """Tokens of each component and language up to a step."""
        self._write("ledger", step, line)

    @property
    def reached(self) -> int:
        """The highest step that the metrics had before this start cut them; -1 for none."""
        return self._files["metrics"].reached if self._files else -1

    @property
    def before(self) -> dict:
        """Of this start: since when its process runs, what its redone steps had taken, the last report."""
        if not self._files:
            return {}
        found = self._files["metrics"]
        since = time_account.process_seconds()
        return {"process_seconds": since, "redone_seconds": found.cut_seconds, "alive": found.alive}

    def event(self, what: str, step: int, **details) -> None:
        """Something that happened, with its time (Unix seconds)."""
        if self._files:
            self._files["events"].write(
                {"event": what, "step": step, "time": time.time()} | details
            )

    def flush(self) -> None:
        for file in self._files.values():
            file.flush()
        if self._board:
            self._board.flush()

    def close(self) -> None:
        for file in self._files.values():
            file.close()
        if self._board:
            self._board.close()
        if self._wandb:
            self._wandb.finish()

    def _write(self, name: str, step: int, line: Mapping, **besides) -> None:
        if not self._files or step <= self._files[name].last:
            return
        self._files[name].write({"step": step, **line, **besides})
        numbers = flat(line, f"{name}/")
        if self._board:
            self._board.write_scalars(step, numbers)
        if self._wandb:
            self._wandb.log(numbers | {"step": step})


def _tensorboard(folder: Folder, step: int):
    """A writer in a thread of its own; imported here because it brings TensorFlow, 4 s.

    TensorBoard would show the steps that are done again twice, so their old points go first.
    """
    for name in folder.list("tensorboard/events.out.tfevents"):
        content = folder.read(name) or b""
        kept = _up_to(content, step)
        if kept < len(content) and folder.local:
            os.truncate(folder.local / name, kept)
        elif kept < len(content):
            folder.write(name, content[:kept])
    with importing():
        from clu import metric_writers

        leave_gpus()
    place = f"{paths.resolve(folder.path, folder.field)}/tensorboard"
    return metric_writers.AsyncWriter(metric_writers.SummaryWriter(place))


def _up_to(events: bytes, step: int) -> int:
    """How many bytes of a TensorBoard file come before its first event above a step; steps ascend.

    A record is its length (8 bytes), a checksum (4), an `Event`, a checksum (4). An Event begins with
    its time (9 bytes) and, unless it is 0, its step: the byte 0x10 and a varint.
    """
    at = 0
    while at + 12 <= len(events):
        end = at + 16 + int.from_bytes(events[at : at + 8], "little")
        if end > len(events):
            return at  # what a kill left of a last one
        found = _varint(events, at + 22) if events[at + 21] == 0x10 else 0
        if found > step:
            return at
        at = end
    return at


def _varint(text: bytes, at: int) -> int:
    """A number in seven bits a byte, the lowest first, the last one below 128."""
    found, shift = text[at] & 0x7F, 7
    while text[at] > 0x7F:
        at += 1
        found |= (text[at] & 0x7F) << shift
        shift += 7
    return found


def _wandb(folder: Folder, project: str):
    """The run of this MODEL_DIR at Weights & Biases, the same one on every resume."""
    import wandb

    folder.claim("wandb_id", uuid.uuid4().hex[:12].encode())
    name = folder.read("wandb_id")
    assert name is not None  # claimed, by this start or one before
    run = wandb.init(project=project, id=name.decode(), resume="allow", dir=folder.local)
    # Redone steps come again: W&B's own counter never goes back, so ours is the axis.
    run.define_metric("step")
    run.define_metric("*", step_metric="step")
    return run
