"""Registering a benchmark: a SeqIO task and a protocol per language, way of asking, number of shots."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from polylm_jax.errors import InputError, nearest
from polylm_jax.evaluation import protocol
from polylm_jax.evaluation.protocol import GENERATE, RANK, ROLLING, STOP, Protocol
from polylm_jax.runtime.ranges import Seed
from tasks import registry
from tasks.benchmarks import records
from tasks.benchmarks.examples import (
    Continued,
    Generate,
    Rank,
    Whole,
    generation_target,
    rank_target,
    whole_target,
)
from tasks.benchmarks.items import Demonstrations, Item, ItemSource
from tasks.benchmarks.records import Record
from tasks.metrics.bits import bits

TARGETS = {RANK: rank_target, GENERATE: generation_target, ROLLING: whole_target}
BITS = "bits_per_byte"
SHOTS = {0: "", 1: "one_shot"}


class Variant(NamedTuple):
    """One way of asking: the end of the task's name, the prompt, and what it changes in the protocol."""

    suffix: str
    prompt: Any  # as the kind of its protocol asks it: see `Benchmark._step`
    changes: Mapping[str, Any] = {}


def with_repaired(
    prompt: Callable, language: str, published: Mapping, repaired: Mapping
) -> list[Variant]:
    """The prompt with its published words, and with repaired ones where the language has them."""
    mended = [prompt(words[language]) for words in (repaired,) if language in words]
    changes = {"fidelity": protocol.REPAIRED}
    return [
        Variant("", prompt(published[language])),
        *(Variant("repaired", one, changes) for one in mended),
    ]


@dataclass(frozen=True)
class Scoring:
    """Which items are scored, after which demonstrations.

    split: the one that is scored, a key of `files`.
    shots: numbers of demonstrations; each is a task of its own, `NAME.one_shot` for 1.
    demonstrations: the split they're drawn from.
    seed: what they're drawn with.
    """

    split: str = "test"
    shots: Sequence[int] = (0,)
    demonstrations: str = "validation"
    seed: Seed = 0


@dataclass(frozen=True)
class Generation(Scoring):
    """The same of answers that the model writes.

    stop: where answers are cut; () for a tuned model, which ends them itself.
    ending: what follows a prompt; a tuned PolyLM was trained on '\\n\\n'.
    """

    shots: Sequence[int] = (0, 1)
    demonstrations: str = "train"
    stop: Sequence[str] = STOP
    ending: str = ""


