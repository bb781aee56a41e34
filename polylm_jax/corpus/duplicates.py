"""Duplicates of a language across all its sources: exact ones as folded, near ones by MinHash LSH.

datatrove's steps find and cluster them; signed here is what it would get wrong for these languages:
its normalisation takes the vowels from Thai and Hangul apart, and its words need a tokenizer each.
A text's language is part of its shingles, so one run serves all languages and none meets another.
"""

import os
from collections.abc import Iterator

import numpy as np
import xxhash
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.dedup.exact_dedup import ExactDedupConfig, ExactDedupSignature
from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupSignature
from datatrove.utils.hashing import HashConfig

from polylm_jax.corpus import characters, repetition, shingles, signs
from polylm_jax.languages.registry import LANGUAGES

_ROWS = 4096  # shingles hashed at a time: 112 hashes of each in 4 MB
_PRIME = np.uint64((1 << 61) - 1)


def curve(similarity: float, bands: int, rows: int) -> float:
    """The chance that two texts of a Jaccard similarity share a band: 1 - (1 - s^rows)^bands."""
    return 1.0 - (1.0 - similarity**rows) ** bands


def seed(language: str) -> int:
    """A number of a language's own, so that equal texts of two languages differ."""
    return xxhash.xxh3_64_intdigest(language.encode())


def shingled(text: str, code: str, n: int, numbers: bool = True) -> np.ndarray:
    """uint64: the set of n-grams of a text, of words or of as many characters; never empty.

    numbers: whether a number is a word like others; else all numbers are the same.
    """
    points = signs.folded(text) if numbers else _without_numbers(characters.folded(text))
    return shingled_of(points, code, n)


def shingled_of(points: np.ndarray, code: str, n: int) -> np.ndarray:
    """`shingled` of a text that is folded."""
    language, own = LANGUAGES[code], seed(code)
    units = shingles.units_of(points, language.spaces)[0]
    size = max(1, min(n * repetition.word_size(language), len(units)))
    return np.unique(shingles.mixed(shingles.ngrams(units, size) ^ np.uint64(own)))


def _without_numbers(points: np.ndarray) -> np.ndarray:
    """Of each run of digits, which folding made zeros, the first."""
    zero = points == ord("0")
    keep = np.ones(len(points), bool)
    keep[1:] = ~(zero[1:] & zero[:-1])
    return points[keep]


def _spaced(code: str) -> bool:
    """Whether a space changes what a text says; Korean writes many words with or without one."""
    return LANGUAGES[code].spaces and LANGUAGES[code].script != "Kore"


def _content(document: Document) -> str:
    return document.text


def exact_config() -> ExactDedupConfig:
    """64 bits: of a thousand million texts, 3 % of runs would see one pair fall together by chance."""
    return ExactDedupConfig(_content, hash_config=HashConfig(precision=64))


def minhash_config(n: int, bands: int, rows: int) -> MinhashConfig:
    """datatrove's settings; its signatures on disk are its own format, so its Rust tools read them."""
    return MinhashConfig(n, bands, rows, hash_config=HashConfig(precision=64))


class SignExact(ExactDedupSignature):
    """One hash per document, of its text as it is folded; sentence pairs count as one text."""

    def __init__(self, folder: str):
        super().__init__(folder, exact_config())

    def get_hashes(self, document: Document, index: int) -> list[tuple[int, int, int]]:
        text, language = document.text, document.metadata["language"]
        spaces = all(_spaced(code) for code in language.split("-"))
        own = shingles.whole(text, spaces) or xxhash.xxh3_64_intdigest(text.encode())
        return [(own ^ seed(language), 1, index)]

    def run(self, data: Iterator[Document], rank: int = 0, world_size: int = 1) -> None:
        os.makedirs(self.output_folder.path, exist_ok=True)
        super().run(data, rank, world_size)


class SignNear(MinhashDedupSignature):
    """MinHash signatures of the documents that are no sentence pairs, and what `Cluster` asks of each.

    about: a folder for the latter, uint64 [documents, 2] per shard: the hash of the words without
    numbers and signs, and how many exact copies went.
    """

    def __init__(self, folder: str, config: MinhashConfig, numbers: bool = True, about: str = ""):
        PipelineStep.__init__(self)  # the parent's own would load a word tokenizer per language
        from datatrove.io import get_datafolder

        self.output_folder, self.config = get_datafolder(folder), config
        self.num_hashes = config.num_buckets * config.hashes_per_bucket
        self.skip_existing_sigs = False
        self.numbers, self.about = numbers, about
        self._parameters = None
        self._document: Document | None = None
        self._points: np.ndarray | None = None
        self._known: list[tuple[int, int]] = []

    def run(self, data: Iterator[Document], rank: int = 0, world_size: int = 1) -> None:
        self._known = []
        super().run(self._remembered(data), rank, world_size)
        if self.about:
            os.makedirs(self.about, exist_ok=True)
            known = np.array(self._known, np.uint64).reshape(-1, 2)
            np.save(os.path.join(self.about, f"{rank:05d}.npy"), known)

    def _remembered(self, data: Iterator[Document]) -> Iterator[Document]:
        for document in data:
            points = signs.folded(document.text)
            self._document, self._points = document, points
            words = shingles.hash_of(signs.words(points))
            self._known.append((words, document.metadata.get("duplicate_count", 0)))
            yield document

    def get_shingles(self, text: str) -> np.ndarray:
        """uint64 [shingles, 1] of the document that is at hand; none of a sentence pair."""
        assert self._document is not None and self._points is not None
        about = self._document.metadata
        if "pair" in about:
            return np.zeros((0, 1), np.uint64)
        code, n = about["language"], self.config.n_grams
        found = (
            shingled_of(self._points, code, n) if self.numbers else shingled(text, code, n, False)
        )
        return found[:, None]

    def get_signature(self, hashes: np.ndarray) -> list[list[int]]:
        """The parent's, a few thousand shingles at a time: a book would take a gigabyte at once."""
        a, b = self.parameters
        least = np.full(self.num_hashes, _PRIME, np.uint64)
        for start in range(0, len(hashes), _ROWS):
            block = (hashes[start : start + _ROWS] * a + b) % _PRIME
            np.minimum(least, block.min(axis=0), out=least)
        return [band.tolist() for band in np.split(least, self.config.num_buckets)]
