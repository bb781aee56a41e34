"""Servers that end, send and take things in their own way: a whole answer counts however it comes."""

import json
import re
import shlex

import gin
import pytest
from chat_server import answer, plain, serving
from test_self_instruct_endpoint import DONE, ask, event, hello, key, raw  # noqa: F401
from test_self_instruct_run import make, records, seeds  # noqa: F401

import run
from polylm_jax.corpus.instructions.endpoint import OPTIONAL, Endpoint, Failed
from polylm_jax.corpus.instructions.rounds import Plan
from polylm_jax.errors import InputError
from polylm_jax.languages import registry

# finish_reason -> what it comes to, with text.
ENDINGS = {
    "stop": "stop", "STOP": "stop", "eos": "stop", "eos_token": "stop", "end_turn": "stop", "": "stop",
    None: "stop", "stop_sequence": "stop", "anything": "stop", "tool_calls": "stop",
    "length": "length", "max_tokens": "length", "MAX_TOKENS": "length", "model_length": "length",
    "content_filter": "content_filter", "SAFETY": "content_filter",
}  # fmt: skip


@pytest.mark.parametrize("reason", ENDINGS)
@pytest.mark.parametrize("trouble", ["", "plain"])
def test_a_whole_answer_counts_whatever_its_end_is_called(tmp_path, reason, trouble):
    with serving(lambda n: trouble, lambda prompt: (f"hello {prompt}", reason)) as server:
        (got,), spending = ask(tmp_path, server.url, "you")
    assert (got.text, got.finish) == ("hello you", ENDINGS[reason])
    assert spending.requests == 1 and spending.tokens == got.tokens > 0


def choice(text, reason=None):
    return event({"index": 0, "delta": {"content": text}, "finish_reason": reason})


CUT = {
    "no reason and no last line": (choice("hel"), "cut stream"),
    "a last line within the text": (choice("\ndata: [DONE]"), "cut stream"),
    "stopped by the server": (choice("hel", "abort") + DONE[-16:], "ended with 'abort'"),
    "no text": (choice("", "tool_calls") + b"data: [DONE]\n\n", "no text"),
    "half of plain JSON": (json.dumps(plain("hello", "stop")).encode()[:-9], "not the protocol"),
    "JSON of another kind": (b'{"answer": "hello"}', "not the protocol"),
    "an error as JSON": (b'{"error": {"message": "busy"}}', "error in the answer"),
}


@pytest.mark.parametrize("name", CUT)
def test_what_is_no_whole_answer_is_asked_again(tmp_path, name):
    body, outcome = CUT[name]
    with serving(lambda n: raw(body) if n == 0 else "", hello) as server:
        (got,), spending = ask(tmp_path, server.url, "you")
    assert got.text == "hello you" and spending.outcomes == {outcome: 1, "answered": 1}


STREAMS = {
    "comments to keep it alive": b": ping\n\n"
    + choice("hello ")
    + b": ping\n\n"
    + choice("you", "eos")
    + DONE[-16:],
    "Windows' line ends": (choice("hello ") + choice("you", "stop") + DONE[-16:]).replace(
        b"\n", b"\r\n"
    ),
    "names of events": b"event: message\n" + choice("hello ") + choice("you", "") + DONE[-16:],
    "no index": event({"delta": {"content": "hello you"}, "finish_reason": "stop"}) + DONE[-16:],
    "reasoning beside": event({"index": 0, "delta": {"reasoning_content": "hm"}})
    + choice("hello you", "stop")
    + DONE[-16:],
}


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_is_read_however_it_is_written(tmp_path, name):
    with serving(lambda n: raw(STREAMS[name]), hello) as server:
        (got,), _ = ask(tmp_path, server.url, "you", attempts=1)
    assert (got.text, got.finish) == ("hello you", "stop")


@pytest.mark.parametrize("kind", ["text/event-stream", "application/json", "text/plain"])
@pytest.mark.parametrize("indent", [None, 2])
def test_plain_json_is_read_whatever_it_is_called(tmp_path, kind, indent):
    body = b"\n " + json.dumps(plain("hello\n\ndata: [DONE]\n\n", "eos"), indent=indent).encode()
    with serving(lambda n: raw(body, kind)) as server:
        (got,), spending = ask(tmp_path, server.url, "you")
    assert got.text == "hello\n\ndata: [DONE]\n\n" and spending.tokens == 40


def test_a_models_thoughts_are_no_text(tmp_path):
    parts = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "hello"}]
    body = choice(parts, "stop") + b"data: [DONE]\n\n"
    with serving(lambda n: raw(body)) as server:
        (got,), _ = ask(tmp_path, server.url, "you")
    assert got.text == "hello"


def test_an_answer_without_text_names_its_end(tmp_path):
    with serving(reply=lambda prompt: ("", "function_call")) as server:
        (failed,), _ = ask(tmp_path, server.url, "you", attempts=1)
    assert isinstance(failed, Failed) and "no text came, and finish_reason 'function_call'" in str(failed)  # fmt: skip


