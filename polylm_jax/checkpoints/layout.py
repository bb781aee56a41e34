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
    """The steps whose checkpoints a folder has complete, in order, none where it isn't there."""
    if not folder.exists():
        return []
    names = [path.name for path in folder.iterdir()]
    if paths.is_remote(str(folder)):
        ends = [f"{name}/{COMMITTED}" for name in names if name.isdigit()]
        names += [end for end in ends if (folder / end).exists()]
    return steps(names)


def last_files(files: Iterable[str]) -> list[str]:
    """Of the files of checkpoints in a bucket, those that make one complete."""
    return [file for file in files if file.endswith(f"/{COMMITTED}")]


def steps(files: Iterable[str]) -> list[int]:
    """The steps of the complete checkpoints, of files or folders by their names below `checkpoints`.

    What is being written or set aside has another name where folders can be renamed. In a bucket where
    they can't, only what has its last file is complete.
    """
    files = [*files]
    names = {file.partition("/")[0] for file in last_files(files) or files}
    return sorted(int(name) for name in names if name.isdigit())
