"""Building token stores: shared, killed, resumed, refused, and lines in quarantine."""

import functools
import json
import pathlib
import signal
import time

import forked
import numpy as np
import pytest
import seqio
from gcs_server import GcsServer
from reading import jsonl, write
from toy_tasks import DOCUMENTS, TEXTS, UNIT_BYTES, forget, model, register, register_files, task

from polylm_jax.data.stores.build import build_store
from polylm_jax.data.stores.store import TokenStore
from polylm_jax.errors import InputError
from polylm_jax.runtime.storage import Folder
from polylm_jax.text import task_text
from polylm_jax.tokenizer.tokenizer import Tokenizer
from tasks import corpus


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """The path of a small vocabulary."""
    return model(tmp_path_factory.getbasetemp())


@pytest.fixture(autouse=True)
def registry():
    """Forgets what a test registers."""
    yield
    forget()


def build(name, path, vocabulary, **options):
    return build_store(task_text.find(name), str(path), Tokenizer.load(vocabulary), **options)


def all_tokens(path, split="train"):
    store = TokenStore.open(str(path))
    return store.read_rows(split, np.array([0]), store.num_tokens(split) - 1)[0]


def files(folder):
    """Relative path -> content, of all files below a folder."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_a_store_holds_the_tasks_tokens(tmp_path, toy):
    register(tmp_path, toy)
    for name in ("toy.th", "toy.en_th", "toy.th_en"):
        manifest = build(name, tmp_path / name, toy)
        for split in ("train", "validation"):
            data = task_text.find(name).get_dataset(None, split, shuffle=False)
            examples = list(data.as_numpy_iterator())
            expected = np.concatenate([example["targets"] for example in examples])
            np.testing.assert_array_equal(all_tokens(tmp_path / name, split), expected)
            told = manifest.splits[split]
            texts = [example["targets_pretokenized"] for example in examples]
            assert (told.documents, told.tokens) == (len(examples), len(expected))
            assert told.bytes == sum(map(len, texts)) == sum(told.bytes_by_language.values())
            assert sum(told.tokens_by_language.values()) == told.tokens
    assert manifest.language == "th-en"
    assert set(manifest.splits["train"].tokens_by_language) == {"en", "template", "th"}


def test_shares_and_processes_give_the_store_of_one(tmp_path, toy):
    register(tmp_path, toy)
    one = build("toy.th", tmp_path / "one", toy)
    assert len(one.units) > 9
    assert build("toy.th", tmp_path / "three", toy, shard=(2, 3)) is None
    with pytest.raises(InputError, match="is incomplete"):
        TokenStore.open(f"{tmp_path}/three")
    assert build("toy.th", tmp_path / "three", toy, shard=(0, 3)) is None
    assert build("toy.th", tmp_path / "three", toy, shard=(1, 3)) == one
    assert build("toy.th", tmp_path / "three", toy) == one
    assert files(tmp_path / "three") == files(tmp_path / "one")


def build_shard(folder, vocabulary, store, shard):
    """Builds toy.th's part of a store, in a process that knows no task yet."""
    register_files(folder, vocabulary, unit_bytes=100_000)
    build("toy.th", store, vocabulary, shard=shard)


@pytest.fixture
def start():
    """start(folder, vocabulary, store) -> three processes that build it."""

    def started(context, *about):
        processes = [
            context.Process(target=build_shard, args=(*about, (i, 3)), daemon=True)
            for i in range(3)
        ]
        for process in processes:
            process.start()
        return processes

    with forked.preloaded("toy_tasks", "polylm_jax.data.stores.build") as context:
        yield functools.partial(started, context)


