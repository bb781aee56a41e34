"""text_sample: a draw that no reading order changes, shares by alpha, held-out text never in it."""

import doctest
import itertools
import math

import pytest
import seqio
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from toy_text import DIGITS, documents, write_jsonl

from polylm_jax.errors import InputError
from polylm_jax.text import sample as text_sample
from polylm_jax.text.held_out import is_held_out
from polylm_jax.text.sample import Pool, passages, priorities, quotas
from tasks import corpus

NUMBER = itertools.count()
DEFAULTS = {
    "alpha": 0.3,
    "characters": 10**6,
    "characters_per_language": 10**6,
    "max_repeats": 1.0,
    "read_characters": 10**9,
    "seed": 0,
}


def register(folder, monolingual, bilingual=None, held_out=0.2):
    """A corpus under a name of its own, of a vocabulary that isn't there."""
    name = f"sample{next(NUMBER)}"
    return corpus.register(
        str(folder), "none.model", monolingual, bilingual, name=name, held_out=held_out
    )


def draw(tasks, progress=lambda *told: None, **options):
    return text_sample.draw(tasks, text_sample.SampleSettings(**DEFAULTS | options), progress)


STREAM = st.lists(st.tuples(st.integers(0, 2**64 - 1), st.text(min_size=1, max_size=9)))


@given(STREAM, st.integers(1, 30), st.randoms())
def test_a_pool_keeps_the_least_numbers_whatever_the_order(stream, capacity, random):
    stream = list({number: text for number, text in stream}.items())
    pool = Pool(capacity)
    random.shuffle(stream)
    for number, text in stream:
        pool.add(number, text)
    whole = "".join(text for _, text in sorted(stream))
    assert "".join(pool.take(capacity)) == whole[:capacity]
    assert "".join(pool.take(capacity // 2)) == whole[: capacity // 2]
    assert pool.characters == len(whole)


def test_priorities_are_uniform_and_depend_on_key_and_place():
    many = priorities(7, 0, 10_000)
    assert priorities(7, 500, 20) == many[500:520]
    assert len({*many, *priorities(8, 0, 10_000)}) == 20_000
    for eighth in range(8):
        share = sum(number >> 61 == eighth for number in many) / len(many)
        assert abs(share - 1 / 8) < 0.02


@given(st.text(alphabet="ab \nไ"), st.integers(1, 9))
def test_passages_are_whole_lines(text, limit):
    parts = list(passages(text, limit))
    assert "".join(parts) == text
    assert all(part for part in parts)
    assert all(part.endswith("\n") for part in parts[:-1])
    assert all(len(part) <= limit or "\n" not in part[:-1] for part in parts)


SIZES = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 10**9), min_size=1)


@given(SIZES, st.floats(0, 1), st.integers(1, 10**9), st.integers(1, 10**9))
def test_quotas_keep_to_alpha_the_cap_and_the_total(sizes, alpha, total, cap):
    limits = {language: min(size, cap) for language, size in sizes.items()}
    chosen = quotas(sizes, limits, alpha, total)
    assert all(chosen[language] <= limits[language] for language in sizes)
    most = min(total, sum(limits.values()))
    assert most - len(sizes) - 1e-6 * most <= sum(chosen.values()) <= most * (1 + 1e-9)
    free = [language for language in sizes if chosen[language] < limits[language] - 1]
    for one, other in itertools.permutations(free, 2):
        most = (sizes[one] / sizes[other]) ** alpha * (chosen[other] + 1)
        assert chosen[one] <= most * (1 + 1e-9)


def test_shares_follow_alpha(tmp_path):
    files = {
        language: write_jsonl(tmp_path / f"{language}.jsonl", documents(language, count))
        for language, count in (("en", 900), ("de", 90), ("th", 30))
    }
    tasks = register(tmp_path, files, held_out=0.0)
    for alpha in (0.0, 0.3, 0.7):
        samples = draw(tasks, alpha=alpha, characters=9000)
        taken = {language: sum(map(len, sample.train)) for language, sample in samples.items()}
        assert abs(sum(taken.values()) - 9000) <= 3
        have = {language: sample.available for language, sample in samples.items()}
        ratio = (have["en"] / have["de"]) ** alpha
        assert math.isclose(taken["en"] / taken["de"], ratio, rel_tol=0.01)
    whole = draw(tasks, characters=10**9)
    assert {code: s.available for code, s in whole.items()} == {
        code: sum(map(len, s.train)) for code, s in whole.items()
    }
    capped = draw(tasks, characters=9000, characters_per_language=2000)
    assert sum(map(len, capped["en"].train)) == 2000


