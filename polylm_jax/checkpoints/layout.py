"""Where the checkpoints of a run lie: MODEL_DIR/checkpoints/STEP, each a folder named by its step."""

from collections.abc import Iterable

from etils import epath

from polylm_jax.runtime import paths

FOLDER = "checkpoints"
COMMITTED = "commit_success.txt"  # Orbax's, the last file of a checkpoint on gs://


def located(path: str) -> epath.Path:
    """A folder by its whole path; `absolute()` would make 'gs://b/run' one below this folder."""
    return epath.Path(paths.resolve(path, "checkpoint"))


def split(path: str) -> tuple[epath.Path, int | None]:
    """(MODEL_DIR/checkpoints, the step that the path names or None).

    path: MODEL_DIR, MODEL_DIR/checkpoints or MODEL_DIR/checkpoints/STEP.
    """
    folder, step = located(path), None
    if folder.name.isdigit() and folder.parent.name == FOLDER:
        folder, step = folder.parent, int(folder.name)
    return (folder if folder.name == FOLDER else folder / FOLDER), step


def steps_in(folder: epath.Path) -> list[int]:
    """The steps that a folder of checkpoints has, in order, none where there is no such folder."""
    return steps(path.name for path in folder.iterdir()) if folder.exists() else []


def steps(names: Iterable[str]) -> list[int]:
    """The names that are steps, in order; what is being written or set aside has another name."""
    return sorted(int(name) for name in names if name.isdigit())
