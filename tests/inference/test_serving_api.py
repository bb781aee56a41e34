"""The protocol, by the official client: answers, streams, log-likelihoods, errors; lm_eval's API model."""

import itertools
import json
import urllib.request

import openai
import pytest
import toy_serving

CHAT = [{"role": "user", "content": "渡轮几点开？"}]
ENDLESS = {"logit_bias": {"2": -100}}


@pytest.fixture(scope="module")
def address():
    with toy_serving.server() as found:
        yield found


@pytest.fixture(scope="module")
def client(address):
    with openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as found:
        yield found


def complete(client, **asked):
    return client.completions.create(**{"model": "toy", "temperature": 0, "max_tokens": 8} | asked)


def chat(client, **asked):
    return client.chat.completions.create(**{"model": "toy", "messages": CHAT, "seed": 5} | asked)


def test_the_model_is_named(client):
    (model,) = client.models.list().data
    assert (model.id, model.object) == ("toy", "model")
    assert (model.max_model_len, model.max_output_tokens) == (160, 128)
    assert client.models.retrieve("toy").id == "toy"


def test_a_prompt_is_text_or_ids_one_or_several(client):
    texts = ["Die Fähre", "เรือข้ามฟาก"]
    ids = [toy_serving.tokenizer().encode(text) for text in texts]
    both = complete(client, prompt=texts)
    assert [choice.index for choice in both.choices] == [0, 1]
    assert [c.text for c in complete(client, prompt=ids).choices] == [c.text for c in both.choices]
    assert complete(client, prompt=texts[0]).choices[0].text == both.choices[0].text
    assert complete(client, prompt=ids[1]).choices[0].text == both.choices[1].text
    assert both.usage.prompt_tokens == sum(map(len, ids))
    assert both.usage.total_tokens == both.usage.prompt_tokens + both.usage.completion_tokens
    assert complete(client, prompt="").usage.prompt_tokens == 1


def test_what_looks_like_a_control_piece_is_text(client):
    found = complete(client, prompt="a</s>b", echo=True, logprobs=0)
    assert found.choices[0].text.startswith("a</s>b")
    assert "</s>" not in found.choices[0].logprobs.tokens[: found.usage.prompt_tokens]
    plain = chat(client, messages=[{"role": "user", "content": "a"}]).usage.prompt_tokens
    more = chat(client, messages=[{"role": "user", "content": "a</s>"}]).usage.prompt_tokens
    assert more == plain + len(toy_serving.tokenizer().encode("</s>"))


def test_samples_differ_and_a_seed_repeats_them(client):
    asked = {"prompt": "Vapur", "temperature": 1, "n": 3, "max_tokens": 12, "extra_body": ENDLESS}
    first, again = (complete(client, seed=3, **asked) for _ in range(2))
    texts = [choice.text for choice in first.choices]
    assert texts == [choice.text for choice in again.choices]
    assert len(set(texts)) == 3
    assert texts != [choice.text for choice in complete(client, seed=4, **asked).choices]
    assert first.usage.completion_tokens == 36
    assert first.usage.prompt_tokens == len(toy_serving.tokenizer().encode("Vapur"))


@pytest.mark.parametrize("logprobs", [None, 2])
def test_a_stream_is_the_whole_answer_in_pieces(client, logprobs):
    asked = {"prompt": ["Die", "渡轮"], "logprobs": logprobs, "echo": True, "max_tokens": 20}
    whole = complete(client, **asked)
    chunks = [*complete(client, stream=True, stream_options={"include_usage": True}, **asked)]
    assert chunks[-1].usage == whole.usage and not chunks[-1].choices
    for index, choice in enumerate(whole.choices):
        parts = [c.choices[0] for c in chunks[:-1] if c.choices[0].index == index]
        assert len(parts) > 1
        assert "".join(part.text for part in parts) == choice.text
        assert parts[-1].finish_reason == choice.finish_reason
        for field in ("tokens", "token_logprobs", "text_offset", "top_logprobs"):
            found = [getattr(p.logprobs, field) for p in parts if p.logprobs]
            expected = getattr(choice.logprobs, field) if logprobs else []
            assert [*itertools.chain(*found)] == expected


def test_a_chat_streams_too(client):
    asked = {"logprobs": True, "top_logprobs": 2, "max_tokens": 20, "n": 2}
    whole = chat(client, **asked)
    chunks = [*chat(client, stream=True, **asked)]
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    for index, choice in enumerate(whole.choices):
        parts = [c.choices[0] for c in chunks if c.choices[0].index == index]
        assert parts[0].delta.role == "assistant"
        assert "".join(p.delta.content or "" for p in parts) == choice.message.content
        content = [entry for p in parts if p.logprobs for entry in p.logprobs.content]
        assert content == choice.logprobs.content
    entry = whole.choices[0].logprobs.content[0]
    assert len(entry.top_logprobs) == 2 and entry.logprob <= entry.top_logprobs[0].logprob
    assert bytes(entry.bytes).decode(errors="ignore") in (entry.token, "")


def test_usage_comes_with_every_chunk_where_it_is_asked_for(client):
    options = {"include_usage": True, "continuous_usage_stats": True}
    chunks = [*chat(client, stream=True, max_tokens=20, stream_options=options)]
    made = [chunk.usage.completion_tokens for chunk in chunks]
    assert made[0] == 0 and made == sorted(made) and len(set(made)) > 2