def test_small_languages_are_repeated_up_to_the_limit(tmp_path):
    files = {
        language: write_jsonl(tmp_path / f"{language}.jsonl", documents(language, count))
        for language, count in (("en", 900), ("th", 3))
    }
    samples = draw(register(tmp_path, files, held_out=0.0), max_repeats=4.0)
    assert sum(map(len, samples["th"].train)) == 4 * samples["th"].available
    texts = samples["th"].train
    assert texts == texts[: len(texts) // 4] * 4


def test_held_out_text_is_never_drawn(tmp_path):
    texts = documents("en", 400)
    path = write_jsonl(tmp_path / "en.jsonl", texts)
    sample = draw(register(tmp_path, {"en": path}))["en"]
    held = {text for number, text in enumerate(texts) if is_held_out(f"en{number}", 0.2)}
    assert set(sample.held_out) == held and len(held) > 40
    assert set(sample.train) == set(texts) - held


def test_the_sample_depends_on_the_seed_and_not_on_units(tmp_path):
    path = write_jsonl(tmp_path / "en.jsonl", documents("en", 300))
    tasks = register(tmp_path, {"en": path})
    first = draw(tasks, characters=3000)["en"]
    assert draw(tasks, characters=3000)["en"] == first
    assert draw(tasks, characters=3000, seed=1)["en"] != first


def test_reading_stops_at_the_limit(tmp_path):
    path = write_jsonl(tmp_path / "en.jsonl", documents("en", 2000))
    source = {"paths": path, "unit_bytes": 20_000}
    tasks = register(tmp_path, {"en": source}, held_out=0.0)
    told = []
    whole = draw(tasks)["en"].available
    part = draw(tasks, read_characters=60_000, progress=lambda *line: told.append(line))["en"]
    assert 60_000 <= sum(map(len, part.train)) < 90_000 < whole
    assert part.available == pytest.approx(whole, rel=0.1)
    assert sum(line[-1] for line in told) == sum(map(len, part.train))
    _, done, units, _ = told[-1]
    assert 2 < done < units


def test_pairs_count_for_languages_without_other_text(tmp_path):
    english = write_jsonl(tmp_path / "en.jsonl", documents("en", 40))
    pairs = zip(documents("en", 60), documents("th", 60), strict=True)
    path = tmp_path / "en-th.tsv"
    rows = (f"{a}\t{b}".replace("\n", " ") for a, b in pairs)
    path.write_text("\n".join(["en\tth", *rows]) + "\n", encoding="utf-8")
    samples = draw(register(tmp_path, {"en": english}, {"en-th": str(path)}))
    assert list(samples) == ["en", "th"]
    assert set(samples["en"].train) <= set(documents("en", 40))
    thai = {text.replace("\n", " ") for text in documents("th", 60)}
    train, held_out = set(samples["th"].train), set(samples["th"].held_out)
    assert train and held_out and train | held_out <= thai and not train & held_out
    assert any(digit in "".join(samples["th"].train) for digit in DIGITS["th"])


def test_any_seqio_task_can_be_drawn_from():
    texts = {"train": documents("ko", 50), "validation": ["검증 문장"]}
    source = seqio.FunctionDataSource(
        lambda split, shuffle_files, seed=None: tf.data.Dataset.from_tensor_slices(
            {"targets": texts[split]}
        ),
        splits=list(texts),
    )
    seqio.TaskRegistry.add(
        name := f"sample{next(NUMBER)}",
        source=source,
        preprocessors=[seqio.preprocessors.tokenize, seqio.preprocessors.append_eos],
        output_features={"targets": seqio.Feature(seqio.SentencePieceVocabulary("none.model"))},
    )
    sample = draw([name])["und"]
    assert sorted(sample.train) == sorted(texts["train"])
    assert sample.held_out == ["검증 문장"]


def test_no_task_and_no_text_are_refused(tmp_path):
    with pytest.raises(InputError, match="task 'nothing' isn't registered"):
        draw(["nothing"])
    path = write_jsonl(tmp_path / "en.jsonl", [])
    with pytest.raises(InputError, match="no text|no data"):
        draw(register(tmp_path, {"en": path}))


def test_the_docstrings_examples():
    assert doctest.testmod(text_sample).failed == 0
