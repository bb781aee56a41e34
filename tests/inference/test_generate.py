"""The mode `generate`: a file of prompts, resumed after a kill; one prompt; a chat; bad input."""

import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest
import toy_generation
import toy_hf

import run
from polylm_jax.errors import InputError
from polylm_jax.inference.generation import chat, prompts
from polylm_jax.inference.generation.generate import generate
from polylm_jax.inference.generation.prompts import Options
from polylm_jax.inference.generation.text_generator import TextGenerator
from polylm_jax.model.config import PolyLMConfig
from polylm_jax.model.partitioning import MeshConfig
from polylm_jax.tokenizer.tokenizer import Tokenizer

REPO = pathlib.Path(__file__).resolve().parents[2]
MODEL = PolyLMConfig(
    num_layers=2, embed_dim=16, num_heads=2, mlp_dim=32, vocab_size=640, max_length=96,
    dtype="float32", attention="reference",
)  # fmt: skip
LINES = [
    {"prompt": "Die Fähre fährt"},
    {"id": "th", "prompt": "เรือข้ามฟาก", "max_new_tokens": 5},
    {"prompt": "", "temperature": 0.9, "samples": 2, "seed": 3},
    {"id": "chat", "messages": [{"role": "user", "content": "渡轮"}], "stop": "<|user|>"},
    {"prompt": "Vapur", "beams": 2},
]


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """Arguments of `generate` for a checkpoint with random weights, on one device."""
    folder = tmp_path_factory.mktemp("toy")
    vocabulary = toy_hf.vocabulary(folder)
    toy_hf.checkpoint(folder / "run", vocabulary, MODEL, scale=0.4)
    return {
        "checkpoint": str(folder / "run"), "vocabulary": vocabulary, "model": MODEL,
        "mesh": MeshConfig(data=8), "options": Options(max_new_tokens=20),
    }  # fmt: skip


def written(path) -> list[dict]:
    return [json.loads(line) for line in pathlib.Path(path).read_text("utf-8").splitlines()]


def ask(path: pathlib.Path, lines) -> str:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return str(path)


def test_a_file_of_prompts_becomes_a_file_of_texts(toy, tmp_path, capsys):
    asked = ask(tmp_path / "prompts.jsonl", LINES)
    generate(**toy, prompts=asked)
    found = {(line["id"], line["sample"]): line for line in written(f"{asked}.generated.jsonl")}
    assert set(found) == {("1", 0), ("th", 0), ("3", 0), ("3", 1), ("chat", 0), ("5", 0)}
    assert found["th", 0]["prompt"] == "เรือข้ามฟาก"
    assert found["th", 0]["tokens"] <= 5
    assert found["3", 0]["text"] != found["3", 1]["text"]
    assert found["chat", 0]["prompt"] == "<|user|>\n渡轮\n<|assistant|>\n"
    assert found["5", 0]["score"] < 0 and "score" not in found["1", 0]
    assert "tokens/s" in capsys.readouterr().err