@dataclass(frozen=True)
class Benchmark:
    """What the tasks of a benchmark have in common.

    Attributes:
        name: the first part of the tasks' names.
        languages: what it covers; of translation, pairs such as 'en-de'.
        variants: language -> ways of asking.
        protocol: (language, split) -> the protocol of the first of them, zero-shot.
        convert: (language, format) -> what makes an item of a record of that format.
        fields: the fields of an item.
        formats: ending of a file -> name in records.READERS.
        metrics: language -> SeqIO's metric functions.
        fill: language -> what stands in braces in `files` besides {language}; it may replace that.
        tfds: what `files` is where the user says 'tfds'.
    """

    name: str
    languages: tuple[str, ...]
    variants: Callable[[str], Sequence[Variant]]
    protocol: Callable[[str, str], Protocol]
    convert: Callable[[str, str], Callable[[Record], Item | None]]
    fields: Mapping[str, type]
    formats: Mapping[str, str]
    metrics: Callable[[str], Sequence[Callable]]
    fill: Callable[[str], Mapping[str, str]] = lambda language: {}
    tfds: Mapping[str, object] | None = None

    def register(
        self,
        data_dir: str,
        vocabulary: str,
        languages: Sequence[str],
        files: Mapping[str, object] | str,
        scoring: Scoring,
    ) -> tuple[str, ...]:
        """Registers the tasks and returns their names. Files are looked for later.

        Args:
            data_dir: what relative paths are under; local or gs://.
            vocabulary: the path of a SentencePiece model; it's opened when a task is first used.
            languages: which of the benchmark's.
            files: split -> path, in which {language} may stand, or {'tfds': ..., 'split': ...}; or
                'tfds' where TFDS has the benchmark.
            scoring: a `Generation`, where answers are generated.
        """
        files = self._files(files)
        languages = (languages,) if isinstance(languages, str) else tuple(languages)
        self._check(languages, files, scoring)
        split, drawn_from = scoring.split, scoring.demonstrations
        stop = tuple(scoring.stop) if isinstance(scoring, Generation) else STOP
        ending = scoring.ending if isinstance(scoring, Generation) else ""
        names = []
        for language in languages:
            source = self._source(language, files, data_dir)
            for variant in self.variants(language):
                for count in scoring.shots:
                    shown = Demonstrations(source, drawn_from, split, count, scoring.seed)
                    rules = self._rules(language, variant, shown, stop)
                    name = self._task_name(language, variant, count)
                    step = self._step(rules, variant, shown if count else None, ending)
                    self._add(name, source, step, vocabulary, language, rules)
                    names.append(name)
        return tuple(names)

    def _files(self, files: Mapping[str, object] | str) -> Mapping[str, object]:
        if isinstance(files, Mapping):
            return files
        if files == "tfds" and self.tfds is not None:
            return self.tfds
        raise InputError(
            f"files of {self.name} is {files!r}: give {{split: path}}"
            + (", or 'tfds'." if self.tfds else "; TFDS doesn't have this benchmark.")
        )

    def _source(self, language: str, files: Mapping[str, object], data_dir: str) -> ItemSource:
        fill = {"language": language, **self.fill(language)}
        splits = {
            split: records.published(spec, self.formats, data_dir, fill, f"files[{split!r}]")
            for split, spec in files.items()
        }
        convert = {name: self.convert(language, one.format) for name, one in splits.items()}
        return ItemSource(splits, convert, self.fields)

    def _rules(
        self, language: str, variant: Variant, shown: Demonstrations, stop: tuple[str, ...]
    ) -> Protocol:
        rules = self.protocol(language, shown.scored)
        changes = dict(variant.changes)
        if rules.kind == GENERATE:
            changes["stop"] = stop
        if shown.count:
            same = shown.split == shown.scored
            drawn = f"{shown.split} minus the item" if same else shown.split
            changes |= {"few_shot": shown.count, "demonstrations": drawn}
        return dataclasses.replace(rules, **changes)

    def _task_name(self, language: str, variant: Variant, count: int) -> str:
        shots = SHOTS.get(count, f"{count}_shot")
        parts = (self.name, language.replace("-", "_"), variant.suffix, shots)
        return ".".join(part for part in parts if part)

    def _step(
        self, rules: Protocol, variant: Variant, shown: Demonstrations | None, ending: str
    ) -> Callable:
        if rules.kind == ROLLING:
            return Whole()
        if rules.metric == BITS:
            return Continued(variant.prompt)
        if rules.kind == RANK:
            return Rank(variant.prompt, shown)
        return Generate(variant.prompt, shown, ending)

    def _add(
        self,
        name: str,
        source: ItemSource,
        step: Callable,
        vocabulary: str,
        language: str,
        rules: Protocol,
    ) -> None:
        metrics, targets = list(self.metrics(language)), TARGETS[rules.kind]
        if isinstance(step, Continued):
            metrics, targets = [bits], whole_target
        registry.add_evaluation_task(name, source, step, vocabulary, targets, metrics)
        protocol.add(name, rules)

    def _check(
        self,
        languages: Sequence[str],
        files: Mapping[str, object],
        scoring: Scoring,
    ) -> None:
        for language in languages:
            if language not in self.languages:
                raise InputError(
                    f"languages: {self.name} doesn't cover {language!r}."
                    f"{nearest(language, self.languages)} It has {', '.join(self.languages)}."
                )
        for field in ("split", "demonstrations"):
            value = getattr(scoring, field)
            if value not in files and (field == "split" or any(scoring.shots)):
                raise InputError(
                    f"{field} of {self.name} is {value!r}.{nearest(value, files)} "
                    f"Give one of {', '.join(files)}, or add it to files."
                )
        for count in scoring.shots:
            if not isinstance(count, int) or isinstance(count, bool) or count < 0:
                raise InputError(f"shots of {self.name}: {count!r} is no number of examples.")


def merged(groups: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """The names that several `register`s returned, as one tuple."""
    return tuple(name for group in groups for name in group)
