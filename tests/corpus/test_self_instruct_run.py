"""`run.py self_instruct` from end to end against a server that misbehaves, in 11 languages; killed, shared, capped."""

import json
import pathlib
import random
import signal
import subprocess
import sys
import time
import zlib

import pytest
from chat_server import TROUBLE, answer, serving

import run
from polylm_jax.corpus.instructions.endpoint import Endpoint
from polylm_jax.corpus.instructions.rounds import Plan
from polylm_jax.corpus.instructions.run import MULTIALPACA, self_instruct
from polylm_jax.corpus.instructions.spending import Cap
from polylm_jax.corpus.instructions.task import SEED_TASKS
from polylm_jax.errors import InputError

KEY = "sk-not-a-real-key-0123456789"
START = """
import sys
import zlib
from polylm_jax.corpus.instructions.endpoint import Endpoint
from polylm_jax.corpus.instructions.rounds import Plan
from polylm_jax.corpus.instructions.run import self_instruct
endpoint = Endpoint('m', sys.argv[1], first_wait=0.01, longest_wait=0.1, quiet=10, concurrency=3)
plan = Plan(rounds=3, prompts=5, first=3)
self_instruct(endpoint, sys.argv[2], languages=('th', 'ko'), seed_tasks=sys.argv[3], plan=plan)
"""


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    """Five of the project's seeds, two of which keep what they have."""
    path = tmp_path_factory.mktemp("seeds") / "seeds.jsonl"
    path.write_text("\n".join(SEED_TASKS.read_text("utf-8").splitlines()[7:12]), "utf-8")
    return str(path)


SMALL = Plan(rounds=2, prompts=3, first=2)


def make(server, pool, seeds, plan=SMALL, **options):
    quick = {"first_wait": 0.01, "longest_wait": 0.1, "quiet": 3.0, "concurrency": 12}
    given = {name: options.pop(name) for name in ("cap", "languages") if name in options}
    endpoint = Endpoint("m", server.url, **{**quick, **options})
    self_instruct(endpoint, str(pool), seed_tasks=seeds, plan=plan, **given)


