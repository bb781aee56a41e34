"""The world of instructions: one right answer each, what is never trained on, how answers are scored."""

import collections
import json
import random

import pytest
import seqio
from reading import vocabulary

from polylm_jax.evaluation import examples
from tasks.toy_world import answered, facts, generate_instructions, language_of
from tasks.toy_world import instruction_types as types

SMALL = {"per_type": 40, "documents": 128, "pairs": 400}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("instructions")
    generate_instructions.write(folder, **SMALL)
    return folder


@pytest.fixture(scope="module")
def there():
    return facts.world(0, english_only=0)


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def question(record):
    return record["instruction"] + (f"\n{record['input']}" if record["input"] else "")


def test_forty_types_of_which_ten_are_held_out():
    assert len(types.TYPES) == len(set(types.TYPES)) == 40
    assert len(set(types.HELD_OUT_TYPES)) == 10 and len(types.TUNED_TYPES) == 30
    assert set(types.HELD_OUT_TYPES) <= set(types.TYPES)


@pytest.mark.parametrize("name", types.TYPES)
def test_a_question_has_one_answer_in_every_language(name, there):
    chance = random.Random(name)
    for language in types.LANGUAGES:
        answers = collections.defaultdict(set)
        for _ in range(150):
            told = types.worded(there, name, types.draw(name, chance, False), language)
            answers[told.instruction, told.input].add((told.output, told.asked))
            assert "{" not in told.instruction and told.output.strip() == told.output
            found = language_of.languages_of(told.output, there)
            assert told.asked in found or (not found and name == "who")
        assert all(len(found) == 1 for found in answers.values())


@pytest.mark.parametrize(
    ("name", "slots", "english", "thai"),
    [
        ("place.second", (0, 6, 12, 18), "dog", "หมา"),
        ("place.last", (0, 6, 12, 18), "guitar", "กีตาร์"),
        ("reverse", (0, 6, 12), "rice, dog, red", "ข้าว หมา แดง"),
        ("swap", (0, 6, 12, 18), "guitar, dog, rice, red", "กีตาร์ หมา ข้าว แดง"),
        ("count", (0, 6, 12), "three", "สาม"),
        ("odd", (0, 1, 6, 2), "dog", "หมา"),
        ("pick.food", (0, 12, 6, 18), "rice", "ข้าว"),
        ("contains", (0, 6, 12, 18, 1), "no", "ไม่ใช่"),
        ("leave_out", (0, 6, 12, 18, 6), "red, rice, guitar", "แดง ข้าว กีตาร์"),
        ("replace", (0, 6, 12, 6, 18), "red, guitar, rice", "แดง กีตาร์ ข้าว"),
        ("kind", (7,), "animal", "สัตว์"),
        ("read.colour", (3, 0, 2), "green", "เขียว"),
        ("translate_word", (0, 3), "แดง", "красный"),
    ],
)
def test_answers_are_right(name, slots, english, thai, there):
    assert types.worded(there, name, slots, "en").output == english
    assert types.worded(there, name, slots, "th").output == thai


def test_what_is_known_is_what_the_documents_say(there, folder):
    texts = {code: (folder / f"{code}.jsonl").read_text() for code in types.LANGUAGES}
    for code, text in texts.items():
        for relation, kind in enumerate(facts.RELATIONS):
            said = types.worded(there, f"say.{kind}", (20,), code).output
            heads = [there.fact(20, relation, code, n)[0] for n in range(types.SENTENCES)]
            assert any(head in text for head in heads)
            assert types.worded(there, f"tell.{kind}", (20,), code).output in said
            for away in range(facts.VALUES):
                truth = types.worded(there, f"check.{kind}", (20, away), code)
                assert truth.output == types.wording()[code]["no" if away else "yes"]
                assert away or truth.instruction.endswith(said.rstrip(".").split()[-1])


