"""lm_eval's own API model against the server: log-likelihoods and texts, with its tokenizer remote."""

import types

import pytest
import toy_serving
from lm_eval.api.instance import Instance
from lm_eval.api.registry import get_model

from polylm_jax.evaluation.requests import encode_pairs
from polylm_jax.inference.serving.jobs import Job

PAIRS = [
    ("Die Fähre fährt", " um neun"), ("เรือข้ามฟาก", "ออกกี่โมง"), ("", "渡轮几点开"), ("Vapur ", "gitti"),
    ("x", "x" * 60),
]  # fmt: skip


def instances(kind, arguments):
    return [Instance(kind, {}, pair, number) for number, pair in enumerate(arguments)]


@pytest.fixture(scope="module", params=["ids", "text"])
def model(request):
    """With prompts as ids in batches, and as text one by one."""
    options = {"batch_size": 3} if request.param == "ids" else {"tokenized_requests": False}
    with toy_serving.server() as address:
        yield get_model("local-completions")(
            base_url=f"{address}/v1/completions", model="toy", max_length=160, **options
        )


def test_log_likelihoods_are_the_models(model):
    # An empty context is `</s>`, which lm_eval can send as an id and not as text.
    pairs = [pair for pair in PAIRS if pair[0] or model.tokenized_requests]
    found = model.loglikelihood(instances("loglikelihood", pairs))
    with toy_serving.engine() as engine:  # the server's is idle
        asked = encode_pairs(toy_serving.tokenizer(), pairs)
        expected = [reference(engine, *request) for request in asked]
    for (log_p, greedy), (expected_log_p, expected_greedy) in zip(found, expected, strict=True):
        assert log_p == pytest.approx(expected_log_p, abs=1e-4)
        assert greedy == expected_greedy


def reference(engine, context, continuation):
    """(log p, whether no token was likelier) from the engine's own numbers."""
    made, over = [], types.SimpleNamespace(it=False)
    ids = [*map(int, context), *map(int, continuation)]

    def deliver(one):
        made.append(one)
        over.it = one.finish is not None

    engine.submit([Job(ids, 0, prompt_log_p=True, deliver=deliver)])
    toy_serving.wait_until(lambda: over.it)
    told = made[0].prompt
    first = len(context) - 1
    greedy = told.likeliest[first:, 0].tolist() == ids[first + 1 :]
    return float(told.log_p[first:].sum()), greedy


def test_texts_end_before_their_until(model):
    asked = ("Die Fähre", {"until": ["\n\n"], "max_gen_toks": 12, "temperature": 0})
    (text,) = model.generate_until(instances("generate_until", [asked]))
    longer = ("Die Fähre", {"until": [text[3]], "max_gen_toks": 12, "do_sample": False})
    (cut,) = model.generate_until(instances("generate_until", [longer]))
    assert cut == text[: text.index(text[3])]
