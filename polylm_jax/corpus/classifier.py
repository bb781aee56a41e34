"""A linear classifier of gold text against crawl, of words and their pairs (characters without spaces)."""

import contextlib
import os
import pathlib
from collections.abc import Sequence

import numpy as np

from polylm_jax.errors import InputError
from polylm_jax.languages.registry import Language

KINDS = ("sklearn", "fasttext")
FEATURES = 1 << 18
_RATES = (0.1, 0.1, 0.05, 0.02, 0.01)


def _vectorizer(language: Language):
    from sklearn.feature_extraction.text import HashingVectorizer

    words = {"analyzer": "word", "token_pattern": r"(?u)\b\w+\b", "ngram_range": (1, 2)}
    pieces = {"analyzer": "char", "ngram_range": (1, 3)}
    chosen = words if language.spaces else pieces
    return HashingVectorizer(n_features=FEATURES, alternate_sign=False, norm="l2", **chosen)


class Sklearn:
    """Logistic regression on hashed n-grams; its file holds 2**18 weights and nothing to run."""

    def __init__(self, path: str, language: Language):
        self.language, self.vectorizer = language, _vectorizer(language)
        with np.load(path, allow_pickle=False) as saved:
            self.weights, self.bias = saved["weights"], float(saved["bias"])

    @staticmethod
    def train(path: pathlib.Path, language: Language, gold: Sequence[str], crawl: Sequence[str]):
        from sklearn.linear_model import LogisticRegression

        texts = [*gold, *crawl]
        labels = np.array([1] * len(gold) + [0] * len(crawl))
        model = LogisticRegression(C=10.0, class_weight="balanced", max_iter=200)
        model.fit(_vectorizer(language).transform(texts), labels)
        with path.open("wb") as file:
            np.savez(file, weights=model.coef_[0].astype(np.float32), bias=model.intercept_[0])

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """Probability that each text is gold, float64 [texts]."""
        scores = self.vectorizer.transform(texts) @ self.weights + self.bias
        return 1.0 / (1.0 + np.exp(-scores))


class FastText:
    """fastText's bag of words and their pairs, the paper's choice for English."""

    def __init__(self, path: str, language: Language):
        from fasttext.FastText import _FastText

        self.language, self.model = language, _FastText(path)

    @staticmethod
    def train(path: pathlib.Path, language: Language, gold: Sequence[str], crawl: Sequence[str]):
        fasttext = _imported()
        lines = path.with_suffix(".train")
        with lines.open("w", encoding="utf-8") as file:
            for label, texts in (("gold", gold), ("crawl", crawl)):
                for text in texts:
                    file.write(f"__label__{label} {_words(text, language)}\n")
        # fastText 0.9.2 runs into NaN now and then, and two trainings differ even on one thread; it
        # says when it did, and is asked again, more slowly.
        for rate in (*_RATES, None):
            if rate is None:
                raise InputError(
                    f"fastText's training ends in NaN for {language.code!r}: say 'sklearn'."
                )
            with contextlib.suppress(RuntimeError):
                options = {"wordNgrams": 2, "epoch": 25, "dim": 32, "bucket": 1 << 18, "lr": rate}
                model = fasttext.train_supervised(str(lines), thread=1, verbose=0, **options)
                break
        model.save_model(str(path))
        os.remove(lines)

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """Probability that each text is gold, float64 [texts]."""
        found = []
        for text in texts:
            labels, scores = self.model.predict(_words(text, self.language), k=2)
            found.append(dict(zip(labels, scores)).get("__label__gold", 0.0))
        return np.minimum(1.0, np.array(found, np.float64))


def _words(text: str, language: Language) -> str:
    """One line; where no spaces stand each character is a word."""
    return " ".join(text.split()) if language.spaces else " ".join("".join(text.split()))


def _imported():
    """fastText, or the sentence that says how to get it."""
    try:
        import fasttext
    except ImportError as error:
        raise InputError(
            "CLASSIFIER = 'fasttext' needs fastText: pip install fasttext-numpy2-wheel, "
            "or say 'sklearn'."
        ) from error
    return fasttext


def check(kind: str) -> None:
    """InputError where the package of a classifier is missing."""
    if kind == "fasttext":
        _imported()


CLASSES: dict[str, type[Sklearn] | type[FastText]] = {"sklearn": Sklearn, "fasttext": FastText}
