"""Beginnings on disk: a run's folder made of a checkpoint that a finished run kept.

On local disk the folder appears whole, its checkpoint's files under second names. On gs://, where
nothing can be renamed, it is copied, and `continued_from.json` is written last: without it, and
without a log of its own, a run hasn't begun, and what lies there is copied anew.
"""

import concurrent.futures
import json
import os
import pathlib
import shutil
from collections.abc import Iterable
from typing import NamedTuple

from polylm_jax.ablation.records import CONTINUED, LOGS
from polylm_jax.ablation.variants import Run
from polylm_jax.runtime.output_folder import building
from polylm_jax.runtime.storage import Folder, to_json
from polylm_jax.training.log import JsonLines
from polylm_jax.training.run_directory import CHECKPOINTS, last_files

SCORES = ("validation", "evaluation")  # of LOGS, those of the weights that a run chooses
COPIES = 4  # files on their way at once, each whole in memory


class Beginning(NamedTuple):
    """The first steps of a run, which another one has trained and kept a checkpoint of.

    scored: whether that one's scores are of the same weights, so that they are this one's too.
    """

    run: Run
    step: int
    scored: bool = True

    @property
    def logs(self) -> list[str]:
        """The logs that are the run's own up to the step."""
        return [name for name in LOGS if self.scored or name not in SCORES]


def recorded_start(place: Folder, run: Run) -> str | None:
    """What a run says that it started from; earlier versions didn't say it."""
    about = place.read(f"{run.path}/fingerprint.json")
    return json.loads(about).get("start") if about else None


def has_begun(place: Folder, run: Run) -> bool:
    """Whether there is anything of a run that it goes on from."""
    if place.local:
        return bool(place.list(f"{run.path}/"))
    return place.has(f"{run.path}/events.jsonl") or is_continued(place, run)


def is_continued(place: Folder, run: Run) -> bool:
    """Whether a run stands on another's beginning."""
    return place.has(f"{run.path}/{CONTINUED}")


def continue_from(beginning: Beginning, run: Run, folder: str) -> None:
    """Makes the run's MODEL_DIR of a beginning, with its log lines."""
    place = Folder(folder, "ABLATION_DIR")
    if place.local:
        _linked(place.local, beginning, run)
    else:
        _copied(place, beginning, run)


def _about(beginning: Beginning) -> bytes:
    return to_json({"run": beginning.run.title, "step": beginning.step})


def _linked(root: pathlib.Path, beginning: Beginning, run: Run) -> None:
    step = str(beginning.step)
    there = root / beginning.run.path
    with building(str(root / run.path), size_of(there / CHECKPOINTS / step)) as made:
        shutil.copytree(there / CHECKPOINTS / step, made / CHECKPOINTS / step, copy_function=_link)
        for name in beginning.logs:
            if (there / f"{name}.jsonl").exists():
                shutil.copy(there / f"{name}.jsonl", made)
                JsonLines(Folder(str(made)), f"{name}.jsonl", beginning.step).close()
        (made / CONTINUED).write_bytes(_about(beginning))


def _copied(place: Folder, beginning: Beginning, run: Run) -> None:
    """The same on gs://: first what no one takes for a checkpoint, then what makes it one."""
    source, target = f"{beginning.run.path}/", f"{run.path}/"
    place.clear(target)  # of a copy that was cut short
    files = place.list(f"{source}{CHECKPOINTS}/{beginning.step}/")
    ends = last_files(files)
    _copy(place, [file for file in files if file not in ends], source, target)
    for name in beginning.logs:
        if (lines := place.read(f"{source}{name}.jsonl")) is not None:
            place.write(f"{target}{name}.jsonl", lines)
            JsonLines(Folder(f"{place.path}/{run.path}"), f"{name}.jsonl", beginning.step).close()
    for file in sorted(ends, key=lambda file: -file.count("/")):  # the whole checkpoint's last
        _copy(place, [file], source, target)
    place.write(f"{target}{CONTINUED}", _about(beginning))


def _copy(place: Folder, files: Iterable[str], source: str, target: str) -> None:
    def one(file: str) -> None:
        place.write(target + file.removeprefix(source), place.read(file) or b"")

    with concurrent.futures.ThreadPoolExecutor(COPIES) as pool:
        list(pool.map(one, files))


def _link(source: str, target: str) -> None:
    """A second name for a file of a checkpoint, which is never written again; else a copy."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def size_of(path: pathlib.Path) -> int:
    """Bytes of the files below a folder."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
