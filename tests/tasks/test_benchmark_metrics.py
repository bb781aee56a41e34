"""Metrics: equal to the reference libraries and formulas on cases by hand in all 18 languages."""

import math
import re
import string
from collections import Counter

import pytest
import sacrebleu as reference_bleu
from rouge_score import rouge_scorer

from polylm_jax.languages import words
from polylm_jax.languages.registry import PAPER_CODES
from tasks.metrics import answers, bits, rouge, translation
from tasks.metrics.accuracy import accuracy

# language -> (reference, prediction, words of the reference, of the prediction, shared, F1 tokens'
# overlap): a sentence and another that keeps a part of it. Counted by hand.
CASES = {
    "en": ("The cat sat on a mat.", "the cat sat outside", (6, 4, 3), 2 * 2 / 7),
    "zh": ("猫坐在垫子上。", "猫坐在外面", (6, 5, 3), 6 / 11),
    "ru": ("Кошка сидит на ковре.", "кошка сидит дома", (4, 3, 2), 4 / 7),
    "es": ("El gato está aquí.", "el gato duerme", (4, 3, 2), 4 / 7),
    "de": ("Die Katze sitzt hier.", "die Katze schläft", (4, 3, 2), 4 / 7),
    "fr": ("Le chat est assis.", "le chat dort", (4, 3, 2), 4 / 7),
    "it": ("Il gatto è qui.", "il gatto dorme", (4, 3, 2), 4 / 7),
    "pt": ("O gato está aqui.", "o gato dorme", (4, 3, 2), 4 / 7),
    "ja": ("猫は家にいる。", "猫は外だ", (6, 4, 2), 4 / 10),
    "vi": ("Con mèo ở đây.", "con mèo ngủ", (4, 3, 2), 4 / 7),
    "id": ("Kucing itu ada di sini.", "kucing itu tidur", (5, 3, 2), 4 / 8),
    "pl": ("Kot leży tutaj.", "kot leży dalej", (3, 3, 2), 4 / 6),
    "nl": ("De kat zit hier.", "de kat slaapt", (4, 3, 2), 4 / 7),
    "ar": ("القطة تجلس هنا.", "القطة تجلس هناك", (3, 3, 2), 4 / 6),
    "tr": ("Işık burada yanıyor.", "IŞIK burada değil", (3, 3, 2), 2 / 6),
    "th": ("แมวกินปลา", "แมวกินนก", (8, 7, 5), 2 * 6 / (9 + 8)),
    "he": ("החתול יושב כאן.", "החתול יושב שם", (3, 3, 2), 4 / 6),
    "ko": ("고양이가 여기 있다.", "고양이가 여기 없다", (3, 3, 2), 4 / 6),
}


def f_measure(wanted, given, shared):
    return 100 * 2 * shared / (wanted + given)


def test_the_cases_are_the_eighteen_languages():
    assert tuple(sorted(CASES)) == tuple(sorted(PAPER_CODES))


@pytest.mark.parametrize("language", CASES)
def test_rouge_by_hand(language):
    reference, prediction, (wanted, given, shared), _ = CASES[language]
    found = rouge.rouge([reference], [prediction], language)
    assert found["rouge1"] == pytest.approx(f_measure(wanted, given, shared))
    assert found["rougeL"] == pytest.approx(f_measure(wanted, given, shared))
    assert found["rouge"] == pytest.approx(sum(found[kind] for kind in rouge.KINDS) / 3)
    same = rouge.rouge([reference], [reference], language)
    assert [same[kind] for kind in rouge.KINDS] == [100, 100, 100]


def test_rouge_is_rouge_scores_on_words_of_a_to_z():
    pairs = [
        ("The quick brown fox, it jumped!", "the fox jumped over 2 dogs"),
        ("a b c d e", "e d c b a"),
        ("nothing", "in common"),
    ]
    scorer = rouge_scorer.RougeScorer(rouge.KINDS)
    for reference, prediction in pairs:
        theirs = scorer.score(reference, prediction)
        ours = rouge.rouge([reference], [prediction])
        for kind in rouge.KINDS:
            assert ours[kind] == pytest.approx(100 * theirs[kind].fmeasure)
    thai = scorer.score("แมวกินปลา", "แมวกินปลา")["rouge1"].fmeasure
    assert thai == 0.0, "rouge-score reads Thai by now: drop polylm_jax/languages/words.py"


