"""Where numbers go: JSON lines, TensorBoard, Weights & Biases. One line per step, whatever happened.

A run that resumes does the steps after its checkpoint again; their old lines are cut off first, so
no step stands twice. What happened (starts, saves, commits) is kept in a file of its own, uncut.
"""

import json
import os
import tempfile
import threading
import time
import uuid
from collections.abc import Mapping

from etils import epath


class JsonLines:
    """A file of JSON objects, one a line, each written at once.

    last_step: lines whose "step" is above it are cut off; a line half written always is.
    On gs://, which can't append, the file grows here and is copied there by `flush`.
    """

    def __init__(self, path: epath.Path, last_step: int | None = None):
        self._remote = path if "://" in str(path) else None
        self._local = os.fspath(path)
        if self._remote:
            self._local = os.path.join(tempfile.mkdtemp(prefix="polylm_"), path.name)
            if path.exists():
                path.copy(self._local)
        if os.path.exists(self._local):
            self._cut(last_step)
        self._file = epath.Path(self._local).open("a", encoding="utf-8")
        self._lock = threading.Lock()

    def write(self, line: Mapping) -> None:
        """Appends an object; from any thread (commits of checkpoints are told by theirs)."""
        with self._lock:
            self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
            self._file.flush()

    def flush(self) -> None:
        if self._remote:
            epath.Path(self._local).copy(self._remote, overwrite=True)

    def close(self) -> None:
        self._file.close()
        self.flush()

    def _cut(self, last_step: int | None) -> None:
        kept = self._local + ".tmp"
        with open(self._local, encoding="utf-8") as old, open(kept, "w", encoding="utf-8") as new:
            for line in old:
                if line.endswith("\n") and (
                    last_step is None or json.loads(line)["step"] <= last_step
                ):
                    new.write(line)
        os.replace(kept, self._local)


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
    """All logs of a run, written by one process; `enabled=False` makes the others' silent.

    wandb_project: also to Weights & Biases, where it is installed (its own WANDB_MODE holds).
    """

    def __init__(
        self,
        model_dir: epath.Path,
        step: int,
        *,
        tensorboard: bool = True,
        wandb_project: str | None = None,
        enabled: bool = True,
    ):
        self._files: dict[str, JsonLines] = {}
        self._board = self._wandb = None
        if not enabled:
            return
        for name in ("metrics", "validation"):
            self._files[name] = JsonLines(model_dir / f"{name}.jsonl", last_step=step)
        self._files["events"] = JsonLines(model_dir / "events.jsonl")
        if tensorboard:
            self._board = _tensorboard(model_dir / "tensorboard")
        if wandb_project:
            self._wandb = _wandb(model_dir, wandb_project)

    def metrics(self, step: int, line: Mapping) -> None:
        """Training's numbers at a step."""
        self._write("metrics", step, line)

    def validation(self, step: int, line: Mapping) -> None:
        """Validation's numbers at a step."""
        self._write("validation", step, line)

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
        if not self._files:
            return
        self._files[name].write({"step": step} | line)
        numbers = flat(line, f"{name}/")
        if self._board:
            self._board.write_scalars(step, numbers)
        if self._wandb:
            self._wandb.log(numbers | {"step": step})


def _tensorboard(folder: epath.Path):
    """A writer in a thread of its own; imported here because it brings TensorFlow, 4 s."""
    from clu import metric_writers

    return metric_writers.AsyncWriter(metric_writers.SummaryWriter(os.fspath(folder)))


def _wandb(model_dir: epath.Path, project: str):
    """The run of this MODEL_DIR at Weights & Biases, the same one on every resume."""
    import wandb

    id_file = model_dir / "wandb_id"
    if not id_file.exists():
        id_file.write_text(uuid.uuid4().hex[:12])
    folder = None if "://" in str(model_dir) else os.fspath(model_dir)
    run = wandb.init(project=project, id=id_file.read_text(), resume="allow", dir=folder)
    # Redone steps come again: W&B's own counter never goes back, so ours is the axis.
    run.define_metric("step")
    run.define_metric("*", step_metric="step")
    return run
