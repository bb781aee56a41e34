"""`clean` from end to end: what comes out, what is counted, and that it is the same however it ran."""

import json
import multiprocessing
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest
import toy_corpus
from datatrove.executor.local import LocalPipelineExecutor

from polylm_jax.corpus import stages, steps
from polylm_jax.errors import InputError

REPO = pathlib.Path(__file__).resolve().parents[2]
SOURCES = {"crawl": "crawl/*.jsonl", "pairs": {"files": "pairs/en-de.jsonl", "pair": "stem"}}
COUNT = 12


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> pathlib.Path:
    """Two files of crawl in six languages with faults, and one of pairs."""
    folder = tmp_path_factory.mktemp("raw")
    rows = []
    for code in toy_corpus.CODES:
        rows += [{"id": f"{code}{n}", "text": toy_corpus.document(code, n)} for n in range(COUNT)]
        rows.append({"id": f"again-{code}", "text": toy_corpus.document(code, 3).upper() + "!"})
        rows.append({"id": f"near-{code}", "text": toy_corpus.document(code, 5) + "\n2024."})
        rows.append({"id": f"short-{code}", "text": toy_corpus.document(code, 6)[:15]})
        text = toy_corpus.document(code, 7)
        rows.append({"id": f"symbols-{code}", "text": text + " ★" * (len(text) // 2)})
    rows += [b'{"id": "broken', b"\xff\xfe not UTF-8", b"[1, 2]", {"id": "empty", "text": "  "}]
    rows.append({"id": "me", "text": toy_corpus.document("en", 15) + " Write to ann@example.org."})
    toy_corpus.write_jsonl(folder / "crawl" / "a.jsonl", rows[::2])
    toy_corpus.write_jsonl(folder / "crawl" / "b.jsonl", rows[1::2])
    pairs = [
        {"en": f"Letter {a} is missing.", "de": f"Der Buchstabe {a} fehlt."} for a in "abcdefgh"
    ]
    pairs += [
        pairs[0],
        {"en": "The same", "de": "the same"},
        {"en": "Gate 7 opens", "de": "Tor 9 öffnet"},
    ]
    toy_corpus.write_jsonl(folder / "pairs" / "en-de.jsonl", pairs)
    return folder


@pytest.fixture(scope="module")
def report(raw) -> dict:
    return toy_corpus.clean(raw, SOURCES, shard_mb=0.02, personal_data=True)


def dropped(report: dict, code: str) -> dict[str, int]:
    found = {}
    for row in report["languages"][code]["stages"]:
        found |= row["reasons"]
    return found


@pytest.mark.parametrize("code", toy_corpus.CODES)
def test_each_language_keeps_what_is_clean_and_nothing_else(code, raw, report):
    kept = {row["id"] for row in toy_corpus.read(raw / "out", code)}
    assert f"short-{code}" not in kept and f"symbols-{code}" not in kept
    clean = {f"{code}{n}" for n in range(COUNT)}
    # Of the two that were planted twice either copy may be the one that stays.
    assert kept - {"me"} - clean <= {f"again-{code}", f"near-{code}"}
    assert len(kept - {"me"}) == COUNT
    reasons = dropped(report, code)
    assert reasons["exact duplicate"] == 1 and reasons["near duplicate"] == 1
    assert reasons["symbols"] == 1


def test_every_document_is_accounted_for(report):
    assert set(report["languages"]) == {*toy_corpus.CODES, "en-de"}
    for code, about in report["languages"].items():
        gone = sum(row["dropped"] for row in about["stages"])
        assert about["identified"]["documents"] - gone == about["kept"]["documents"], code
        assert about["balanced"]
    source = report["sources"]["crawl"]
    for reason in ("not JSON", "not UTF-8", "not a JSON object", "no text"):
        assert source["dropped"][f"reading: {reason}"] == 1
    languages = report["languages"]
    identified = sum(a["identified"]["documents"] for c, a in languages.items() if "-" not in c)
    refused = sum(n for why, n in source["dropped"].items() if why.startswith("language: "))
    assert source["documents"] == identified + refused


def test_pairs_are_cleaned_too(raw, report):
    kept = toy_corpus.read(raw / "out", "en-de")
    assert len(kept) == 8 and set(kept[0]) >= {"id", "en", "de"}
    reasons = dropped(report, "en-de")
    assert reasons == {"identical sides": 1, "numbers disagree": 1, "exact duplicate": 1}


def test_personal_data_is_masked_and_counted(raw, report):
    (mine,) = (row for row in toy_corpus.read(raw / "out", "en") if row["id"] == "me")
    assert mine["text"].endswith("Write to <EMAIL>.")
    assert report["notes"]["personal data"]["en"]["email"] == 1


def test_samples_of_what_went_are_kept_and_shown(raw, report):
    by_reason = {(s["language"], s["reason"]): s["documents"] for s in report["samples"]}
    assert by_reason["th", "symbols"][0]["id"] == "symbols-th"
    page = (raw / "out" / "report.html").read_text(encoding="utf-8")
    assert 'dir="auto" lang="ar"' in page and "28.3%" in page and "Thai (th)" in page


def outputs(folder: pathlib.Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.zst"))}


def test_workers_and_kills_do_not_change_the_bytes(raw, report, tmp_path):
    """Killed as soon as the first shard of the reading is complete, then run again on two workers."""
    (tmp_path / "crawl").symlink_to(raw / "crawl")
    (tmp_path / "pairs").symlink_to(raw / "pairs")
    program = (
        "import pathlib, sys; sys.path.insert(0, 'tests/toys'); import toy_corpus;"
        f"toy_corpus.clean(pathlib.Path({str(tmp_path)!r}), {SOURCES!r}, shard_mb=0.02,"
        " personal_data=True, workers=2)"
    )
    # `-c` with forkserver needs no main module to import.
    first = subprocess.Popen([sys.executable, "-c", program], cwd=REPO, start_new_session=True,
                             env={**os.environ, "PYTHONPATH": str(REPO)})  # fmt: skip
    done = tmp_path / "work" / "stages" / "read" / "completions"
    for _ in range(600):
        if done.is_dir() and any(done.iterdir()):
            break
        time.sleep(0.05)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    assert not (tmp_path / "out").exists()
    stamps = {path.name: path.stat().st_mtime_ns for path in done.iterdir()}
    subprocess.run([sys.executable, "-c", program], cwd=REPO, check=True, timeout=120,
                   env={**os.environ, "PYTHONPATH": str(REPO)}, stdout=subprocess.DEVNULL)  # fmt: skip
    assert outputs(tmp_path / "out") == outputs(raw / "out")
    after = {path.name: path.stat().st_mtime_ns for path in done.iterdir()}
    assert all(after[name] == stamp for name, stamp in stamps.items()), "a complete shard ran again"


def _clean_until(folder: pathlib.Path, stage: str) -> None:
    """Cleans until a shard of a stage is through, and is killed before that is written down."""
    mark = LocalPipelineExecutor.mark_rank_as_completed

    def killed(self, rank: int) -> None:
        if self.logging_dir.path.endswith(f"/{stage}"):
            os.kill(os.getpid(), signal.SIGKILL)
        mark(self, rank)

    LocalPipelineExecutor.mark_rank_as_completed = killed
    toy_corpus.clean(folder, SOURCES, shard_mb=0.02, personal_data=True)


def test_the_same_bytes_come_out_after_a_kill_in_each_stage(raw, report, tmp_path):
    """One run, killed in its first stage, gone on with, killed in the second, and so on to the end."""
    (tmp_path / "crawl").symlink_to(raw / "crawl")
    (tmp_path / "pairs").symlink_to(raw / "pairs")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["toy_corpus", "polylm_jax.corpus.stages"])
    stages = json.loads((raw / "work" / "plan.json").read_text())
    names = [stage["name"].replace(" ", "_") for stage in stages]
    assert len(names) == 10
    for name in names:
        process = context.Process(target=_clean_until, args=(tmp_path, name))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL, name
        assert not (tmp_path / "out").exists() or name == "publish"
    toy_corpus.clean(tmp_path, SOURCES, shard_mb=0.02, personal_data=True, overwrite=True)
    assert outputs(tmp_path / "out") == outputs(raw / "out")
    made = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [made[k] for k in ("languages", "sources", "notes", "samples")] == [
        report[k] for k in ("languages", "sources", "notes", "samples")
    ]


def test_a_run_with_other_settings_is_refused(raw, report):
    with pytest.raises(InputError, match="begun with other settings .*min_confidence: 0.5 -> 0.7"):
        toy_corpus.clean(
            raw, SOURCES, shard_mb=0.02, personal_data=True, min_confidence=0.7, overwrite=True
        )


def test_an_output_is_replaced_only_if_told(raw, report):
    with pytest.raises(InputError, match="exists: name another folder"):
        toy_corpus.clean(raw, SOURCES, shard_mb=0.02, personal_data=True)


class Dying(steps.Rules):
    """Rules in whose shard the process is killed, as the kernel does when memory is short."""

    def filter(self, document):
        if document.id == "de3" and multiprocessing.parent_process():
            os.kill(os.getpid(), signal.SIGKILL)
        return super().filter(document)


def test_a_worker_that_dies_stops_the_run_with_one_sentence(raw, tmp_path, monkeypatch):
    monkeypatch.setattr(stages.steps, "Rules", Dying)
    (tmp_path / "crawl").symlink_to(raw / "crawl")
    with pytest.raises(InputError, match="A worker died in the stage 'rules'.*same command again"):
        toy_corpus.clean(tmp_path, {"crawl": "crawl/*.jsonl"}, workers=2)
    assert not (tmp_path / "out").exists()


def test_a_full_disk_stops_the_run_with_one_sentence(raw, tmp_path):
    """A real file system of 200 kB, in a namespace of its own."""
    small = tmp_path / "small"
    small.mkdir()
    program = (
        "import pathlib, sys; sys.path.insert(0, 'tests/toys')\nimport toy_corpus\n"
        "from polylm_jax.errors import InputError\n"
        f"try: toy_corpus.cleaning.clean({SOURCES!r}, {str(tmp_path / 'out')!r}, {str(small / 'work')!r},"
        f" data_dir={str(raw)!r}, workers=1, languages=toy_corpus.CODES)\n"
        "except InputError as error: print(error)"
    )
    mount = f'mount -t tmpfs -o size=200k none {small} && exec {sys.executable} -c "$0"'
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    if subprocess.run(
        [*command, f"mount -t tmpfs none {small}"], check=False, capture_output=True
    ).returncode:
        pytest.skip("no file system can be mounted here")
    done = subprocess.run([*command, mount, program], cwd=REPO, check=False, capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(REPO)})  # fmt: skip
    assert "WORK_DIR" in done.stdout and "is full" in done.stdout, done.stdout + done.stderr[-2000:]
    assert not (tmp_path / "out").exists()


def test_the_report_is_json_that_says_what_was_asked(report):
    assert json.dumps(report)
    assert report["settings"]["bands"] == 14 and report["minhash"]["curve"]["0.8"] > 0.9
    assert report["speed"]["mb_per_second_per_core"] > 0