def test_the_best_of_several_references_counts():
    found = rouge.rouge([["no", "the cat sat"], "a dog"], ["the cat sat", "the dog"])
    assert (found["rouge1"], found["rouge2"]) == (75, 50)
    found = answers.answers([["no", "cat sat"], ["dog"]], ["The cat sat!", "a fish"])
    assert found == {"f1": 50, "exact_match": 50}


def squad_f1(prediction, reference):
    """The official formula of SQuAD 1.1's evaluation, over tokens between spaces."""

    def normal(text):
        text = "".join(c for c in text.lower() if c not in set(string.punctuation))
        return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split()).split()

    given, wanted = normal(prediction), normal(reference)
    shared = sum((Counter(given) & Counter(wanted)).values())
    if not shared:
        return 0.0
    return 2 * shared / (len(given) + len(wanted))


@pytest.mark.parametrize("language", CASES)
def test_squads_f1_by_hand_and_by_its_formula(language):
    reference, prediction, _, by_hand = CASES[language]
    found = answers.answers([reference], [prediction], language)
    assert found == {"f1": pytest.approx(100 * by_hand), "exact_match": 0}
    if language not in ("zh", "ja", "th"):
        assert found["f1"] == pytest.approx(100 * squad_f1(prediction, reference))
    assert answers.answers([reference], [f" {reference} "], language)["exact_match"] == 100


@pytest.mark.parametrize("language", CASES)
def test_bleu_and_chrf_are_sacrebleus(language):
    reference, prediction, _, _ = CASES[language]
    targets, predictions = [reference, reference], [prediction, reference + "\n"]
    tokenize = {"zh": "zh", "ja": "ja-mecab", "ko": "ko-mecab", "th": "char"}.get(language, "13a")
    stripped = [prediction, reference]
    theirs = reference_bleu.corpus_bleu(stripped, [targets], tokenize=tokenize).score
    assert translation.sacrebleu(targets, predictions, language=language)["bleu"] == theirs
    assert f"tok:{tokenize}" in translation.signature(language)
    theirs = reference_bleu.corpus_chrf(stripped, [targets]).score
    assert translation.chrf(targets, predictions)["chrf"] == theirs
    assert 0 < theirs < 100


def test_an_extra_that_is_missing_is_named(monkeypatch):
    def absent(trg_lang):
        raise RuntimeError(f"no tokenizer for {trg_lang}")

    monkeypatch.setattr(translation, "BLEU", absent)
    translation.scorer.cache_clear()
    try:
        assert translation.signature("ja").endswith("`pip install sacrebleu[ja]`")
        assert translation.sacrebleu(["猫"], ["猫"], language="ja") == {}
    finally:
        translation.scorer.cache_clear()


def test_words_of_scripts_without_spaces_are_graphemes():
    assert words.words("ที่นี่ 2 ABC") == ["ที่", "นี่", "2", "abc"]
    assert words.words("日本語のテキスト、GPT-4") == [*"日本語のテキスト", "gpt", "4"]
    assert words.words("ทำ ภาษา") == ["ทำ", "ภ", "า", "ษ", "า"]
    assert words.words("की snake_case") == ["की", "snake", "case"]
    assert words.words("İSTANBUL IŞIK", "tr") == ["istanbul", "ışık"]


def test_accuracy_by_sum_and_by_mean_differ():
    targets = [((4, 0), False), ((4, 1), True), ((9, 0), True), ((9, 1), False)]
    scores = [(-6.0, 3), (-7.0, 7), (-2.0, 1), (-2.0, 1)]
    found = accuracy(targets, scores)
    assert found == {"accuracy_sum": 50, "accuracy_mean": 100, "items": 2}
    with pytest.raises(ValueError, match="item 4 has no one right choice among 1"):
        accuracy(targets[:1], scores[:1])
    with pytest.raises(ValueError, match="4 targets, but 3 scores"):
        accuracy(targets, scores[:3])


def test_accuracy_takes_choices_in_any_order():
    targets = [((0, 1), True), ((0, 0), False)]
    assert accuracy(targets, [(-1.0, 1), (-1.0, 1)])["accuracy_sum"] == 0  # a tie: choice 0
    assert accuracy(targets, [(-1.0, 1), (-1.5, 0)])["accuracy_sum"] == 100


def test_bits_count_bytes_and_characters():
    thai, english = bits.sizes("ไทย"), bits.sizes("abc")
    found = bits.bits([thai, english], [(-6 * math.log(2), 3), (-6 * math.log(2), 1)])
    assert found == {
        "bits_per_byte": pytest.approx(1.0),
        "bits_per_character": pytest.approx(2.0),
        "nats_per_token": pytest.approx(3 * math.log(2)),
        "items": 2,
    }
