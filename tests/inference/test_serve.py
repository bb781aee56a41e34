"""The mode `serve`: from the command line to SIGTERM, and what it refuses before anything is read."""

import contextlib
import dataclasses
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request

import devices
import openai
import pytest
import toy_hf
import toy_serving

from polylm_jax.errors import InputError
from polylm_jax.inference.serving import chat_template
from polylm_jax.inference.serving.chat_template import ChatFormat
from polylm_jax.inference.serving.serve import KEY_VARIABLE, serve
from polylm_jax.model.partitioning import MeshConfig

MODEL = dataclasses.replace(toy_serving.MODEL, max_length=96)
REPO = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    vocabulary = toy_hf.vocabulary(folder)
    toy_hf.checkpoint(folder / "run", vocabulary, MODEL, scale=0.4)
    return {
        "checkpoint": str(folder / "run"), "vocabulary": vocabulary, "model": MODEL,
        "mesh": MeshConfig(data=8),
    }  # fmt: skip


@contextlib.contextmanager
def process(toy):
    """`run.py serve` with the toy on a port of its own -> (the process, its address)."""
    fields = ("num_layers", "embed_dim", "num_heads", "mlp_dim", "vocab_size", "max_length")
    command = [
        sys.executable, "run.py", "serve", "--gin_file=gin_configs/models/tiny.gin",
        "--gin_file=gin_configs/runs/serve.gin", "--gin.PORT=0", "--gin.ROWS=2",
        "--gin.CHECKPOINT='{checkpoint}'".format(**toy),
        "--gin.VOCABULARY='{vocabulary}'".format(**toy),
        *(f"--gin.model.PolyLMConfig.{name}={getattr(toy['model'], name)}" for name in fields),
    ]  # fmt: skip
    child = subprocess.Popen(
        command, cwd=REPO, stderr=subprocess.PIPE, text=True, env=os.environ | devices.flags(1)
    )
    try:
        said = ""
        while not (found := re.search(r"run: (http://127.0.0.1:\d+)/v1", said)):
            line = child.stderr.readline()
            assert line, said
            said += line
        yield child, found[1]
    finally:
        child.kill()
        child.wait()


def test_after_sigterm_texts_under_way_end(toy):
    with process(toy) as (child, address):
        client = openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0, timeout=180)
        asked = {"model": "run", "prompt": "Die", "max_tokens": 80, "logit_bias": {"2": -100}}
        stream = client.completions.create(stream=True, **asked)
        first, waiting = next(stream), []
        queued = [
            threading.Thread(
                target=lambda: waiting.append(client.completions.create(**asked, n=30))
            )
            for _ in range(2)
        ]
        for thread in queued:
            thread.start()
        toy_serving.wait_until(lambda: busy(address) > 40)
        child.send_signal(signal.SIGTERM)
        chunks = [first, *stream]
        assert chunks[-1].choices[0].finish_reason == "length"
        for thread in queued:
            thread.join(180)
        assert [answer.usage.completion_tokens for answer in waiting] == [2400, 2400]
        assert child.wait(180) == 0
        with pytest.raises(openai.APIConnectionError):
            client.models.list()
        assert "all texts are done" in child.stderr.read()


def busy(address):
    with urllib.request.urlopen(f"{address}/health", timeout=10) as answer:
        found = json.load(answer)
    return found["active"] + found["waiting"]


def test_bad_input_is_refused_before_the_weights_are_read(toy, monkeypatch, tmp_path):
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    with pytest.raises(InputError, match="host = '0.0.0.0' is open to others: set POLYLM_API_KEY"):
        serve(**toy, host="0.0.0.0")
    monkeypatch.setenv(KEY_VARIABLE, "two words")
    with pytest.raises(InputError, match="printable ASCII"):
        serve(**toy)
    monkeypatch.delenv(KEY_VARIABLE)
    used = pytest.raises(InputError, match=r"port = \d+ can't be listened on")
    with socket.create_server(("127.0.0.1", 0)) as taken, used:
        serve(**toy, rows=8, port=taken.getsockname()[1])
    other = toy_hf.vocabulary(tmp_path, "unigram")
    with pytest.raises(InputError, match="the checkpoint was trained with"):
        serve(**toy | {"vocabulary": other})
    for option, words in (({"rows": 0}, "rows = 0"), ({"rows": 3}, "rows|batch_size = 3"),
                          ({"chunk": 65}, "chunk = 65"), ({"max_waiting": 0}, "max_waiting = 0"),
                          ({"chat_template": "{% if %}"}, "chat_template can't be used"),
                          ({"port": 70_000}, "port = 70000")):  # fmt: skip
        with pytest.raises(InputError, match=words):
            serve(**toy | {"rows": 8} | option)


def test_a_chat_template_closes_answers_with_the_eos_id():
    tokenizer = toy_serving.tokenizer()
    closing = ChatFormat(
        "{% for m in messages %}{{ m.content }}{% if m.role == 'assistant' %}{{ eos_token }}{% endif %}"
        "{% endfor %}", tokenizer,
    )  # fmt: skip
    turns = [
        {"role": "user", "content": "a</s>"}, {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
    ]  # fmt: skip
    ids = closing.ids(turns)
    assert ids.count(tokenizer.eos_id) == 1
    place = ids.index(tokenizer.eos_id)
    assert (tokenizer.decode(ids[:place]), tokenizer.decode(ids[place + 1 :])) == ("a</s>b", "c")
    plain = ChatFormat("", tokenizer)
    assert plain.template == chat_template.TEMPLATE
    assert tokenizer.decode(plain.ids(turns)) == (
        "<|user|>\na</s>\n<|assistant|>\nb\n<|user|>\nc\n<|assistant|>\n"
    )