def test_three_processes_build_the_store_of_one(tmp_path, toy, start):
    register(tmp_path, toy, jsonl(DOCUMENTS * 200), unit_bytes=100_000)
    whole = build("toy.th", tmp_path / "whole", toy)
    processes = start(tmp_path, toy, tmp_path / "three")
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    processes = start(tmp_path, toy, tmp_path / "killed")
    waits = {0: 1, 1: 4, 2: 8}  # each is killed when so many of its own units are done
    while waits:
        done = [int(path.stem) for path in (tmp_path / "killed/parts").glob("*.json")]
        for i in [i for i in waits if sum(unit % 3 == i for unit in done) >= waits[i]]:
            processes[i].kill()
            processes[i].join()
            del waits[i]
        assert all(processes[i].is_alive() for i in waits), "it ended before its kill"
        time.sleep(0.001)
    done = list((tmp_path / "killed/parts").glob("*.json"))
    assert 0 < len(done) < len(whole.units), "the kill came before or after the work"
    assert {process.exitcode for process in processes} == {-signal.SIGKILL}
    resumed = [build("toy.th", tmp_path / "killed", toy, shard=(i, 3)) for i in range(3)]
    assert resumed[-1] == whole
    stores = [tmp_path / name for name in ("whole", "three", "killed")]
    assert content(stores[0]) == content(stores[1]) == content(stores[2])
    assert len({TokenStore.open(str(store)).content_hash for store in stores}) == 1


def content(folder):
    """The files of a store, without what a kill left of one that was being written."""
    return {name: data for name, data in files(folder).items() if not name.endswith("__lock")}


def test_a_build_that_stops_at_any_write_goes_on(tmp_path, toy, monkeypatch):
    register(tmp_path, toy, unit_bytes=8000)
    whole = build("toy.th", tmp_path / "whole", toy)
    write_file, left = Folder.write, []

    def failing(folder, key, value):
        if not left:
            raise KeyboardInterrupt
        left.pop()
        write_file(folder, key, value)

    for stop in range(3 * len(whole.units)):
        left[:] = [True] * stop
        monkeypatch.setattr(Folder, "write", failing)
        with pytest.raises(KeyboardInterrupt):
            build("toy.th", tmp_path / f"{stop}", toy)
        monkeypatch.setattr(Folder, "write", write_file)
        assert build("toy.th", tmp_path / f"{stop}", toy) == whole
        assert files(tmp_path / f"{stop}") == files(tmp_path / "whole")


def test_what_a_kill_leaves_behind_does_no_harm(tmp_path, toy):
    register(tmp_path, toy)
    whole = build("toy.th", tmp_path / "whole", toy)
    build("toy.th", tmp_path / "killed", toy, shard=(0, 2))
    parts = tmp_path / "killed/parts"
    (parts / "00001-train.u16").write_bytes(b"cut")
    (parts / "00003-train.u16.__lock").write_bytes(b"cut")
    (parts / "00005.json.__lock").write_bytes(b"{")
    assert build("toy.th", tmp_path / "killed", toy) == whole
    np.testing.assert_array_equal(all_tokens(tmp_path / "killed"), all_tokens(tmp_path / "whole"))


def test_finished_units_are_not_done_again(tmp_path, toy):
    register(tmp_path, toy)
    build("toy.th", tmp_path / "store", toy, shard=(0, 2))
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "store/parts").iterdir()}
    build("toy.th", tmp_path / "store", toy)
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_a_store_in_a_bucket_is_the_store_on_disk(tmp_path, toy):
    register(tmp_path, toy)
    here = build("toy.en_th", tmp_path / "here", toy)
    with GcsServer(("bucket",)):
        there = build("toy.en_th", "gs://bucket/stores/toy.en_th", toy, shard=(0, 1))
        assert there == here
        found = all_tokens("gs://bucket/stores/toy.en_th")
    np.testing.assert_array_equal(found, all_tokens(tmp_path / "here"))


def test_bad_lines_are_quarantined_with_file_and_line(tmp_path, toy):
    lines = jsonl(DOCUMENTS).splitlines()
    bad = {5: b"{broken", 120: b'{"id": "x"}', 121: b'{"text": "\xff"}'}
    for number, line in bad.items():
        lines[number - 1] = line
    register(tmp_path, toy, b"\n".join(lines) + b"\n")
    manifest = build("toy.th", tmp_path / "store", toy)
    assert (manifest.bad_lines, manifest.lines) == (3, len(lines))
    found = [
        json.loads(line)
        for path in sorted((tmp_path / "store/quarantine").glob("*.jsonl"))
        for line in path.read_text().splitlines()
    ]
    assert [(one["file"], one["line"]) for one in found] == [
        (str(tmp_path / "th.jsonl"), number) for number in bad
    ]
    assert "not JSON" in found[0]["reason"] and found[0]["raw"].strip() == "{broken"


