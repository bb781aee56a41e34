"""The invented world: what is stated where, what its probes ask, and that a right guess is no luck."""

import collections
import json

import pytest
import seqio
from reading import vocabulary

from polylm_jax.evaluation import examples
from tasks.toy_world import facts, generate_text, probes

LIMITS = {"documents": 640, "pairs": 640}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    generate_text.write(folder, **LIMITS)
    return folder


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def said(folder, language):
    """All that is said in a language, in documents and in pairs, aligned and shuffled."""
    texts = [line["text"] for line in lines(folder / f"{language}.jsonl")]
    for path in folder.glob("en-*.jsonl"):
        texts += [line[language] for line in lines(path) if language in line]
    return " ".join(texts)


@pytest.mark.parametrize("naming", facts.NAMES)
def test_a_quarter_of_the_facts_is_stated_in_english_alone(folder, naming):
    there = facts.world(0, naming)
    for language in facts.LANGUAGES:
        text = said(folder / naming, language)
        for entity in range(facts.ENTITIES):
            assert there.name(entity, language) in text
            stated = [
                "".join(there.fact(entity, relation, language, sentence)) in text
                for relation in range(len(facts.RELATIONS))
                for sentence in range(generate_text.SENTENCES)
            ]
            expected = language == "en" or entity >= facts.ENGLISH_ONLY
            assert any(stated) == expected and there.is_stated(entity, language) == expected


def test_names_are_shared_or_each_languages_own():
    shared, own = facts.world(0, facts.SHARED), facts.world(0, facts.OWN)
    assert shared.facts == own.facts and shared.names == own.names
    assert {shared.name(3, code) for code in facts.LANGUAGES} == {own.name(3, "en")}
    for naming, number in ((shared, 64), (own, 3 * 64)):
        names = {naming.name(e, code) for e in range(64) for code in facts.LANGUAGES}
        assert len(names) == number


def test_no_value_is_a_good_guess():
    for relation in range(len(facts.RELATIONS)):
        counts = collections.Counter(entity[relation] for entity in facts.world(0).facts)
        assert max(counts.values()) - min(counts.values()) <= 1


def test_shuffling_loses_only_the_alignment(folder):
    aligned, mixed = (lines(folder / f"own/en-th{end}.jsonl") for end in ("", ".shuffled"))
    for side in ("en", "th"):
        assert sorted(x[side] for x in aligned) == sorted(x[side] for x in mixed)
    same = sum(a == b for a, b in zip(aligned, mixed, strict=True))
    assert same < 0.05 * len(aligned)


def test_probes_ask_what_they_say(folder):
    there, texts = facts.world(0, "own"), {k: said(folder / "own", k) for k in facts.LANGUAGES}
    for name in generate_text.PROBES:
        found = lines(folder / f"own/{name}.jsonl")
        assert len(found) == (64 if name == "recall" else 128)
        for line in found:
            assert len(set(line["choices"])) == facts.VALUES
            is_known = there.is_stated(line["entity"], line["language"])
            assert is_known == (name not in ("transfer", "translate_true"))
            *context, question = f"{line['inputs']}{line['choices'][line['label']]}".split("\n")
            stands = question in texts[line["language"]]
            assert stands == (name in ("recall", "recall_other"))
            if context:  # a fact in English, true or not, and what to do with it
                assert (context[0] in texts["en"]) == (name == "translate_true")


def test_a_probe_is_scored_by_language_and_entity(folder):
    texts = [line["text"] for line in lines(folder / "own/ru.jsonl")]
    model = vocabulary(folder / "small.model", texts)
    (name,) = probes.register(str(folder / "own"), model, ["transfer"])
    task = seqio.TaskRegistry.get(name)
    asked = examples.read(task, probes.SPLIT)
    assert len(asked) == 128 * facts.VALUES and sum(e["is_correct"] for e in asked) == 128
    targets = [task.postprocess_fn(e["targets"], example=e, is_target=True) for e in asked]
    # Right in Russian alone: of every two items one is.
    right = [e["is_correct"] == ("ก" > e["inputs"][0]) for e in asked]
    (metric,) = task.score_metric_fns
    scores = metric(targets, [(0.0 if hit else -1.0, 1) for hit in right])
    assert scores["accuracy_ru"] == 100 and scores["accuracy_th"] < 50
    assert scores["accuracy"] == (100 + scores["accuracy_th"]) / 2
    assert len([name for name in scores if name.startswith("unit_")]) == facts.ENGLISH_ONLY
