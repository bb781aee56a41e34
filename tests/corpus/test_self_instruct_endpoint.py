"""One question to an endpoint that misbehaves: what it is called, what it costs, where the key goes."""

import asyncio
import gzip
import json
import time

import pytest
from chat_server import serving

from polylm_jax.corpus.instructions.endpoint import Client, Endpoint, Failed
from polylm_jax.corpus.instructions.journal import Journal
from polylm_jax.corpus.instructions.spending import Cap, CapReached, Spending
from polylm_jax.errors import InputError

KEY = "sk-not-a-real-key-0123456789"


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def hello(prompt):
    return f"hello {prompt}", "stop"


def endpoint(url, **options):
    quick = {"first_wait": 0.01, "longest_wait": 0.05, "quiet": 5, "timeout": 20, "attempts": 3}
    return Endpoint("m", url, **{**quick, **options})


def ask(tmp_path, url, *prompts, cap=None, **options):
    """([answer or exception], the spending)."""

    async def run():
        journal = Journal(tmp_path)
        spending = Spending(cap or Cap(), journal)
        async with Client(endpoint(url, **options), spending) as client:
            done = await asyncio.gather(*map(client.ask, prompts), return_exceptions=True)
        journal.close()
        return done, spending

    return asyncio.run(run())


def raw(body, kind="text/event-stream", **headers):
    """A reply of these bytes."""

    def reply(handler):
        handler.send_response(200)
        handler.send_header("Content-Type", kind)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return reply


def endless(handler):
    handler.send_response(200)
    handler.send_header("Content-Type", "text/event-stream")
    handler.end_headers()
    for _ in range(400):
        handler.wfile.write(b"x" * 100_000)


def event(choice, **more):
    return b"data: " + json.dumps({"id": "x", "choices": [choice], **more}).encode() + b"\n\n"


