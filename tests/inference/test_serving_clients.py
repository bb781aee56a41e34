"""What clients rely on: the model's own log-likelihoods, offsets, histories sent back, other sites' pages."""

import urllib.error
import urllib.request

import jax
import numpy as np
import openai
import pytest
import toy_generation
import toy_serving
from toy_vocabularies import TEXTS, train

from polylm_jax.errors import InputError
from polylm_jax.inference.serving import serve
from polylm_jax.inference.serving.logprobs import Pieces
from polylm_jax.model.network import PolyLM

SITE = "https://app.example.org"


@pytest.fixture(scope="module")
def address():
    with toy_serving.server(key="secret", origins=(SITE,)) as found:
        yield found


@pytest.fixture(scope="module")
def client(address):
    with openai.OpenAI(base_url=f"{address}/v1", api_key="secret", max_retries=0) as found:
        yield found


def test_log_likelihoods_are_the_models_own(client):
    """Of 640 rows 600 at most have a piece; the others count in the sum and are never shown."""
    asked = {"model": "toy", "echo": True, "logprobs": 5, "max_tokens": 6, "temperature": 0}
    found = client.completions.create(prompt=TEXTS[2], **asked).choices[0].logprobs
    tokenizer, config = toy_serving.tokenizer(), toy_serving.MODEL
    assert tokenizer.vocab_size < config.vocab_size
    ids = tokenizer.encode(TEXTS[2])
    model, params = PolyLM(config), toy_generation.params(config)

    def log_p(ids):
        x_BTD = model.apply({"params": params}, np.array([ids], np.int32))
        logits_BTV = model.apply({"params": params}, x_BTD, method="logits")
        return np.asarray(jax.nn.log_softmax(logits_BTV[0].astype("f")))

    for _ in range(6):
        ids.append(int(np.argmax(log_p(ids)[-1, : tokenizer.vocab_size])))
    wanted_TV = log_p(ids)
    own = [wanted_TV[place - 1, token] for place, token in enumerate(ids) if place]
    np.testing.assert_allclose(found.token_logprobs[1:], own, atol=1e-4)
    pieces = Pieces(tokenizer)
    assert found.tokens == [pieces.text(token) for token in ids]
    best = wanted_TV[-2, : tokenizer.vocab_size]
    assert max(found.top_logprobs[-1].values()) == pytest.approx(best.max(), abs=1e-4)


@pytest.mark.parametrize(
    "options",
    [{}, {"add_dummy_prefix": True}, {"add_dummy_prefix": True, "byte_fallback": False}],
)
@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_offsets_are_where_tokens_stand_in_the_text(kind, options, tmp_path):
    tokenizer = train(tmp_path, kind, **options)
    pieces = Pieces(tokenizer)
    for text in [*TEXTS, " x", "  two", "Ⅳ a", "a Ⅳ b"]:
        ids = tokenizer.encode(text)
        shown = tokenizer.decode(ids)
        offsets = [*pieces.offsets(ids), len(shown)]
        for place, token in enumerate(ids):
            part = shown[offsets[place] : offsets[place + 1]]
            known = not tokenizer.processor.is_unknown(token)
            if known and not tokenizer.processor.is_byte(token):
                said = pieces.text(token)
                assert part == (said.removeprefix(" ") if not place and options else said), text
        for cut in range(len(ids)):  # in pieces, as a stream has them
            assert pieces.offsets(ids[cut:], shown=ids[:cut]) == offsets[cut:-1]
            context = ids[:cut]  # what is continued isn't shown
            new = shown.removeprefix(tokenizer.decode(context))
            of_new = pieces.offsets(ids[cut:], context=context)
            assert of_new[0] == 0 and of_new[-1] <= len(new)
            if cut and not tokenizer.processor.is_byte(ids[cut]):
                assert [place - offsets[cut] for place in offsets[cut:-1]] == of_new


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_offsets_of_any_ids_are_where_their_text_stands(kind, tmp_path):
    """What a model makes needn't be characters: each byte of none reads U+FFFD and counts as one."""
    tokenizer = train(tmp_path, kind)
    pieces, chance = Pieces(tokenizer), np.random.default_rng(0)
    some_bytes = [n for n in range(tokenizer.vocab_size) if tokenizer.processor.is_byte(n)]
    high = some_bytes[0x80:]
    for _ in range(300):
        ids = [
            int(chance.choice(high if chance.random() < 0.7 else tokenizer.vocab_size))
            for _ in range(chance.integers(2, 12))
        ]
        offsets = [*pieces.offsets(ids), len(tokenizer.decode(ids))]
        for place, token in enumerate(ids):
            if place and not (
                tokenizer.processor.is_byte(token) and tokenizer.processor.is_byte(ids[place - 1])
            ):
                assert offsets[place] == len(tokenizer.decode(ids[:place])), ids
        assert offsets == sorted(offsets)
        for cut in range(len(ids)):
            assert pieces.offsets(ids[cut:], shown=ids[:cut]) == offsets[cut:-1]