def test_what_is_there_is_not_made_again_and_a_torn_line_is(toy, tmp_path, capsys):
    asked, results = ask(tmp_path / "prompts.jsonl", LINES), tmp_path / "texts.jsonl"
    generate(**toy, prompts=asked, results=str(results))
    whole = results.read_bytes()
    lines = whole.splitlines(keepends=True)
    results.write_bytes(b"".join(lines[:2]) + lines[2][: len(lines[2]) // 2])
    generate(**toy, prompts=asked, results=str(results))
    assert "2 of 6 texts are there already" in capsys.readouterr().err
    assert sorted(results.read_bytes().splitlines(keepends=True)) == sorted(lines)
    generate(**toy, prompts=asked, results=str(results))  # all are there: nothing is loaded
    other = toy | {"options": Options(max_new_tokens=19)}
    with pytest.raises(InputError, match="line 1, is not of these prompts and settings"):
        generate(**other, prompts=asked, results=str(results))


def test_after_a_kill_the_file_is_completed(toy, tmp_path):
    many = [{"prompt": f"{n} ", "temperature": 1.0, "seed": n} for n in range(64)]
    asked, results = ask(tmp_path / "prompts.jsonl", many), tmp_path / "texts.jsonl"
    script = (
        "from polylm_jax.inference.generation.generate import generate, Options, MeshConfig, PolyLMConfig\n"
        f"generate(**{toy!r}, prompts={asked!r}, results={str(results)!r})"
    )
    child = subprocess.Popen([sys.executable, "-c", script], cwd=REPO, stderr=subprocess.DEVNULL)
    try:
        limit = time.monotonic() + 120
        while not results.exists() or results.read_bytes().count(b"\n") < 10:
            assert child.poll() is None and time.monotonic() < limit
            time.sleep(0.005)
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    before = results.read_bytes().rpartition(b"\n")[0]
    assert before.count(b"\n") < 63
    generate(**toy, prompts=asked, results=str(results))
    assert results.read_bytes().startswith(before)
    generate(**toy, prompts=asked, results=str(tmp_path / "unbroken.jsonl"))
    assert written(results) == written(tmp_path / "unbroken.jsonl")


def test_one_prompt_is_shown_as_it_comes(toy, capsys, monkeypatch):
    monkeypatch.chdir(REPO)
    arguments = [
        "generate", "--gin_file=gin_configs/models/tiny.gin",
        "--gin_file=gin_configs/runs/generate.gin",
        "--gin.CHECKPOINT='{checkpoint}'".format(**toy),
        "--gin.VOCABULARY='{vocabulary}'".format(**toy),
        "--gin.PROMPT='Prom'", "--gin.MAX_NEW_TOKENS=12",
    ]  # fmt: skip
    for field in ("num_layers", "embed_dim", "num_heads", "mlp_dim", "vocab_size", "max_length"):
        arguments.append(f"--gin.model.PolyLMConfig.{field}={getattr(MODEL, field)}")
    import gin

    gin.clear_config()
    try:
        assert run.main(arguments) == 0
    finally:
        gin.clear_config()
    shown = capsys.readouterr()
    assert "1/1 texts, 12 tokens" in shown.err
    assert len(shown.out) > 4


def test_a_chat_remembers_until_there_is_no_room(toy, monkeypatch, capsys):
    said = iter(["渡轮", "/again", "/new", "/again", "Paltò", "x" * 300, ""])
    monkeypatch.setattr("builtins.input", lambda _: next(said))
    generate(**toy)
    shown = capsys.readouterr()
    assert "Forgotten." in shown.out
    assert "/again: nothing has been said yet." in shown.err
    assert "leaves no room" in shown.err
    assert next(said, None) is None


def test_a_long_history_loses_its_oldest_turns(toy):
    assert prompts.history([("a", "b")], "{user}") == (
        "<|user|>\na\n<|assistant|>\nb\n<|user|>\n{user}\n<|assistant|>\n"
    )
    tokenizer = Tokenizer.load(toy["vocabulary"])
    decoder = toy_generation.decoder(
        MODEL, eos=(tokenizer.eos_id,), batch_size=1, pieces=tokenizer.vocab_size
    )
    generator = TextGenerator(decoder, tokenizer)
    options = Options(max_new_tokens=8)
    talk, said, kept = chat.Chat(generator, options), [], []
    for question in ("Prom", "nein", "ja", "sí", "já", "да"):
        shown = []
        before = list(talk.turns)
        answer, forgotten = talk.answer(question, shown.append)
        (asked,) = options.prompts(prompts.history(before[forgotten:], question))
        ((_, expected),) = generator.texts([dataclasses.replace(asked, stop=("<|user|>",))])
        assert answer == expected and "".join(shown) == answer.text
        assert talk.turns == [*before[forgotten:], (question, answer.text)]
        said.append(question)
        kept.append(forgotten)
    assert kept[0] == 0 and sum(kept) > 0

    def interrupt(_):
        raise KeyboardInterrupt

    before = list(talk.turns)
    for stopped in (lambda: talk.answer("wie", interrupt), lambda: talk.again(interrupt)):
        with pytest.raises(KeyboardInterrupt):  # Ctrl-C while an answer is shown
            stopped()
        assert talk.turns == before


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"prompt": "a"', "line 1 is not JSON"),
        ('["a"]', "line 1 is not a JSON object"),
        ('{"id": 1}', 'an object with either "prompt" or "messages"'),
        ('{"prompt": 7}', "prompt = 7 is not a string"),
        ('{"prompt": "a", "temprature": 1}', "'temprature' .* Did you mean 'temperature'"),
        ('{"prompt": "a", "top_k": "4"}', "top_k = '4': give a whole number, 0 or more"),
        ('{"prompt": "a", "samples": 2}', "samples = 2 with temperature = 0 and no beams"),
        ('{"prompt": "a", "samples": 0}', "samples = 0"),
        ('{"prompt": "a", "beams": 4, "temperature": 1}', "temperature = 1 with beams = 4"),
        ('{"prompt": "a", "stop": [""]}', "stop has an empty string"),
        ('{"messages": [{"role": "assistant", "content": "a"}]}', "messages must be objects"),
        ('{"id": "x", "prompt": "a"}\n{"id": "x", "prompt": "b"}', "line 2 has the id 'x'"),
        ("", "has no line"),
    ],
)
def test_a_wrong_line_is_named(toy, tmp_path, line, words):
    asked = tmp_path / "prompts.jsonl"
    asked.write_text(line, encoding="utf-8")
    with pytest.raises(InputError, match=words):
        generate(**toy, prompts=str(asked))


def test_other_bad_input(toy, tmp_path):
    asked = ask(tmp_path / "prompts.jsonl", [{"id": "long", "prompt": "x" * 500}])
    with pytest.raises(InputError, match="prompt 'long': a prompt of .* leaves no room"):
        generate(**toy, prompts=asked)
    with pytest.raises(InputError, match="PROMPTS: '.*gone.jsonl' can't be read"):
        generate(**toy, prompts=str(tmp_path / "gone.jsonl"))
    with pytest.raises(InputError, match="PROMPTS and PROMPT are both given"):
        generate(**toy, prompts=asked, prompt="a")
    with pytest.raises(InputError, match="is not a local path"):
        generate(**toy, prompts=ask(tmp_path / "p.jsonl", LINES), results="gs://bucket/x.jsonl")
    with pytest.raises(InputError, match="has no 'checkpoints' folder"):
        generate(**toy | {"checkpoint": str(tmp_path)}, prompt="a")
    other = tmp_path / "other"
    other.mkdir()
    vocabulary = toy_hf.vocabulary(other, "unigram")
    with pytest.raises(InputError, match="the checkpoint was trained with"):
        generate(**toy | {"vocabulary": vocabulary}, prompt="a")
    with pytest.raises(InputError, match="batch_size = 3 does not divide over data x fsdp = 8"):
        generate(**toy, prompts=asked, batch_size=3)
    with pytest.raises(InputError, match="lacks {user} or {assistant}"):
        generate(**toy, turn="{user}")