DONE = event({"index": 0, "delta": {}, "finish_reason": "stop"}) + b"data: [DONE]\n\n"
MISTAKES = {
    "429": "HTTP 429", "500": "HTTP 500", "503": "HTTP 503", "half": "cut stream", "broken": "not the protocol",
    "error": "error in the stream", "html": "not the protocol",
    "nothing": (raw(b""), "cut stream"),
    "content is a number": (raw(event({"index": 0, "delta": {"content": 7}}) + DONE), "not the protocol"),
    "content is a list": (raw(event({"index": 0, "delta": {"content": [1]}}) + DONE), "not the protocol"),
    "no delta": (raw(event({"index": 0}) + DONE), "not the protocol"),
    "choices are text": (raw(b'data: {"choices": "x"}\n\n' + DONE), "not the protocol"),
    "a list": (raw(b"data: [1, 2]\n\n" + DONE), "not the protocol"),
    "another ending": (raw(event({"index": 0, "delta": {}, "finish_reason": "tool_calls"})), "no text"),
    "half a surrogate": (raw(event({"index": 0, "delta": {"content": "\ud800"}}) + DONE), "not the protocol"),
    "bytes that are no text": (raw(b"data: \xff\xfe\n\n" + DONE), "not the protocol"),
    "deep JSON": (raw(b"data: " + b"[" * 100_000 + b"\n\n"), "not the protocol"),
    "compressed": (raw(gzip.compress(b"x" * 10_000), Content_Encoding="gzip"), "too long"),
    "an endless line": (endless, "too long"),
    "a redirect": (lambda h: h.whole(307, "text/plain", "elsewhere"), "HTTP 307"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_has_a_name_and_the_next_try_answers(tmp_path, name, capfd):
    expected = MISTAKES[name]
    trouble, outcome = (name, expected) if isinstance(expected, str) else expected
    with serving(lambda n: trouble if n == 0 else "", hello) as server:
        (answer,), spending = ask(tmp_path, server.url, "you")
    if outcome == "HTTP 307":
        assert isinstance(answer, Failed) and not answer.transient
        return
    assert answer.text == "hello you" and answer.finish == "stop"
    assert spending.outcomes == {outcome: 1, "answered": 1} and spending.requests == 2
    assert KEY not in capfd.readouterr().err + (tmp_path / "journal.jsonl").read_text()


def test_silence_is_a_timeout_and_a_slow_answer_is_none(tmp_path):
    with serving(lambda n: "hang" if n == 0 else "slow", hello, hang=3) as server:
        began = time.monotonic()
        (answer,), spending = ask(tmp_path, server.url, "you", quiet=0.4)
        assert time.monotonic() - began < 3
    assert answer.text == "hello you" and spending.outcomes["timeout"] == 1


def test_an_answer_must_end_in_time(tmp_path):
    with serving(lambda n: "slow", lambda prompt: ("x" * 20_000, "stop")) as server:
        (failed,), _ = ask(tmp_path, server.url, "you", timeout=0.5, attempts=1)
    assert failed.outcome == "timeout"


@pytest.mark.parametrize(("trouble", "tries"), [("500", 3), ("400", 1), ("401", 1), ("404", 1)])
def test_only_passing_faults_are_tried_again(tmp_path, trouble, tries):
    with serving(lambda n: trouble, hello) as server:
        (failed,), spending = ask(tmp_path, server.url, "you")
    assert isinstance(failed, Failed) and failed.outcome == f"HTTP {trouble}"
    assert spending.requests == server.number == tries
    shown = str(failed)
    assert KEY not in shown and "[key]" in shown and "\x1b" not in shown


def test_nobody_there_is_no_connection_and_costs_nothing(tmp_path):
    (failed,), spending = ask(tmp_path, "http://127.0.0.1:9/v1", "you")
    assert failed.outcome == "no connection" and spending.tokens == 0


def test_no_more_requests_at_once_than_allowed(tmp_path):
    with serving(lambda n: "slow", lambda prompt: ("x" * 2000, "stop")) as server:
        answers, _ = ask(tmp_path, server.url, *map(str, range(12)), concurrency=3)
        assert server.most <= 3 and len(answers) == 12


def test_a_key_that_comes_back_is_hidden(tmp_path):
    with serving(reply=lambda prompt: (f"your key is {KEY}", "stop")) as server:
        (answer,), _ = ask(tmp_path, server.url, "you")
    assert answer.text == "your key is [key]" and server.keys == {f"Bearer {KEY}"}


@pytest.mark.parametrize("cap", [Cap(requests=5), Cap(tokens=900)])
def test_the_cap_holds_whatever_comes(tmp_path, cap):
    with serving(lambda n: ("500", "", "half")[n % 3], hello) as server:
        done, spending = ask(
            tmp_path, server.url, *"abcdefghijkl", cap=cap, max_tokens=100, concurrency=4
        )
        assert any(isinstance(one, CapReached) for one in done)
        assert cap.requests in (0, spending.requests) and server.number == spending.requests
        assert not cap.tokens or cap.tokens - 110 < spending.tokens <= cap.tokens


def test_the_cap_holds_over_starts(tmp_path):
    journal = Journal(tmp_path)
    journal.write({"event": "sent", "request": 1, "worst": 500})
    journal.write({"event": "paid", "request": 1, "tokens": 40, "outcome": "answered"})
    journal.write({"event": "sent", "request": 2, "worst": 500})
    spending = Spending(Cap(), journal)
    for one in journal.events():
        spending.replay(one)
    spending.replayed()
    assert (spending.requests, spending.tokens) == (2, 540)
    assert sum(spending.outcomes.values()) == 2


def test_a_torn_line_goes_and_what_is_damaged_is_said(tmp_path):
    journal = Journal(tmp_path)
    journal.write({"event": "a"})
    journal.close()
    with open(journal.path, "ab") as file:
        file.write(b'{"event": "hal')
    again = Journal(tmp_path)
    again.write({"event": "b"})
    assert [one["event"] for one in again.events()] == ["a", "b"]
    again.close()
    journal.path.write_bytes(b'{"event"\n{"event": "b"}\n')
    with pytest.raises(InputError, match="line 1"):
        list(Journal(tmp_path).events())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"base_url": "localhost:8000"}, "is no address"),
        ({"base_url": f"http://user:{KEY}@host/v1"}, "holds a key"),
        ({"base_url": f"http://host/v1?key={KEY}"}, "holds a key"),
        ({"concurrency": 0}, "concurrency = 0"),
        ({"timeout": -1.0}, "timeout = -1"),
        ({"temperature": -1.0}, "temperature = -1.0"),
        ({"top_p": 0.0}, "top_p = 0.0"),
        ({"length_field": "tokens"}, "LENGTH_FIELD"),
        ({"key_env": "POLYLM_NO_SUCH_VARIABLE"}, "POLYLM_NO_SUCH_VARIABLE isn't set"),
    ],
)
def test_bad_settings_are_refused_without_the_key(options, said):
    with pytest.raises(InputError, match=said) as error:
        Endpoint("m", **options).key()
    assert KEY not in str(error.value)


def test_a_key_that_is_none_is_refused_unseen(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-ключ value")
    with pytest.raises(InputError, match="can't be a key") as error:
        Endpoint("m").key()
    assert "ключ" not in str(error.value)
    monkeypatch.delenv("OPENAI_API_KEY")
    assert Endpoint("m", "http://localhost:1/v1").key() == "none"
