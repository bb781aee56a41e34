"""Pairs of answers: what is read, how they stand in a store and in rows, how language pairs are made."""

import itertools
import json

import numpy as np
import pytest
from toy_tasks import model

from polylm_jax.data.mixture.schedule import Phase, Schedule
from polylm_jax.data.packed_rows import PackedRows
from polylm_jax.data.preference_rows import Pairs, PreferenceRows
from polylm_jax.data.stores.build import build_store
from polylm_jax.data.stores.store import TokenStore
from polylm_jax.errors import InputError, Refusal
from polylm_jax.text import task_text
from polylm_jax.tokenizer.tokenizer import Tokenizer
from tasks.instructions import language_pairs, preferences
from tasks.instructions.preferences import pair

ASKED, GOOD, BAD = ("user", "¿Qué es?"), ("assistant", "Un gato."), ("assistant", "A cat.")


def turns(*messages):
    return [{"role": role, "content": said} for role, said in messages]


LAYOUTS = {
    "text": {"prompt": ASKED[1], "chosen": GOOD[1], "rejected": BAD[1]},
    "messages": {"prompt": turns(ASKED), "chosen": turns(GOOD), "rejected": turns(BAD)},
    "whole conversations": {"chosen": turns(ASKED, GOOD), "rejected": turns(ASKED, BAD)},
    "both": {"prompt": ASKED[1], "chosen": turns(ASKED, GOOD), "rejected": turns(ASKED, BAD)},
    "a question": {"question": ASKED[1], "chosen": GOOD[1], "rejected": BAD[1]},
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_is_the_same_pair(name):
    found = pair({**LAYOUTS[name], "score": 3})
    assert found.messages == [[ASKED, GOOD], [ASKED, BAD]] and found.unread == ("field 'score'",)
    found = pair({**LAYOUTS[name], "system": "Sé breve."})
    assert [one[0] for one in found.messages] == [("system", "Sé breve.")] * 2 and not found.unread


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"prompt": "a", "chosen": "b"}, "no field 'rejected'"),
        ({"prompt": "a", "chosen": "b", "rejected": "b"}, preferences.SAME),
        ({"prompt": "a", "chosen": "b", "rejected": 3}, "field 'rejected' is neither text nor messages"),
        ({"chosen": "b", "rejected": "c"}, "the roles of 'chosen' are ['assistant']"),
        (
            {"chosen": turns(ASKED, GOOD), "rejected": turns(("user", "x"), BAD)},
            "chosen and rejected don't begin with the same question",
        ),
    ],
)  # fmt: skip
def test_what_is_no_pair_says_why(record, reason):
    found = pair(record)
    assert found.startswith(reason) and isinstance(found, Refusal) == (reason == preferences.SAME)


