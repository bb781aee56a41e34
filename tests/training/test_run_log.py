"""Logs: no step twice, no half line, the same numbers everywhere."""

import json
import math

import pytest
from gcs_server import GcsServer
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

from polylm_jax.runtime.storage import Folder
from polylm_jax.training.log import JsonLines, RunLog


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_resume_cuts_the_steps_that_are_done_again(tmp_path):
    folder = Folder(str(tmp_path))
    log = RunLog(folder, 0, tensorboard=False)
    for step in range(1, 6):
        log.metrics(step, {"loss": float(step)})
    log.event("save", 3)
    log.close()
    (tmp_path / "metrics.jsonl").open("a").write('{"step": 6, "lo')  # killed while writing

    log = RunLog(folder, 3, tensorboard=False)
    assert log.reached == 5
    log.event("start", 3)
    for step in (4, 5):
        log.metrics(step, {"loss": -float(step)})
    log.close()
    assert [line["loss"] for line in lines(tmp_path / "metrics.jsonl")] == [1, 2, 3, -4, -5]
    assert [line["event"] for line in lines(tmp_path / "events.jsonl")] == ["save", "start"]


def test_a_step_that_stands_there_is_not_written_again(tmp_path):
    log = RunLog(Folder(str(tmp_path)), 0, tensorboard=False)
    for _ in range(2):
        log.validation(4, {"average_bits_per_byte": 1.0})
    log.close()
    assert len(lines(tmp_path / "validation.jsonl")) == 1


def test_text_of_any_script_stays_readable(tmp_path):
    log = JsonLines(Folder(str(tmp_path)), "events.jsonl")
    log.write({"step": 1, "recipe": "ภาษาไทย"})
    log.close()
    assert "ภาษาไทย" in (tmp_path / "events.jsonl").read_text(encoding="utf-8")


def test_tensorboard_has_the_numbers(tmp_path):
    log = RunLog(Folder(str(tmp_path)), 0)
    log.metrics(1, {"loss": 2.5, "loss_by_language": {"th": 3.5}, "phase": "one"})
    log.validation(1, {"bits_per_byte": {"th": 1.25}})
    log.close()
    board = EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    tags = board.Tags()["tensors"]
    found = {tag: float(make_ndarray(board.Tensors(tag)[0].tensor_proto)) for tag in tags}
    assert found == {
        "metrics/loss": 2.5,
        "metrics/loss_by_language/th": 3.5,
        "validation/bits_per_byte/th": 1.25,
    }


def test_tensorboard_has_no_step_twice_after_a_resume(tmp_path):
    """The steps done again stand once, with their new values."""
    for start, loss in ((0, 1.0), (250, 3.0), (200, 2.0)):
        log = RunLog(Folder(str(tmp_path)), start)
        for step in range(start + 1, 301):
            log.metrics(step, {"loss": loss})
        log.close()
    board = EventAccumulator(str(tmp_path / "tensorboard"), {"tensors": 0})
    board.Reload()
    points = [(e.step, float(make_ndarray(e.tensor_proto))) for e in board.Tensors("metrics/loss")]
    assert points == [(step, 1.0 if step <= 200 else 2.0) for step in range(1, 301)]


@pytest.mark.parametrize("damage", ["\n", "\0\0\0\n", '{"st', "null\n", '{"loss": 3}\n'])
def test_a_damaged_line_costs_itself_alone(tmp_path, damage):
    log = RunLog(Folder(str(tmp_path)), 0, tensorboard=False)
    for step in (1, 2, 3):
        log.metrics(step, {"loss": float(step)})
        log.event("save", step)
    log.close()
    for name in ("metrics", "events"):
        path = tmp_path / f"{name}.jsonl"
        first, *rest = path.read_text().splitlines(keepends=True)
        end = "" if damage.endswith("\n") else "\n"
        path.write_text("".join([first, damage + end, *rest]))
    log = RunLog(Folder(str(tmp_path)), 2, tensorboard=False)
    assert log.reached == 3
    log.close()
    assert [line["step"] for line in lines(tmp_path / "metrics.jsonl")] == [1, 2]
    assert [line["step"] for line in lines(tmp_path / "events.jsonl")] == [1, 2, 3]


def test_weights_and_biases_in_its_offline_mode(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    for start in (0, 1):
        log = RunLog(Folder(str(tmp_path)), start, tensorboard=False, wandb_project="polylm")
        log.metrics(start + 1, {"loss": 2.5 - start})
        log.close()
    runs = list((tmp_path / "wandb").glob("offline-run-*/*.wandb"))
    assert {path.stem for path in runs} == {f"run-{(tmp_path / 'wandb_id').read_text()}"}
    assert all(path.stat().st_size for path in runs)


def test_a_bucket_gets_whole_files_and_a_resume_cuts_them():
    with GcsServer(buckets=("bucket",)) as server:
        folder = Folder("gs://bucket/run", "MODEL_DIR")
        log = RunLog(folder, 0, tensorboard=False)
        for step in (1, 2, 3):
            log.metrics(step, {"loss": 1.0})
        log.flush()  # as at every save; then killed
        log = RunLog(folder, 2, tensorboard=False)
        assert log.reached == 3
        log.metrics(3, {"loss": 2.0})
        log.close()
        text = server.buckets["bucket"]["run/metrics.jsonl"][1].decode()
    assert [json.loads(line)["loss"] for line in text.splitlines()] == [1.0, 1.0, 2.0]


def test_a_process_that_does_not_lead_writes_nothing(tmp_path):
    log = RunLog(None, 0)
    log.metrics(1, {"loss": math.pi})
    log.event("start", 0)
    log.flush()
    log.close()
    assert log.reached == -1
    assert not list(tmp_path.iterdir())
