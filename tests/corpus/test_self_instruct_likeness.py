"""The pool's index: what it skips could not have been alike."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from polylm_jax.corpus.instructions.likeness import Pool, rouge_l

WORDS = st.sampled_from(["a", "b", "c", "d", "e", "ก่", "水", "한", "!", "Ab"])
TEXT = st.lists(WORDS, max_size=12).map(" ".join)


@settings(max_examples=200, deadline=None)
@given(
    texts=st.lists(TEXT, max_size=12),
    asked=TEXT,
    threshold=st.sampled_from([0.2, 0.5, 0.7, 0.9, 1.0]),
)
@example(texts=["a b b b b b b b"], asked="a a", threshold=0.2)  # just the threshold
def test_the_index_finds_what_plain_comparison_finds(texts, asked, threshold):
    pool = Pool("en", threshold)
    for text in texts:
        pool.add(text)
    scores = [rouge_l(asked, text) for text in texts]
    best = max(scores, default=0.0)
    found = pool.closest(asked)
    if best >= threshold - 1e-9:
        assert found == (pytest.approx(best), scores.index(best))
    else:
        assert found is None


def test_exactly_the_threshold_is_alike():
    pool = Pool("en", 0.7)
    pool.add("a b c d e f g h i j")
    assert pool.closest("a b c d e f g x y z") == (0.7, 0)
    assert pool.closest("a b c d e f w x y z") is None


def test_a_pool_grows_while_it_is_asked():
    pool = Pool("th")
    for number in range(50):
        text = f"ข้อ {number} " + "กขคงจฉชซ"[number % 8] * 6
        assert pool.closest(text) is None or number >= 8
        pool.add(text)
        assert pool.closest(text) == (1.0, number)
    assert len(pool) == 50
