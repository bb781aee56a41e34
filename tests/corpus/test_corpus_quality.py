"""Quality models trained on a small gold sample, and language identification with both libraries."""

import random

import numpy as np
import pytest
import toy_corpus

from polylm_jax.corpus import ngram_model, quality
from polylm_jax.corpus.language_id import Identifier
from polylm_jax.corpus.perplexity import Perplexity, given_model
from polylm_jax.errors import InputError

NEED = "pip install -r requirements-corpus.txt"


def shuffled(text: str, rng: random.Random) -> str:
    """The same words, or characters where no spaces stand, in an order that says nothing."""
    lines = []
    for line in text.split("\n"):
        words = line.split() if " " in line else list(line)
        rng.shuffle(words)
        lines.append((" " if " " in line else "").join(words))
    return "\n".join(lines)


def world(tmp_path, code: str, classifier: str, perplexity: bool) -> dict:
    """A crawl half of which is good text and half the same, shuffled; gold is other good text."""
    rng = random.Random(0)
    good = random.Random(1).sample(toy_corpus.pieces(code), 190)
    crawl = [{"id": f"good{n}", "text": text} for n, text in enumerate(good[:30])]
    crawl += [{"id": f"bad{n}", "text": shuffled(text, rng)} for n, text in enumerate(good[:30])]
    toy_corpus.write_jsonl(tmp_path / "crawl.jsonl", crawl)
    toy_corpus.write_jsonl(tmp_path / "gold.jsonl", [{"text": text} for text in good[30:]])
    return toy_corpus.clean(tmp_path, {"crawl": "crawl.jsonl"}, gold={code: "gold.jsonl"},
                            classifier=classifier, perplexity=perplexity, gold_kept=0.9,
                            minhash_bands=1, minhash_rows=50, min_confidence=0.0,
                            limits={"all": {"stop_words": (0, None), "characters": (15, None)}})  # fmt: skip


@pytest.mark.parametrize("code", ["en", "zh"])
def test_perplexity_tells_shuffled_text_from_gold(code, tmp_path):
    pytest.importorskip("kenlm", reason=NEED)
    report = world(tmp_path, code, "", True)
    kept = {row["id"] for row in toy_corpus.read(tmp_path / "out", code)}
    bad = sum(name.startswith("bad") for name in kept)
    assert bad <= 15 and len(kept) - bad >= 20
    score = report["quality"][code]["perplexity"]
    assert score["held_out_gold_kept"] >= 0.8 and score["held_out_auc"] > 0.6


@pytest.mark.parametrize("kind", ["sklearn", "fasttext"])
def test_a_classifier_is_scored_on_held_out_text(kind, tmp_path):
    if kind == "fasttext":
        pytest.importorskip("fasttext", reason=NEED)
    report = world(tmp_path, "en", kind, False)
    score = report["quality"]["en"]["classifier"]
    assert score["kind"] == kind and score["held_out_gold_kept"] >= 0.7
    assert (
        0 <= score["held_out_auc"] <= 1 and "Quality" in (tmp_path / "out/report.html").read_text()
    )


def test_the_character_model_is_a_distribution(tmp_path):
    kenlm = pytest.importorskip("kenlm", reason=NEED)
    lines = [line for n in range(20) for line in ngram_model.lines_of(toy_corpus.document("th", n))]
    ngram_model.train(lines, tmp_path / "th.arpa")
    model = kenlm.Model(str(tmp_path / "th.arpa"))
    words = {c for line in lines for c in ngram_model.spelled(line).split()} | {
        "</s>",
        "<never seen>",
    }
    for history in ("", "ตลา", "และ"):
        state, after = kenlm.State(), kenlm.State()
        model.BeginSentenceWrite(state)
        for character in history:
            model.BaseScore(state, character, after)
            state, after = after, kenlm.State()
        total = sum(10 ** model.BaseScore(state, word, kenlm.State()) for word in words)
        assert total == pytest.approx(1.0, abs=1e-3), history


def test_a_users_own_model_is_taken(tmp_path):
    pytest.importorskip("kenlm", reason=NEED)
    ngram_model.train(["the old town", "the old tower"], tmp_path / "en.arpa.bin")
    model = given_model(str(tmp_path / "{language}.arpa.bin"), "en")
    assert isinstance(model, Perplexity) and model("the old town") < model("qqq zzz")
    assert given_model(str(tmp_path / "{language}.arpa.bin"), "de") is None


def test_gold_that_is_too_little_is_refused(tmp_path):
    toy_corpus.write_jsonl(
        tmp_path / "a.jsonl", [{"text": toy_corpus.document("en", n)} for n in range(5)]
    )
    with pytest.raises(InputError, match=r"GOLD\['en'\] has 5 documents: give 20 or more"):
        toy_corpus.clean(tmp_path, {"a": "a.jsonl"}, gold={"en": "a.jsonl"}, perplexity=False)


def test_auc_by_hand():
    assert quality.auc([3, 2], [1, 0]) == 1.0
    assert quality.auc([1, 0], [1, 0]) == 0.5
    assert quality.auc([], [1]) is None
    rng = np.random.default_rng(0)
    better, worse = rng.normal(1, 1, 300), rng.normal(0, 1, 200)
    assert quality.auc(better, worse) == pytest.approx((better[:, None] > worse).mean())


def test_fasttext_and_lingua_are_compared(tmp_path):
    """A classifier of languages trained here, in lid.176's own format."""
    fasttext = pytest.importorskip("fasttext", reason=NEED)
    codes = toy_corpus.CODES
    with (tmp_path / "train.txt").open("w", encoding="utf-8") as file:
        for n in range(150):
            for code in codes:
                text = toy_corpus.pieces(code)[n % len(toy_corpus.pieces(code))]
                file.write(f"__label__{code} {' '.join(text.split())}\n")
    path = str(tmp_path / "lid.bin")
    options = {"minn": 1, "maxn": 2, "dim": 16, "epoch": 10, "lr": 0.5, "bucket": 20_000}
    for attempt in range(8):  # one training in ten or so ends in NaN
        try:
            model = fasttext.train_supervised(
                str(tmp_path / "train.txt"), thread=1, verbose=0, **options
            )
            break
        except RuntimeError:
            assert attempt < 7
    model.save_model(path)
    assert Identifier(codes, path)(toy_corpus.document("th", 18))[0] == "th"
    rows = [{"text": toy_corpus.document(code, n)} for code in codes for n in range(6, 9)]
    toy_corpus.write_jsonl(tmp_path / "crawl.jsonl", rows)
    report = toy_corpus.clean(tmp_path, {"crawl": "crawl.jsonl"}, lid_model=path, lid_compare=True)
    assert {
        code: about["both agree"] for code, about in report["notes"]["language"].items()
    } == dict.fromkeys(codes, 3)


def test_an_unwanted_language_is_not_taken_for_a_wanted_one():
    identify = Identifier(toy_corpus.CODES)
    for code in toy_corpus.CODES:
        assert identify(toy_corpus.document(code, 1))[0] == code
    assert (
        identify("Ніхто не знає, хто збудував цю вежу, але всі ми бували там із друзями.")[0]
        == "uk"
    )
    page = "# tar\n\n> Архиватор.\n\n- Создать архив из файлов:\n\n`tar cf {{target.tar}} {{file1 file2}}`"
    assert identify(page)[0] == "ru", "code doesn't decide the language around it"
