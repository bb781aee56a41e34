"""Where the hours of a run went: every second is of one kind, over a kill and a resume."""

import json

import pytest
import toy_run

import run
from polylm_jax.errors import InputError
from polylm_jax.runtime.storage import Folder
from polylm_jax.training import time_account

pytest_plugins = ["toy_fixture"]

SHORT = {"phases": toy_run.halves(12)}


def write(folder, events, metrics):
    for name, lines in (("events", events), ("metrics", metrics)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_every_second_has_a_kind(tmp_path):
    """Two starts: 300 s of work kept, 50 done again, a machine that was away for 400."""
    start = {"event": "start", "step": 0, "time": 1020.0, "process_seconds": 20.0}
    again = start | {"step": 2, "time": 1830.0, "redone_seconds": 50.0, "alive": 1400.0}
    events = [
        start,
        {"event": "compiled", "step": 0, "time": 1100.0, "seconds": 60.0},
        {"event": "commit", "step": 2, "time": 1350.0},
        again | {"process_seconds": 30.0},
        {"event": "compiled", "step": 2, "time": 1850.0, "seconds": 10.0},
        {"event": "end", "step": 4, "time": 1960.0, "seconds": {"validation": 3.0}},
    ]
    reports = [
        {"step": 2, "time": 1345.0, "seconds": {"all": 200.0, "data": 5.0, "checkpoint": 15.0}},
        {"step": 4, "time": 1955.0, "seconds": {"all": 100.0, "validation": 30.0}},
    ]
    write(tmp_path, events, reports)
    account = time_account.of(Folder(str(tmp_path)))
    found = account.seconds
    assert found["training"] == 250 and found["data"] == 5
    assert (found["validation"], found["checkpoint"]) == (33, 15)
    assert found["compiling"] == 70 and found["starting"] == (20 + 20) + (30 + 10)
    assert (found["redone"], found["down"]) == (50, 400)
    assert account.total == 960 and account.starts == 2
    assert found["lost"] == 960 - 250 - 5 - 33 - 15 - 70 - 80 - 50 - 400
    assert account.goodput == pytest.approx(250 / 960)


def test_a_real_run_tells_its_goodput_and_the_mode_shows_it(toy_folder, tmp_path, capsys):
    toy_run.run(toy_folder, tmp_path, SHORT, save_every_steps=4, eval_every_steps=6)
    (tmp_path / "checkpoints" / "12").rename(tmp_path / "gone")  # as if it had been killed before
    toy_run.run(toy_folder, tmp_path, SHORT, save_every_steps=4, eval_every_steps=6)
    assert "goodput" in capsys.readouterr().out
    account = time_account.of(Folder(str(tmp_path)))
    assert account.starts == 2
    for kind in ("training", "starting", "compiling", "validation", "checkpoint", "redone"):
        assert account.seconds[kind] > 0, kind
    assert all(seconds >= 0 for seconds in account.seconds.values())
    assert run.main(["goodput", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in time_account.WHAT) and "2 starts" in shown


def test_the_last_validation_is_no_lost_time(toy_folder, tmp_path):
    toy_run.run(toy_folder, tmp_path, SHORT, eval_every_steps=12)
    ended = json.loads((tmp_path / "events.jsonl").read_text().splitlines()[-1])
    assert ended["event"] == "end" and ended["seconds"]["validation"] > 0
    assert ended["seconds"]["checkpoint"] > 0
    reports = map(json.loads, (tmp_path / "metrics.jsonl").read_text().splitlines())
    before = sum(line["seconds"].get("validation", 0.0) for line in reports)
    account = time_account.of(Folder(str(tmp_path)))
    assert account.seconds["validation"] == pytest.approx(before + ended["seconds"]["validation"])


def test_a_folder_without_a_run_is_refused(tmp_path, capsys):
    with pytest.raises(InputError, match="has no run"):
        time_account.of(Folder(str(tmp_path), "MODEL_DIR"))
    assert run.main(["goodput", str(tmp_path)]) == 2
    assert run.main(["goodput"]) == 2