def test_a_history_is_sent_back_as_the_client_dumps_it(client):
    asked = {"model": "toy", "max_tokens": 4, "seed": 5}
    messages = [{"role": "user", "content": "渡轮几点开？"}]
    message = client.chat.completions.create(messages=messages, **asked).choices[0].message
    dumped = message.model_dump()
    assert dumped["tool_calls"] is None and "audio" in dumped
    history = [*messages, dumped, {"role": "user", "content": "a"}]
    again = client.chat.completions.create(messages=history, **asked)
    plain = [*messages, {"role": "assistant", "content": message.content}, history[-1]]
    assert again.usage == client.chat.completions.create(messages=plain, **asked).usage
    noted = {**dumped, "tool_calls": [], "annotations": [], "reasoning_content": None}
    client.chat.completions.create(messages=[*messages, noted, history[-1]], **asked)
    with pytest.raises(openai.BadRequestError, match="tool_calls"):
        called = {**dumped, "tool_calls": [{"id": "1"}]}
        client.chat.completions.create(messages=[*messages, called, history[-1]], **asked)
    with pytest.raises(openai.BadRequestError, match="content"):
        client.chat.completions.create(messages=[{"role": "user", "content": None}], **asked)


def send(address, path, method="GET", **headers):
    """(status, headers)."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(f"{address}{path}", method=method, headers=named)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.headers


def test_pages_of_a_named_site_may_call_and_others_may_not(address):
    asks = {"access_control_request_method": "POST",
            "access_control_request_headers": "authorization,content-type"}  # fmt: skip
    status, headers = send(address, "/v1/chat/completions", "OPTIONS", origin=SITE, **asks)
    assert status == 200 and headers["access-control-allow-origin"] == SITE
    assert "authorization" in headers["access-control-allow-headers"].lower()
    # Without the key: readable there too.
    status, headers = send(address, "/v1/models", origin=SITE)
    assert status == 401 and headers["access-control-allow-origin"] == SITE
    status, headers = send(
        address, "/v1/chat/completions", "OPTIONS", origin="https://b.org", **asks
    )
    assert status == 400 and headers["access-control-allow-origin"] is None


def test_without_the_option_no_site_may_call():
    with toy_serving.server() as address:
        for method in ("GET", "OPTIONS"):
            _, headers = send(address, "/v1/models", method, origin=SITE)
            assert headers["access-control-allow-origin"] is None


@pytest.mark.parametrize(
    "origins", [["app.example.org"], ["https://a.org/x"], SITE, ["ftp://a.org"]]
)
def test_bad_origins_are_one_sentence(origins):
    with pytest.raises(InputError, match="cors_origins") as error:
        serve.serve("", "", toy_serving.MODEL, cors_origins=origins)
    assert len(str(error.value).splitlines()) == 1