def with_bad_lines(count, first=41):
    """The documents, with so many bad lines from line `first` on."""
    lines = jsonl(DOCUMENTS).splitlines()
    lines[first - 1 : first - 1 + count] = [b"{broken"] * count
    return b"\n".join(lines) + b"\n"


def test_too_many_bad_lines_fail_the_build(tmp_path, toy):
    register(tmp_path, toy, with_bad_lines(6))
    says = r"6 of 300 lines \(2.00%\) can't be read, 6 of them in .*th.jsonl \(line 41: .*max_bad"
    for _ in range(2):
        with pytest.raises(InputError, match=says):
            build("toy.th", tmp_path / "store", toy, max_bad=0.015)
    assert not (tmp_path / "store/store.json").exists()
    assert build("toy.th", tmp_path / "store", toy, max_bad=0.02).bad_lines == 6


def test_a_hopeless_build_fails_before_its_end(tmp_path, toy, monkeypatch):
    monkeypatch.setattr("polylm_jax.data.stores.writer.REFUSED_EARLY", 30)
    register(tmp_path, toy, with_bad_lines(200))
    with pytest.raises(InputError, match=r"lines \(\d\d.\d\d%\) so far can't be read"):
        build("toy.th", tmp_path / "store", toy)
    units = len(task_text.units(task_text.find("toy.th")))
    assert 0 < len(list((tmp_path / "store/parts").glob("*.json"))) < units


def test_a_store_of_another_vocabulary_is_refused(tmp_path, toy):
    register(tmp_path, toy)
    stores = str(tmp_path / "stores")
    build("toy.th", f"{stores}/toy.th", toy)
    seqio.TaskRegistry.remove("toy.th")
    write(tmp_path / "th.jsonl", jsonl(DOCUMENTS[:-1]))
    changed = {"format": "jsonl", "paths": "th.jsonl", "unit_bytes": UNIT_BYTES}
    corpus.register(str(tmp_path), toy, {"th": changed}, name="toy2", held_out=0.1)
    before = files(tmp_path / "stores")
    other = task_text.find("toy2.th").replace(name="toy.th")
    seqio.TaskRegistry.remove("toy2.th")
    with pytest.raises(
        InputError, match=r"another version of task 'toy.th' \(files.0.size: \d+, now"
    ):
        build_store(other, f"{stores}/toy.th", Tokenizer.load(toy))
    larger = write(tmp_path / "other.model", pathlib.Path(toy).read_bytes() + b"\x12\x00")
    register_again = task("toy.th", larger)
    with pytest.raises(InputError, match="made with another vocabulary.*toy.model.*other.model"):
        build_store(register_again, f"{stores}/toy.th", Tokenizer.load(larger))
    assert files(tmp_path / "stores") == before


def test_a_foreign_task_is_cached_by_its_own_splits(tmp_path, toy):
    of = task("toy.foreign", toy, {"train": TEXTS, "validation": TEXTS[:5]})
    manifest = build_store(of, f"{tmp_path}/foreign", Tokenizer.load(toy))
    assert manifest.language == "und"
    assert [manifest.splits[s].documents for s in ("train", "validation")] == [300, 5]
    assert manifest.splits["train"].bytes == sum(len(text.encode()) for text in TEXTS)


def test_space_marks_are_counted(tmp_path, toy):
    of = task("toy.marks", toy, {"train": ["a▁b▁", "c"], "validation": ["▁"]})
    assert build_store(of, f"{tmp_path}/marks", Tokenizer.load(toy)).space_marks == 3


def test_a_task_without_text_is_refused(tmp_path, toy):
    register(tmp_path, toy, b"\n\n")
    with pytest.raises(InputError, match="'toy.th' has no text"):
        build("toy.th", tmp_path / "store", toy)
