"""Where numbers go: JSON lines, TensorBoard, Weights & Biases. One line per step, whatever happened.

A run that resumes does the steps after its checkpoint again; their old lines are cut off first, so
no step stands twice. What happened (starts, saves, commits) is kept in a file of its own, uncut.
"""

import json
import pathlib
import tempfile
import threading
import time
import uuid
from collections.abc import Mapping

from polylm_jax.runtime.stderr import imports_kept_quiet
from polylm_jax.runtime.storage import Folder
from polylm_jax.runtime.tensorflow_devices import leave_gpus


class JsonLines:
    """A file of JSON objects, one a line, each written at once.

    last_step: lines whose "step" is above it are cut off; a line half written always is.
    `reached` is the highest step that stood there before, `last` the highest that stands there.
    On gs://, which can't append, the file grows here and `flush` copies it there.
    """

    def __init__(self, folder: Folder, name: str, last_step: int | None = None):
        self._folder, self._name = folder, name
        self.reached = self.last = -1
        if folder.local:
            self._path = folder.local / name
        else:
            self._path = pathlib.Path(tempfile.mkdtemp(prefix="polylm_")) / name
            self._path.write_bytes(folder.read(name) or b"")
        if self._path.exists():
            self._cut(last_step)
        self._file = self._path.open("a", encoding="utf-8")
        self._lock = threading.Lock()

    def write(self, line: Mapping) -> None:
        """Appends an object; from any thread (commits of checkpoints are told by theirs)."""
        with self._lock:
            self.last = max(self.last, line["step"])
            self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
            self._file.flush()

    def flush(self) -> None:
        if not self._folder.local:
            self._folder.write(self._name, self._path.read_bytes())

    def close(self) -> None:
        self._file.close()
        self.flush()

    def _cut(self, last_step: int | None) -> None:
        kept = self._path.with_suffix(".tmp")
        with open(self._path, encoding="utf-8") as old, open(kept, "w", encoding="utf-8") as new:
            for line in old:
                if not line.endswith("\n"):
                    break
                step = json.loads(line)["step"]
                self.reached = max(self.reached, step)
                if last_step is None or step <= last_step:
                    self.last = max(self.last, step)
                    new.write(line)
        kept.replace(self._path)


def flat(line: Mapping, prefix: str = "") -> dict[str, float]:
    """{'loss': 1, 'language': {'th': 2}} -> {'loss': 1, 'language/th': 2}: numbers only."""
    numbers = {}
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
            self._board = _tensorboard(f"{folder.path}/tensorboard")
        if wandb_project:
            self._wandb = _wandb(folder, wandb_project)

    def metrics(self, step: int, line: Mapping) -> None:
        """Training's numbers at a step."""
        self._write("metrics", step, line)

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

    def _write(self, name: str, step: int, line: Mapping) -> None:
        if not self._files or step <= self._files[name].last:
            return
        self._files[name].write({"step": step} | line)
        numbers = flat(line, f"{name}/")
        if self._board:
            self._board.write_scalars(step, numbers)
        if self._wandb:
            self._wandb.log(numbers | {"step": step})


def _tensorboard(path: str):
    """A writer in a thread of its own; imported here because it brings TensorFlow, 4 s."""
    with imports_kept_quiet():
        from clu import metric_writers

        leave_gpus()
    return metric_writers.AsyncWriter(metric_writers.SummaryWriter(path))


def _wandb(folder: Folder, project: str):
    """The run of this MODEL_DIR at Weights & Biases, the same one on every resume."""
    import wandb

    folder.claim("wandb_id", uuid.uuid4().hex[:12].encode())
    name = folder.read("wandb_id").decode()
    run = wandb.init(project=project, id=name, resume="allow", dir=folder.local)
    # Redone steps come again: W&B's own counter never goes back, so ours is the axis.
    run.define_metric("step")
    run.define_metric("*", step_metric="step")
    return run
