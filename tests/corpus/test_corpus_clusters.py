"""What counts as the same text: signs and numbers that matter, chains, and the size of a cluster."""

import itertools

import numpy as np
import pytest
import toy_corpus

from polylm_jax.corpus import clusters, duplicates, shingles, signs

SAME = [
    ("He said: «Yes, of course!»", 'HE SAID — "yes; of course".'),
    ("1,5 mm and 1 000", "1.5 mm, and 1 000!"),
    ("• first point\n• second point", "first point\nsecond point"),
    ("温度は、高い。", "温度は 高い"),
    ("الكتاب، هنا", "الكِتاب هنا."),
]
DIFFERENT = [
    ("set it to 1.5 mm", "set it to 15 mm"),
    ("if x < 5, stop", "if x > 5, stop"),
    ("if x = 5, stop", "if x ≠ 5, stop"),
    ("it fell to -12 degrees", "it fell to 12 degrees"),
    ("it fell to −12 degrees", "it fell to +12 degrees"),
    ("a course in C", "a course in C++"),
    ("a course in C++", "a course in C#"),
    ("press + now", "press - now"),
    ("a * b", "a / b"),
    ("section 1.1", "section 11"),
    ("at 3:30", "at 330"),
    ("pages 10-12", "pages 1012"),
    ("you are coming", "you are coming?"),
    ("it costs $5", "it costs €5"),
    ("5 % of it", "5 of it"),
    ("God is now here", "God is nowhere"),
    ("٥٫١ مم", "٥١ مم"),
    ("أنت قادم؟", "أنت قادم"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_what_reads_the_same_is_an_exact_duplicate(one, other):
    spaces = not set("温度") & set(one)
    assert shingles.whole(one, spaces) == shingles.whole(other, spaces)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_what_says_something_else_is_none(one, other):
    assert shingles.whole(one) != shingles.whole(other)
    assert shingles.whole(one.upper()) != shingles.whole(f"«{other}»")


def test_without_spaces_two_numbers_stay_apart():
    assert shingles.whole("第 1 章", False) == shingles.whole("第1章", False)
    assert shingles.whole("1 5", False) != shingles.whole("15", False)
    assert len(signs.folded("")) == len(signs.folded(" — ")) == 0


BODY = (
    "the valley had {} days of frost and {} mm of rain, the mill ground {} sacks of rye, the school "
    "had {} pupils and the bridge was closed for {} days because the river rose by {} metres"
)
FIGURES = [
    BODY.format(*(str((n * k) % 97 + 3) for k in (3, 5, 7, 11, 13, 17))) for n in range(1, 9)
]
SIGNED = [f"The course for beginners is taught in {name} and takes twelve weeks; you write a game, a "
          "parser and a tool that sorts letters, and at the end there is an oral exam of half an "
          "hour in the big hall beside the old library." for name in ("C", "C++", "C#")]  # fmt: skip


def chain() -> list[str]:
    """Twelve texts, of which each has most of its sentences in common with the next."""
    said = toy_corpus.pieces("en")
    return [" ".join(said[n : n + 12]) for n in range(12)]


@pytest.fixture(scope="module")
def cleaned(tmp_path_factory):
    """Cleans figures, signs, a chain and copies under given settings, rules out of the way."""
    folder = tmp_path_factory.mktemp("clusters")
    rows = [(f"figures{n}", text) for n, text in enumerate(FIGURES)]
    rows += [(f"signs{n}", text) for n, text in enumerate(SIGNED)]
    rows += [(f"chain{n:02d}", text) for n, text in enumerate(chain())]
    story = toy_corpus.document("en", 3)
    rows += [("story", story), ("loud", story.upper()), ("again", f"«{story}»")]
    rows += [("more", story + " And so it ended."), ("more again", story + " And so it ended!")]
    toy_corpus.write_jsonl(folder / "a.jsonl", [{"id": i, "text": t} for i, t in rows])
    source = {"a": {"files": "a.jsonl", "language": "en"}}
    limits = {"all": {"stop_words": (0, None), "word_length": (0, None)}}

    def clean(**options):
        options = {"minhash_rows": 4, "shard_mb": 0.002, "limits": limits, "min_confidence": 0,
                   "languages": ("en",), "overwrite": True, **options}  # fmt: skip
        toy_corpus.clean(folder, source, **options)
        return {row["id"]: row["cluster_size"] for row in toy_corpus.read(folder / "out", "en")}

    return clean


def named(kept, name: str) -> list[str]:
    return [i for i in kept if i.startswith(name)]


def test_numbers_signs_chains_and_sizes(cleaned):
    kept = cleaned()
    assert len(named(kept, "figures")) == 8 and len(named(kept, "signs")) == 3
    assert [kept[i] for i in ("story", "loud", "again", "more", "more again") if i in kept] == [5]
    ours = [int(i[5:]) for i in named(kept, "chain")]
    assert 2 <= len(ours) < 12 and sum(kept[i] for i in named(kept, "chain")) == 12
    assert all(min(abs(n - k) for k in ours) <= 6 for n in range(12)), (
        "one went without a neighbour"
    )
    assert len(named(cleaned(minhash_chains=True), "chain")) == 1
    fewer = cleaned(minhash_numbers=False)
    assert len(named(fewer, "figures")) == 1 and fewer["figures0"] == 8


def test_a_removed_text_has_a_near_duplicate_that_stays():
    rng = np.random.default_rng(0)
    for _ in range(50):
        groups = [sorted({(0, int(n)) for n in rng.integers(0, 30, 4)}) for _ in range(12)]
        groups = [group for group in groups if len(group) > 1]
        stands = clusters.nearest(groups, None)
        shared = {p for g in groups for p in itertools.permutations(g, 2)}
        for place, first in stands.items():
            assert place == first or ((place, first) in shared and stands[first] == first)
        kept = [place for place, first in stands.items() if place == first]
        assert not any(pair in shared for pair in itertools.permutations(kept, 2))
        whole = clusters.connected(groups, None)
        assert all(whole[a] == whole[b] for a, b in shared)
        assert len(set(whole.values())) <= len(set(stands.values()))


def test_numbers_are_words_of_the_shingles_or_all_the_same():
    sets = [set(duplicates.shingled(text, "en", 5).tolist()) for text in FIGURES[:2]]
    assert not sets[0] & sets[1] or len(sets[0] & sets[1]) < 0.3 * len(sets[0])
    sets = [set(duplicates.shingled(text, "en", 5, False).tolist()) for text in FIGURES[:2]]
    assert sets[0] == sets[1]