RECORDS = [
    {"prompt": f"¿{n} y dos?", "chosen": f"Son {n + 2}, creo.", "rejected": "It is a number." * (1 + n % 3)}
    for n in range(12)
]  # fmt: skip
LONG = {
    "chosen": turns(ASKED, GOOD, ("user", "¿Y?"), ("assistant", "Sí.")),
    "rejected": turns(ASKED, GOOD, ("user", "¿Y?"), ("assistant", "Yes.")),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(store, tokenizer, name of the task) of the pairs, LONG among them."""
    folder = tmp_path_factory.mktemp("pairs")
    vocabulary = model(folder)
    lines = [
        json.dumps(one)
        for one in [*RECORDS, LONG, {**RECORDS[0], "rejected": RECORDS[0]["chosen"]}]
    ]
    (folder / "es.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (name,) = preferences.register(str(folder), vocabulary, {"es": "es.jsonl"}, name="pairs", held_out=0.0)  # fmt: skip
    tokenizer = Tokenizer.load(vocabulary)
    build_store(task_text.find(name), str(folder / "store"), tokenizer)
    return TokenStore.open(str(folder / "store")), tokenizer, name


def rows_of(made, length, together=True):
    store, tokenizer, name = made
    return PreferenceRows(
        Schedule([Phase("p", {name: 1.0}, 64)]), {name: store}, length, 0, padding=tokenizer.eos_id,
        together=together, references=lambda component, split: np.arange(13, dtype=np.float32) + 1,
    )  # fmt: skip


def answers(tokenizer, tokens, weights):
    """The text of each run of labels of one sign."""
    edges = np.flatnonzero(np.diff(np.sign(weights), prepend=0, append=0))
    spans = [(a, b) for a, b in itertools.pairwise(edges) if weights[a]]
    return [(int(weights[a]), tokenizer.decode(tokens[1 + a : 1 + b].tolist())) for a, b in spans]


@pytest.mark.parametrize("together", [True, False])
def test_a_row_has_whole_pairs(made, together):
    store, tokenizer, name = made
    assert (
        store.manifest.refused == {preferences.SAME: 1}
        and store.manifest.splits["train"].documents == 13
    )
    rows = rows_of(made, 200, together)
    pairs = rows.packed[name]
    assert len(pairs.examples) == 13 and (pairs.num_rows == 13) is not together
    seen, expected = [], {(r["chosen"], r["rejected"]) for r in RECORDS} | {("Sí.", "Yes.")}
    for row in range(pairs.num_rows):
        found = pairs.rows(np.array([row]), 200, tokenizer.eos_id, rows.references(name, "train"))
        tokens, weights = found["tokens"][0], found["weights"][0]
        said = answers(tokenizer, tokens, weights)
        assert [sign for sign, _ in said] == [1, -1] * (len(said) // 2)
        ends = tokens[1:][weights != 0] == tokenizer.eos_id
        assert ends.sum() == len(said)  # each answer's end is learned
        seen += [(a.strip(), b.strip()) for (_, a), (_, b) in zip(said[::2], said[1::2])]
        held = pairs.examples[slice(*pairs.starts[row : row + 2])]
        per_pair = np.bincount(found["pair_BL"][0], found["reference_BL"][0])[1:]
        assert per_pair.tolist() == (held + 1).tolist()
        segments, positions = found["segment_ids_BT"][0], found["positions_BT"][0]
        begins = np.flatnonzero(np.diff(segments, prepend=0) & (segments > 0))
        assert (positions[begins] == 0).all() and segments.max() == 2 * len(held)
    assert set(seen) == expected and len(seen) == 13


def test_too_long_a_pair_is_left_out_and_told(made):
    name = made[2]
    sizes = np.diff(rows_of(made, 200).packed[name].begins)
    rows = rows_of(made, int(sizes.max()) - 2)
    assert rows.packed[name].too_long == (sizes == sizes.max()).sum()
    assert any("longer than a row, left out" in one for one in rows.notes())
    assert any(f"1 left out, {preferences.SAME}" in one for one in rows.notes())


def test_a_batch_is_what_its_rows_are(made):
    name = made[2]
    rows = rows_of(made, 200)
    got = rows.inputs(np.arange(5))
    assert set(got) == {"tokens", "component", *PreferenceRows.packing}
    for n, number in enumerate(rows.located(np.arange(5))[2]):
        one = rows.packed[name].rows(
            np.array([number]), 200, rows.padding, rows.references(name, "train")
        )
        assert all((got[key][n] == values[0]).all() for key, values in one.items())


def test_pairs_are_not_taken_for_conversations(made):
    store, _, name = made
    with pytest.raises(InputError, match="tune on it with `run.py dpo`"):
        PackedRows(Schedule([Phase("p", {name: 1.0}, 4)]), {name: store}, 64, 0)


def test_a_store_of_conversations_is_no_pairs(tmp_path):
    from tasks.instructions import tuning

    vocabulary = model(tmp_path)
    (tmp_path / "d.jsonl").write_text(json.dumps({"inputs": "a", "targets": "b"}))
    (name,) = tuning.register(str(tmp_path), vocabulary, {"es": "d.jsonl"}, name="plain", held_out=0.0)  # fmt: skip
    build_store(task_text.find(name), str(tmp_path / "s"), Tokenizer.load(vocabulary))
    with pytest.raises(InputError, match="is no pairs of answers"):
        Pairs.read(TokenStore.open(str(tmp_path / "s")), "train", 32)


def instructions(folder, code, said):
    lines = [json.dumps({"instruction": f"{code} {n}?", "input": None, "output": f"{said}{'!' * n}"}) for n in range(6)]  # fmt: skip
    (folder / f"{code}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return f"{code}={folder / code}.jsonl"


@pytest.mark.parametrize("more", [[], ["--aligned"]])
def test_language_pairs_prefer_the_language_asked_in(tmp_path, more, capsys):
    files = [instructions(tmp_path, "es", "Un gato"), instructions(tmp_path, "en", "A little cat")]
    assert language_pairs.main([str(tmp_path / "out"), *files, *more]) == 0
    assert "es.jsonl: 6 pairs" in capsys.readouterr().out
    for code, own, other in (("es", "Un gato", "A little cat"), ("en", "A little cat", "Un gato")):
        found = [
            json.loads(line) for line in (tmp_path / f"out/{code}.jsonl").read_text().splitlines()
        ]
        assert [one["chosen"] for one in found] == [own + "!" * n for n in range(6)]
        assert len({one["rejected"] for one in found}) == 6
        assert all(one["rejected"].startswith(other) for one in found)
        if more:
            assert [one["rejected"] for one in found] == [other + "!" * n for n in range(6)]
    with pytest.raises(SystemExit) as left:
        language_pairs.main([str(tmp_path / "out"), files[0]])
    assert left.value.code == 2