def records(pool, code):
    text = (pool / f"{code}.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def events(pool, kind):
    found = (json.loads(line) for line in (pool / "journal.jsonl").read_text("utf-8").splitlines())
    return [one for one in found if one["event"] == kind]


def test_eleven_languages_from_a_server_that_misbehaves(tmp_path, seeds, capfd):
    """All kinds of trouble in turn, at every fourth request."""

    def trouble(n):
        return TROUBLE[n // 4 % len(TROUBLE)] if n % 4 == 0 else ""

    pool = tmp_path / "pool"
    with serving(trouble, hang=4) as server:
        make(server, pool, seeds)
    card = json.loads((pool / "card.json").read_text("utf-8"))
    assert [one["language"] for one in card["languages"]] == list(MULTIALPACA)
    for one in card["languages"]:
        found = records(pool, one["language"])
        # Which answers come in English or as a refusal hangs on which seeds got through: any one
        # language may be unlucky, all together may not.
        assert len(found) == one["accepted"] > 0 and one["seeds"] >= 3
        assert all(list(record) == ["instruction", "input", "output"] for record in found)
        assert all(record["input"] is None or record["input"] for record in found)
        assert one["tasks"] == one["accepted"] + sum(one["refused"].values())
        assert sum(r["accepted"] for r in one["rounds"].values()) == one["accepted"]
    assert sum(one["accepted"] for one in card["languages"]) > 40 * len(MULTIALPACA)
    kinds = ("refused", "seed_reasons")
    reasons = {reason for one in card["languages"] for kind in kinds for reason in one[kind]}
    assert "wrong language" in reasons
    outcomes = card["cost"]["outcomes"]
    for kind in ("HTTP 429", "HTTP 500", "timeout", "cut stream", "not the protocol", "answered"):
        assert outcomes[kind] > 0, kind
    assert sum(outcomes.values()) == card["cost"]["requests"] >= server.number
    said, text = capfd.readouterr().err, (pool / "card.md").read_text("utf-8")
    assert "th round 2" in said and "tasks in 11 languages" in text and "wrong language" in text
    written = "".join(path.read_text("utf-8") for path in pool.iterdir() if path.is_file())
    assert KEY not in written + said and "\x1b" not in written


def test_killed_at_any_moment_it_loses_nothing(tmp_path, seeds):
    """The pool of a run that was killed three times is that of one that was not."""
    with serving(lambda n: "429" if n % 5 == 0 else "slow") as server:
        command = [sys.executable, "-c", START, server.url]
        whole, killed = tmp_path / "whole", tmp_path / "killed"
        quick = subprocess.Popen(
            [*command, str(whole), seeds], cwd=run.REPO, stderr=subprocess.DEVNULL
        )
        chance, before = random.Random(5), 0
        for _ in range(3):
            process = subprocess.Popen(
                [*command, str(killed), seeds], cwd=run.REPO, stderr=subprocess.DEVNULL
            )
            enough = before + chance.randrange(4, 12)
            while process.poll() is None and answered(killed) < enough:
                time.sleep(0.002)
            process.send_signal(signal.SIGKILL)
            process.wait()
            kept = accepted(killed)
            before = answered(killed)
        assert quick.wait(120) == 0
        last = subprocess.run(
            [*command, str(killed), seeds], check=False, cwd=run.REPO, capture_output=True
        )
    assert last.returncode == 0, last.stderr
    assert all(one in accepted(killed) for one in kept)
    for code in ("th", "ko"):
        assert (whole / f"{code}.jsonl").read_bytes() == (killed / f"{code}.jsonl").read_bytes()
    paid = [one for one in events(killed, "paid") if one["outcome"] == "answered"]
    needed = [one for one in events(whole, "paid") if one["outcome"] == "answered"]
    # Repeated at most: what was in flight at each kill.
    assert len(paid) <= len(needed) + 3 * 3


def answered(pool):
    journal = pool / "journal.jsonl"
    return journal.read_bytes().count(b'"outcome":"answered"') if journal.exists() else 0


def accepted(pool):
    lines = (pool / "journal.jsonl").read_bytes().splitlines(keepends=True)
    whole = [json.loads(line) for line in lines if line.endswith(b"\n")]
    return [record for one in whole if one["event"] == "verdict" for record in one["accepted"]]


def test_two_processes_do_not_share_a_pool(tmp_path, seeds):
    with serving(lambda n: "slow") as server:
        command = [sys.executable, "-c", START, server.url, str(tmp_path / "pool"), seeds]
        first = subprocess.Popen(command, cwd=run.REPO, stderr=subprocess.DEVNULL)
        while not answered(tmp_path / "pool"):
            assert first.poll() is None
            time.sleep(0.01)
        with pytest.raises(InputError, match=f"in use by process {first.pid}"):
            make(server, tmp_path / "pool", seeds)
        first.kill()
        first.wait()


def test_a_higher_cap_goes_on(tmp_path, seeds):
    plan = Plan(rounds=1, prompts=2, first=2)
    with serving() as server:
        for cap, ended in ((Cap(requests=6), "the cap is reached"), (Cap(requests=0), "complete")):
            before = server.number
            try:
                make(server, tmp_path / "p", seeds, plan, cap=cap, languages=("es",))
            except InputError as error:
                assert "raise MAX_REQUESTS" in str(error) and ended != "complete"
            card = json.loads((tmp_path / "p/card.json").read_text("utf-8"))
            assert card["ended"] == ended
            assert not cap.requests or server.number - before == 6
        assert all(times == 1 for times in server.seen.values())
        assert len(records(tmp_path / "p", "es")) > 10
        make(server, tmp_path / "p", seeds, plan, languages=("es",))
        assert server.number == sum(server.seen.values()) == len(server.seen)
        with pytest.raises(InputError, match=r"other settings \(prompts"):
            make(server, tmp_path / "p", seeds, Plan(prompts=9), languages=("es",))
        other = tmp_path / "seeds.jsonl"  # the same ids, another word in the first text
        text = pathlib.Path(seeds).read_text("utf-8")
        other.write_text(text.replace('"instruction": "', '"instruction": "Please ', 1), "utf-8")
        with pytest.raises(InputError, match=r"other settings \(seed_texts"):
            make(server, tmp_path / "p", str(other), plan, languages=("es",))
        settings = json.loads((tmp_path / "p/settings.json").read_text("utf-8"))
        del settings["seed_texts_sha256"]  # as earlier versions wrote them
        (tmp_path / "p/settings.json").write_text(json.dumps(settings), "utf-8")
        more = Plan(rounds=2, prompts=2, first=2)
        make(server, tmp_path / "p", seeds, more, languages=("es", "tr"))
        assert records(tmp_path / "p", "tr")


@pytest.mark.parametrize(
    ("trouble", "said"), [("401", "401: no, Bearer"), ("500", "500"), ("hang", "timeout")]
)
def test_an_endpoint_without_answers_is_one_sentence(tmp_path, seeds, trouble, said):
    with serving(lambda n: trouble, hang=0.5) as server, pytest.raises(InputError) as error:
        make(server, tmp_path / "p", seeds, attempts=2, quiet=0.2, languages=("es",))
    assert said in str(error.value) and "the same command goes on" in str(error.value)
    assert KEY not in str(error.value) and len(str(error.value).splitlines()) == 1
    assert json.loads((tmp_path / "p/card.json").read_text("utf-8"))["ended"].startswith("the end")


def test_a_question_that_never_gets_an_answer_is_left_out(tmp_path, seeds):
    def reply(prompt):
        return ("", "tool_calls") if "fehlt" in prompt or "should be in" in prompt and zlib.crc32(prompt.encode()) % 3 == 0 else answer(prompt)  # fmt: skip

    plan = Plan(rounds=2, prompts=4, first=4)
    with serving(reply=reply) as server:
        make(server, tmp_path / "p", seeds, plan, attempts=1, languages=("de",), concurrency=1)
    (one,) = json.loads((tmp_path / "p/card.json").read_text("utf-8"))["languages"]
    tallies = one["rounds"].values()
    assert sum(r["failed"] + r["answers"] for r in tallies) <= 8
    assert sum(r["answers"] for r in tallies) > 0


def test_a_model_that_translates_nothing_is_said(tmp_path, seeds):
    with (
        serving(reply=lambda prompt: ("blub blub", "stop")) as server,
        pytest.raises(InputError, match="translated fewer than 3 seed tasks into fr"),
    ):
        make(server, tmp_path / "p", seeds, languages=("fr",))
    assert "no task in the template" in (tmp_path / "p/card.md").read_text("utf-8")


def test_english_needs_no_translation(tmp_path, seeds):
    plan = Plan(rounds=1, prompts=1, first=4)
    with serving() as server:
        make(server, tmp_path / "p", seeds, plan, languages=("en",))
        assert server.number == 4


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["LANGUAGES=('es', 'klingon')"], "language 'klingon' isn't known"),
        (
            ["NEW_LANGUAGES={{'sw': 'Swahili'}}"],
            "NEW_LANGUAGES['sw'] = 'Swahili': give its English",
        ),
        (["NEW_LANGUAGES={{'sw': ('Swahili', 7, 'Latn')}}"], "NEW_LANGUAGES['sw'] = ('Swahili', 7"),
        (["NEW_LANGUAGES={{'sw': 7}}"], "NEW_LANGUAGES['sw'] = 7: give its English name"),
        (["LANGUAGES=()"], "LANGUAGES is empty"),
        (["ROUNDS=0"], "ROUNDS = 0"),
        (["MAX_REQUESTS=-1"], "MAX_REQUESTS = -1"),
        (["CONCURRENCY=0"], "CONCURRENCY = 0"),
        (["BASE_URL='nowhere'"], "BASE_URL = 'nowhere' is no address"),
        (["SEED_TASKS='nothing.jsonl'"], "nothing.jsonl' can't be read"),
        (["POOL='gs://bucket/pool'"], "is not a local path"),
        (["POOL='{file}'"], "is a file"),
        (["POOL='{full}'"], "holds something else"),
        (["BASE_ULR='x'"], "Did you mean 'BASE_URL'"),
    ],
)
def test_bad_input_through_run_py_is_one_sentence(tmp_path, overrides, said, capsys):
    import gin

    (tmp_path / "file").write_text("x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine.txt").write_text("x")
    names = {"file": tmp_path / "file", "full": tmp_path / "full"}
    given = ["CHAT_MODEL='m'", f"POOL='{tmp_path / 'pool'}'", "BASE_URL='http://127.0.0.1:9/v1'"]
    flags = [f"--gin.{one.format(**names)}" for one in [*given, *overrides]]
    gin.clear_config()
    try:
        assert (
            run.main(["self_instruct", "--gin_file=gin_configs/runs/self_instruct.gin", *flags])
            == 2
        )
    finally:
        gin.clear_config()
    error = capsys.readouterr().err
    assert said in error and len(error.splitlines()) == 1
    assert (tmp_path / "full/mine.txt").read_text() == "x"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("settings.json", b'{"model": "m', "settings.json is not JSON"),
        ("settings.json", b"[1]", "settings.json is not a JSON object"),
        ("journal.jsonl", b'\n{"model": "m"}\n', "line 2 of journal.jsonl is damaged"),
        ("journal.jsonl", b'{"event": "paid", "request": 7}\n', "line 1 of journal.jsonl is"),
        ("journal.jsonl", b'{"event": "verdict", "language": "es"}\n', "line 1 of journal.jsonl"),
        (
            "journal.jsonl",
            b'{"event": "seed", "language": "es", "id": "a", "task": 5, "reasons": []}\n',
            "line 1 of journal.jsonl is damaged",
        ),
    ],
)
def test_a_damaged_file_of_a_pool_is_said_and_stays(tmp_path, seeds, name, content, said):
    pool = tmp_path / "p"
    with serving(lambda n: "401") as server:
        with pytest.raises(InputError, match="401"):
            make(server, pool, seeds, languages=("es",))
        asked = server.number
        (pool / name).write_bytes(content)
        with pytest.raises(InputError, match=said):
            make(server, pool, seeds, languages=("es",))
        assert server.number == asked and (pool / name).read_bytes() == content
