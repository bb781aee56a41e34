"""Quality by comparison with a gold sample: perplexity and a classifier, trained here, scored held out."""

import functools
import hashlib
import json
import math
import pathlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from datatrove.data import Document

from polylm_jax.corpus import classifier, ngram_model, perplexity
from polylm_jax.corpus.reading import ReadShards
from polylm_jax.corpus.settings import QualitySettings
from polylm_jax.corpus.shards import documents
from polylm_jax.corpus.sources import Source, shards_of
from polylm_jax.corpus.steps import Refusing
from polylm_jax.corpus.tally import Tally, written
from polylm_jax.errors import InputError
from polylm_jax.languages.registry import LANGUAGES

SAMPLE = 4_000  # documents of gold and of crawl each that a classifier is trained on
LEAST = 20  # documents of gold that a language needs
TRAIN, CHOOSE, TEST = "train", "choose", "test"


@dataclass(frozen=True)
class QualityOptions:
    """gold: language -> its gold sample. settings: what is made of them."""

    gold: Mapping[str, Source]
    settings: QualitySettings

    @property
    def languages(self) -> list[str]:
        return sorted(self.gold)


def part(text: str) -> str:
    """Which part of the gold sample a text is in: 60 % trains, 20 % chooses thresholds, 20 % tests."""
    place = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=2).digest()[0] / 256
    return TRAIN if place < 0.6 else CHOOSE if place < 0.8 else TEST


def gold_sample(options: QualityOptions, code: str) -> dict[str, list[str]]:
    """The parts of a language's gold. Raises InputError where there is too little of it."""
    parts: dict[str, list[str]] = {TRAIN: [], CHOOSE: [], TEST: []}
    shards = shards_of([options.gold[code]], 1 << 30)
    reader = ReadShards(shards, Tally("unused"))
    for rank in range(len(shards)):
        for document in reader.run(rank=rank):
            if len(parts[TRAIN]) < SAMPLE:
                parts[part(document.text)].append(document.text)
    if min(map(len, parts.values())) < LEAST // 5 or sum(map(len, parts.values())) < LEAST:
        raise InputError(
            f"GOLD[{code!r}] has {sum(map(len, parts.values()))} documents: give {LEAST} or "
            "more, with 'documents': 'line' for a text file of one document per line."
        )
    return parts


class TrainQuality:
    """One language per rank: models and thresholds from its gold and a sample of its crawl."""

    def __init__(self, options: QualityOptions, crawl: str, shards: int, folder: str):
        self.options, self.crawl, self.shards, self.folder = options, crawl, shards, folder

    def __call__(self, data=None, rank: int = 0, world_size: int = 1) -> None:
        code = self.options.languages[rank]
        folder = pathlib.Path(self.folder) / code
        folder.mkdir(parents=True, exist_ok=True)
        gold = gold_sample(self.options, code)
        report: dict[str, object] = {"gold": sum(map(len, gold.values()))}
        if self.options.settings.perplexity:
            report["perplexity"] = self._perplexity(code, gold, folder)
        if self.options.settings.classifier:
            report["classifier"] = self._classifier(code, gold, folder)
        written(folder / "quality.json", json.dumps(report, indent=1).encode())

    def _crawl_sample(self, code: str) -> dict[str, list[str]]:
        parts: dict[str, list[str]] = {TRAIN: [], TEST: []}
        for rank in range(self.shards):
            for document in documents(self.crawl, rank):
                if document.metadata["language"] == code and len(parts[TRAIN]) < SAMPLE:
                    parts[TRAIN if part(document.text) == TRAIN else TEST].append(document.text)
            if len(parts[TRAIN]) >= SAMPLE:
                break
        return parts

    def _perplexity(self, code: str, gold: dict[str, list[str]], folder: pathlib.Path) -> dict:
        model = perplexity.given_model(self.options.settings.kenlm_models, code)
        if model is None:
            path = folder / "characters.arpa"
            lines = (line for text in gold[TRAIN] for line in ngram_model.lines_of(text))
            ngram_model.train(lines, path)
            model = perplexity.Perplexity(str(path))
        chosen = [model(text) for text in gold[CHOOSE]]
        threshold = float(np.quantile(chosen, self.options.settings.gold_kept, method="higher"))
        tested = np.array([model(text) for text in gold[TEST]])
        crawl = np.array([model(text) for text in self._crawl_sample(code)[TEST]])
        return {
            "model": model.model,
            "pieces": model.pieces,
            "threshold": threshold,
            "held_out_gold_kept": float((tested <= threshold).mean()),
            "crawl_kept": float((crawl <= threshold).mean()) if len(crawl) else None,
            "held_out_auc": auc(-tested, -crawl),
        }

    def _classifier(self, code: str, gold: dict[str, list[str]], folder: pathlib.Path) -> dict:
        crawl, kind = self._crawl_sample(code), self.options.settings.classifier
        if len(crawl[TRAIN]) < LEAST:
            return {"left_out": f"only {len(crawl[TRAIN])} documents of crawl to tell it from"}
        path = folder / f"{kind}.model"
        classifier.CLASSES[kind].train(path, LANGUAGES[code], gold[TRAIN], crawl[TRAIN])
        model = classifier.CLASSES[kind](str(path), LANGUAGES[code])
        threshold = float(
            np.quantile(model(gold[CHOOSE]), 1 - self.options.settings.gold_kept, method="lower")
        )
        tested = model(gold[TEST])
        others = model(crawl[TEST]) if crawl[TEST] else np.zeros(0)
        return {
            "kind": kind,
            "model": str(path),
            "threshold": threshold,
            "held_out_gold_kept": float((tested >= threshold).mean()),
            "crawl_kept": float((others >= threshold).mean()) if len(others) else None,
            "held_out_auc": auc(tested, others),
        }


def auc(better: Sequence[float] | np.ndarray, worse: Sequence[float] | np.ndarray) -> float | None:
    """The chance that one of `better` scores above one of `worse`, ties half."""
    above, below = np.asarray(better, np.float64), np.sort(np.asarray(worse, np.float64))
    if not len(above) or not len(below):
        return None
    beaten = np.searchsorted(below, above, "left") + np.searchsorted(below, above, "right")
    return float(beaten.sum() / 2 / len(above) / len(below))


@functools.lru_cache(maxsize=64)
def trained(folder: str, code: str) -> dict | None:
    """What `TrainQuality` left for a language."""
    path = pathlib.Path(folder) / code / "quality.json"
    return json.loads(path.read_text()) if path.is_file() else None


@functools.lru_cache(maxsize=64)
def _classifier_at(kind: str, path: str, code: str):
    return classifier.CLASSES[kind](path, LANGUAGES[code])


class Quality(Refusing):
    """Refuses what is less like the gold sample than all but a few of its own texts."""

    type, name, stage = "FILTER", "quality", "quality"

    def __init__(self, tally: Tally, folder: str):
        super().__init__(tally)
        self.folder = folder

    def filter(self, document: Document) -> bool | tuple[bool, str]:
        code = document.metadata["language"]
        found = None if "pair" in document.metadata else trained(self.folder, code)
        if found is None:
            return True
        fluent = found.get("perplexity")
        if fluent:
            value = perplexity.Perplexity(fluent["model"], fluent["pieces"])(document.text)
            if not math.isfinite(value) or value > fluent["threshold"]:
                return False, "perplexity"
        like = found.get("classifier")
        if like and "model" in like:
            model = _classifier_at(like["kind"], like["model"], code)
            if model([document.text])[0] < like["threshold"]:
                return False, "classifier"
        return True