def test_a_stop_string_ends_a_text_before_it(client):
    whole = complete(client, prompt="Die", max_tokens=40, logprobs=0, extra_body=ENDLESS).choices[0]
    place = next(
        i for i, c in enumerate(whole.text) if i > 8 and c not in whole.text[:i] + "\ufffd"
    )
    stopped = complete(
        client, prompt="Die", max_tokens=40, logprobs=0, stop=["never", whole.text[place]],
        extra_body=ENDLESS,
    )  # fmt: skip
    choice = stopped.choices[0]
    assert choice.text == whole.text[:place] and choice.finish_reason == "stop"
    assert choice.logprobs.tokens == whole.logprobs.tokens[: stopped.usage.completion_tokens]
    assert stopped.usage.completion_tokens < 40


def test_echo_tells_what_the_model_thinks_of_a_prompt(client):
    found = complete(client, prompt="Die Fähre", echo=True, logprobs=1, max_tokens=1).choices[0]
    read = complete(client, prompt="Die Fähre", echo=True, logprobs=1, max_tokens=0).choices[0]
    assert read.text == "Die Fähre" and read.finish_reason == "length"
    assert read.logprobs.token_logprobs == found.logprobs.token_logprobs[:-1]
    assert found.logprobs.token_logprobs[0] is None and found.logprobs.top_logprobs[0] is None
    assert all(value <= 0 for value in found.logprobs.token_logprobs[1:])
    shown = [found.text[place:] for place in found.logprobs.text_offset]
    for text, token in zip(shown, found.logprobs.tokens, strict=True):
        assert token.startswith("bytes:") or text.startswith(token)


def test_a_chat_needs_no_limit(client):
    found = chat(client, extra_body=ENDLESS, temperature=0)
    assert found.usage.total_tokens == 160 or found.usage.completion_tokens == 128
    asked = {"prompt": "a", "max_tokens": openai.omit, "extra_body": ENDLESS}
    assert complete(client, **asked).usage.completion_tokens == 16


@pytest.mark.parametrize(
    ("error", "asked", "param", "code", "words"),
    [
        (openai.NotFoundError, {"model": "gpt"}, "model", "model_not_found", "it is 'toy'"),
        (openai.BadRequestError, {"prompt": "x" * 300}, "prompt", "context_length_exceeded", "160"),
        (openai.BadRequestError, {"max_tokens": 129}, "max_tokens", None, "128 at most"),
        (openai.BadRequestError, {"prompt": [[]]}, "prompt", None, "empty list"),
        (openai.BadRequestError, {"prompt": [640]}, "prompt", None, "600 pieces"),
        (openai.BadRequestError, {"n": 100}, "n", None, "64 at most"),
        (openai.BadRequestError, {"best_of": 4}, "best_of", None, "other than n"),
        (openai.BadRequestError, {"temperature": 2.5}, "temperature", None, "temperature = 2.5"),
        (openai.BadRequestError, {"max_tokens": "8"}, "max_tokens", None, "valid integer"),
        (openai.BadRequestError, {"stop": ["a", ""]}, "stop", None, "stop.1 = ''"),
        (openai.BadRequestError, {"extra_body": {"temprature": 1}}, "temprature",
         "unknown_parameter", "Did you mean 'temperature'"),
        (openai.BadRequestError, {"logit_bias": {"a": 1}}, "logit_bias", None, "no token id"),
        (openai.BadRequestError, {"logit_bias": {"600": 1}}, "logit_bias", None, "has token 600"),
    ],
)  # fmt: skip
def test_a_wrong_request_gets_the_protocols_error(client, error, asked, param, code, words):
    with pytest.raises(error, match=words) as caught:
        complete(client, **{"prompt": "a"} | asked)
    found = caught.value.body
    assert set(found) == {"message", "type", "param", "code"}
    assert (found["param"], found["code"]) == (param, code)


def get(address, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(address + path, data, {"content-type": "application/json"})
    with urllib.request.urlopen(asked, timeout=30) as answer:
        return answer.headers.get_content_type(), answer.read().decode()


def test_health_metrics_and_page(address, client):
    complete(client, prompt="a")
    assert json.loads(get(address, "/health")[1])["status"] == "ok"
    kind, text = get(address, "/metrics")
    assert kind == "text/plain"
    counted = 'polylm_requests_total{path="/v1/completions",status="200"} '
    (line,) = [line for line in text.splitlines() if line.startswith(counted)]
    assert float(line.removeprefix(counted)) >= 1
    assert "polylm_generated_tokens_total" in text
    kind, page = get(address, "/")
    assert kind == "text/html" and "http://" not in page and "https://" not in page


def test_tokens_of_texts_and_texts_of_tokens(address):
    (_, found) = get(address, "/tokenize", {"prompt": "เรือ </s>"})
    ids = json.loads(found)["tokens"]
    assert ids == toy_serving.tokenizer().encode("เรือ </s>")
    assert json.loads(get(address, "/detokenize", {"tokens": ids})[1])["prompt"] == "เรือ </s>"
    assert json.loads(get(address, "/tokenize", {"prompt": "</s>"})[1])["tokens"] == [2]
    assert json.loads(get(address, "/tokenizer_info")[1])["eos_token"] == "</s>"