def test_the_endpoints_count_counts_for_what_is_refused_too(tmp_path):
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    body = choice("hel") + event({"index": 0, "delta": {}}, usage=usage)
    with serving(lambda n: raw(body)) as server:
        (failed,), spending = ask(tmp_path, server.url, "you", attempts=2)
    assert failed.outcome == "cut stream" and spending.tokens == 2 * 7


@pytest.mark.parametrize("name", OPTIONAL)
def test_a_field_that_a_server_refuses_can_be_left_out(tmp_path, name):
    def refuse(handler):
        if name in handler.server.bodies[-1]:
            body = {"error": {"message": f"Unrecognized request argument supplied: {name}"}}
            return handler.whole(400, "application/json", json.dumps(body))
        return handler.whole(200, "application/json", json.dumps(plain("hello", "stop")))

    with serving(lambda n: refuse) as server:
        (failed,), _ = ask(tmp_path, server.url, "you")
        assert f"LEAVE_OUT = ('{name}',)" in str(failed)
        (got,), _ = ask(tmp_path, server.url, "you", leave_out=(name,))
        assert got.text == "hello" and name not in server.bodies[-1]
    wanted = {"temperature", "top_p", "stream", "stream_options"} - {name}
    wanted -= {"stream_options"} if name == "stream" else set()
    assert wanted <= set(server.bodies[-1]) and "model" in server.bodies[-1]


def test_an_unknown_field_to_leave_out_is_refused():
    with pytest.raises(InputError, match="LEAVE_OUT names 'topp'.*Did you mean 'top_p'"):
        Endpoint("m", "http://localhost:1/v1", leave_out=("topp",)).key()


def test_a_length_field_that_is_refused_is_named(tmp_path):
    said = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
    body = json.dumps({"error": {"message": said}})
    with serving(lambda n: lambda h: h.whole(400, "application/json", body)) as server:
        (failed,), _ = ask(tmp_path, server.url, "you")
    assert "set LENGTH_FIELD = 'max_completion_tokens'" in str(failed)


@pytest.mark.parametrize(("reason", "trouble"), [("eos", ""), (None, ""), ("", "plain")])
def test_a_pool_from_such_a_server_is_that_of_any_other(tmp_path, seeds, reason, trouble):  # noqa: F811
    pools = {}
    for name, end, kind in (("usual", "stop", ""), ("other", reason, trouble)):
        with serving(lambda n, kind=kind: kind, lambda p, end=end: (answer(p)[0], end)) as server:
            make(server, tmp_path / name, seeds, Plan(rounds=1, first=1), languages=("es",))
        pools[name] = records(tmp_path / name, "es"), server.number
    assert pools["usual"] == pools["other"] and len(pools["usual"][0]) > 5


def test_rounds_without_yield_end_the_run(tmp_path, seeds):  # noqa: F811
    def reply(prompt):
        return answer(prompt) if "Translate" in prompt else ("Sure! What would you like?", "stop")

    with serving(reply=reply) as server:
        with pytest.raises(InputError) as error:
            make(server, tmp_path / "p", seeds, Plan(rounds=9, prompts=9, first=3), languages=("es",))  # fmt: skip
        # Five seeds, and two rounds of three prompts in place of nine.
        assert server.number == 5 + 2 * 3
        said = str(error.value)
        assert "no task for the pool (es: 6 answers, 6 times 'no task in the template')" in said
        assert len(said.splitlines()) == 1
        with pytest.raises(InputError, match="no task for the pool"):
            make(server, tmp_path / "p", seeds, Plan(rounds=9, prompts=9, first=3), languages=("es",))  # fmt: skip
        assert server.number == 5 + 2 * 3  # nothing is asked again


def test_the_docs_example_of_a_new_language_runs(
    tmp_path,
    seeds,  # noqa: F811
    monkeypatch,
):
    """`docs/self_instruct.md`'s second command as it stands there, its server this one's."""
    text = (run.REPO / "docs/self_instruct.md").read_text("utf-8")
    command = next(c for c in text.split("```") if "NEW_LANGUAGES" in c).replace("\\\n", " ")
    monkeypatch.delitem(registry.LANGUAGES, "sw", raising=False)
    for name in ("sw", "swahili"):
        monkeypatch.delitem(registry._BY_NAME, name, raising=False)

    def reply(prompt):  # in Thai, whatever it is asked in: the server has no Swahili
        text, _ = answer(re.sub("Swahili", "Thai", prompt))
        return text, "stop"

    more = [f"SEED_TASKS='{seeds}'", "ROUNDS=1", "FIRST_PROMPTS=1", "MAX_REQUESTS=40"]
    with serving(reply=reply) as server:
        words = shlex.split(command.replace("http://127.0.0.1:8000/v1", server.url))
        words = [word.replace('"pool"', f'"{tmp_path}/pool"') for word in words]
        gin.clear_config()
        try:
            code = run.main([*words[2:], *(f"--gin.{one}" for one in more)])
        finally:
            gin.clear_config()
    card = json.loads((tmp_path / "pool/card.json").read_text("utf-8"))
    assert [one["language"] for one in card["languages"]] == ["sw", "th"]
    assert registry.find("Swahili").script == "Latn"
    assert code == 2 and records(tmp_path / "pool", "th")  # Swahili's seeds were no Swahili
