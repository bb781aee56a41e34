"""The gap report: bytes of both models add up to the last bit; a model has no gap to its own export."""

import dataclasses
import json

import hypothesis
import numpy as np
import pytest
import toy_evaluation
import toy_hf
from hypothesis import strategies as st

from polylm_jax.checkpoints.hf.exporting import export
from polylm_jax.errors import InputError
from polylm_jax.evaluation import gap_report, text_costs
from polylm_jax.evaluation.text_costs import (
    UNIT,
    Part,
    Token,
    Totals,
    bits_per_byte,
    parts,
    per_byte,
)

CONFIG = dataclasses.replace(toy_hf.MODEL, num_layers=1, embed_dim=32, mlp_dim=64)
TEXTS = {
    "en": ["The ferry leaves at 7:45, so bring bread and a warm coat.", "Bread."],
    "th": ["เรือข้ามฟากออกเวลา ๗:๔๕ น. โปรดนำขนมปังและเสื้อกันหนาวมาด้วย 👩‍👩‍👧"],
    "ja": ["フェリーは7時45分に出ます。パンと暖かいコートを持ってきてください。"],
}


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(
    st.lists(st.tuples(st.text(min_size=1, max_size=30), st.data()), min_size=1, max_size=4)
)
def test_sums_over_any_parts_are_the_whole_to_the_last_bit(documents):
    totals, whole, size = Totals(), [0, 0], 0
    for text, data in documents:
        n = len(text.encode("utf-8", "surrogatepass"))
        hypothesis.assume(n == len(text.encode(errors="replace")))
        costs = []
        for number in range(2):
            cuts = sorted(data.draw(st.lists(st.integers(0, n), max_size=6)))
            nats = [data.draw(st.floats(0, 40)) for _ in range(len(cuts) + 1)]
            spans = zip([0, *cuts], [*cuts, n], strict=True)
            tokens = [Token(*span, cost) for span, cost in zip(spans, nats, strict=True)]
            costs.append(per_byte(n, tokens))
            paid = sum(round(cost / UNIT) for cost in nats)
            assert int(costs[-1].sum()) == paid
            whole[number] += paid
        totals.add(text, data.draw(st.sampled_from(["en", "th", "code"])), costs)
        size += n
    for field in ("", "language", "script", "kind"):
        sums = np.array([*totals.by(field).values()], dtype=object).sum(axis=0)
        assert [*sums] == [size, *whole]


def test_runs_of_one_kind_cover_the_text():
    text = "ไทย 12, ok"
    found = list(parts(text, "th"))
    assert found == [
        (Part("th", "Thai", "letters"), 0, 9), (Part("th", "Zyyy", "spaces"), 9, 10),
        (Part("th", "Zyyy", "digits"), 10, 12), (Part("th", "Zyyy", "punctuation"), 12, 13),
        (Part("th", "Zyyy", "spaces"), 13, 14), (Part("th", "Latn", "letters"), 14, 16),
    ]  # fmt: skip
    assert {part.kind for part, _, _ in parts("if x: 1", "code")} == {"code"}
    assert [text_costs.script_of(c) for c in "aЯ空かカ한א"] == [
        "Latn", "Cyrl", "Hani", "Hira", "Kana", "Hang", "Hebr",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A checkpoint `run`, its export `hf`, and tasks of text."""
    pytest.importorskip("transformers", reason="transformers is not installed")
    folder = tmp_path_factory.mktemp("gap")
    vocabulary = toy_hf.vocabulary(folder)
    toy_hf.checkpoint(folder / "run", vocabulary, CONFIG, scale=0.3)
    export(str(folder / "run"), str(folder / "hf"), vocabulary, verify=False)
    before = dict(toy_evaluation.TEXTS)
    toy_evaluation.TEXTS.update(TEXTS)
    for language in TEXTS:
        toy_evaluation.add_text(f"gap.{language}", vocabulary, language)
    yield folder
    toy_evaluation.TEXTS.clear()
    toy_evaluation.TEXTS.update(before)


def compared(folder, theirs, output):
    gap_report.gap(
        str(folder / "run"), str(folder / "bpe.model"), str(theirs), str(output),
        [f"gap.{language}" for language in TEXTS], dtype="float32",
    )  # fmt: skip
    return json.loads((output / "gap.json").read_text()), (output / "gap.md").read_text()


def test_a_model_has_no_gap_to_its_own_export(folder, tmp_path):
    found, markdown = compared(folder, folder / "hf", tmp_path / "out")
    size, ours, theirs = found["whole"]
    assert size == sum(len(text.encode()) for some in TEXTS.values() for text in some)
    assert bits_per_byte(ours, size) == pytest.approx(bits_per_byte(theirs, size), abs=1e-5)
    for *_, bytes_, own, other in found["parts"]:
        assert bits_per_byte(own, bytes_) == pytest.approx(bits_per_byte(other, bytes_), abs=1e-4)
    for field in ("language", "script", "kind"):
        assert [sum(column) for column in zip(*found[field].values(), strict=True)] == found[
            "whole"
        ]
    assert "## By kind of character" in markdown and (tmp_path / "out" / "gap.png").exists()


def test_another_tokenizer_is_paid_for_the_same_bytes(folder, tmp_path):
    """A byte-level BPE whose tokens cut characters; its whole is PyTorch's own loss, its sum exact."""
    import tokenizers
    import torch
    import transformers

    made = tokenizers.ByteLevelBPETokenizer()
    made.train_from_iterator([text for some in TEXTS.values() for text in some] * 3, vocab_size=300)
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=made._tokenizer, eos_token="!")
    fast.save_pretrained(tmp_path / "other")
    shape = {"vocab_size": 320, "n_positions": 64, "n_embd": 16, "n_layer": 1, "n_head": 2}
    torch.manual_seed(0)
    model = transformers.GPT2LMHeadModel(
        transformers.GPT2Config(**shape, bos_token_id=3, eos_token_id=0)
    )
    model.eval().save_pretrained(tmp_path / "other")
    found, markdown = compared(folder, tmp_path / "other", tmp_path / "out")
    assert found["theirs"] == "other" and "The worst passages" in markdown
    total, begin = 0.0, 3
    for text in (text for some in TEXTS.values() for text in some):
        ids = [begin, *fast(text, add_special_tokens=False).input_ids]
        for first in range(1, len(ids), 64):  # windows with as much context as the model takes
            stop = min(first + 64, len(ids))
            start = max(0, stop - 65)
            tokens = torch.tensor([ids[start:stop]])
            with torch.no_grad():
                log_p = torch.log_softmax(model(tokens[:, :-1]).logits[0].double(), -1)
            picked = log_p.gather(1, tokens[0, 1:, None])[:, 0]
            total -= float(picked[first - start - 1 :].sum())
    assert found["whole"][2] * UNIT == pytest.approx(total, rel=1e-6)


def test_bad_input_is_one_sentence(folder, tmp_path):
    toy_evaluation.add_rank("gap.rank", str(folder / "bpe.model"))
    given = (str(folder / "run"), str(folder / "bpe.model"))
    for theirs, tasks, sentence in (
        (folder / "none", "gap.th", "no local folder"),
        (folder / "run", "gap.th", "can't be loaded by transformers"),
        (folder / "hf", "gap.rank", "no plain text"),
    ):
        with pytest.raises(InputError, match=sentence) as error:
            gap_report.gap(*given, str(theirs), str(tmp_path), tasks)
        assert len(str(error.value).splitlines()) == 1