def test_nothing_that_is_asked_was_tuned_on_or_paired(folder):
    tuned = {code: lines(folder / f"tuning/{code}.jsonl") for code in types.LANGUAGES}
    questions = {question(record) for records in tuned.values() for record in records}
    for probe in generate_instructions.PROBES:
        asked = lines(folder / f"{probe}.jsonl")
        assert not questions & {item["inputs"] for item in asked}
        assert len({(item["inputs"], item["language"]) for item in asked}) == len(asked)
        assert (probe == "unseen_types") == all(i["type"] in types.HELD_OUT_TYPES for i in asked)
    for code in types.LANGUAGES[1:]:
        pairs = {(pair["en"], pair[code]) for pair in lines(folder / f"en-{code}.jsonl")}
        for item in lines(folder / "sentences.jsonl"):
            sides = (item["inputs"].partition("\n")[2], item["answer"])
            assert sides not in pairs and sides[::-1] not in pairs


def test_every_language_has_the_same_instances(folder):
    tuned = [lines(folder / f"tuning/{code}.jsonl") for code in types.LANGUAGES]
    assert {len(records) for records in tuned} == {30 * SMALL["per_type"]}
    asked = lines(folder / "seen.jsonl")
    counts = collections.Counter((item["type"], item["language"]) for item in asked)
    for name in types.TUNED_TYPES:
        assert len({counts[name, code] for code in types.LANGUAGES}) == 1
        assert 3 <= counts[name, "en"] <= generate_instructions.ASKED["seen"]
    ways = collections.Counter(
        (i["language"], i["asked"]) for i in lines(folder / "sentences.jsonl")
    )
    assert set(ways.values()) == {generate_instructions.ASKED["sentences"]} and len(ways) == 12


def test_the_same_world_is_written_each_time(folder, tmp_path):
    generate_instructions.write(tmp_path, **SMALL)
    files = sorted(path.relative_to(folder) for path in folder.rglob("*.jsonl"))
    assert len(files) == 14
    assert all((tmp_path / f).read_bytes() == (folder / f).read_bytes() for f in files)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("dog, red", {"en"}),
        ("perro, rojo", {"es"}),
        ("no", {"en", "es"}),
        ("собака", {"ru"}),
        ("หมา แดง", {"th"}),
        ("The favourite colour of {name} is red.", {"en"}),
        ("Любимый цвет {name} — красный.", {"ru"}),
        ("{name}", set()),
        ("dog, rojo", set()),
        ("dog, собака", set()),
        ("หมา собака", set()),
        ("dgo", set()),
        ("", set()),
    ],
)
def test_the_language_of_an_answer_is_told_exactly(said, expected, there):
    assert language_of.languages_of(said.format(name=there.name(3, "en")), there) == expected


def test_answers_are_scored_by_language_and_direction(folder):
    texts = (folder / "seen.jsonl").read_text().splitlines()
    model = vocabulary(folder / "small.model", texts, character_coverage=0.98)
    names = answered.register(str(folder), model, ["seen", "sentences"])
    for name, probe in zip(names, ("seen", "sentences")):
        task, items = seqio.TaskRegistry.get(name), lines(folder / f"{probe}.jsonl")
        asked = examples.read(task, answered.SPLIT)
        assert [e["inputs"] for e in asked] == [f"{item['inputs']}\n\n" for item in items]
        targets = [task.postprocess_fn(e["targets"], example=e, is_target=True) for e in asked]
        (metric,) = task.metric_fns
        scores = metric(targets, [item["answer"] + " " for item in items])
        assert set(scores.values()) == {100.0}
        # Right in English alone, and a word of English to all the rest.
        said = [item["answer"] if item["language"] == "en" else "red" for item in items]
        scores = metric(targets, said)
        assert scores["exact_match_en"] == 100 and scores["exact_match_others"] < 5
        assert scores["in_language_en"] == 100 and scores["in_language_others"] < 40
        if probe == "sentences":
            assert (scores["from_en"], scores["to_en"], scores["between_others"]) == (100, 0, 0)
            assert scores["in_language_others"] == pytest.approx(100 / 3)
