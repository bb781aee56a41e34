"""From records to text: what a document or a pair of sentences becomes before it's tokenized.

Each is a preprocessor of a SeqIO task (a dataset in, a dataset out) and has `render`, the same for
one record as a Python dict, so that a task can also be read without TensorFlow.
"""

import string
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import tensorflow as tf

from polylm_jax.errors import InputError, nearest
from polylm_jax.languages import registry

# PolyLM's paper doesn't say how it writes pairs. `prompt` is the translation prompt of its README.
TEMPLATES = {
    "prompt": "{source}\nTranslate this sentence from {source_name} to {target_name}.\n{target}",
    "names": "{source_name}: {source}\n{target_name}: {target}",
    "tags": "<{source_code}> {source}\n<{target_code}> {target}",
}


@dataclass(frozen=True)
class Document:
    """A document as it is, with its language.

    Document("th"):
        {"text": "สวัสดี", "group": "7", "held_out": False}
    ->  {"targets": "สวัสดี", "language": "th", "group": "7", "held_out": False}
    """

    language: str

    def render(self, record: Mapping[str, Any]) -> dict[str, object]:
        """One example from one record."""
        return self._example(record, record["text"])

    def __call__(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        return dataset.map(self.render, num_parallel_calls=tf.data.AUTOTUNE)

    def _example(self, record: Mapping, text: object) -> dict[str, object]:
        shared = {name: record[name] for name in ("group", "held_out")}
        return {"targets": text, "language": self.language, **shared}


@dataclass(frozen=True)
class Pair:
    """A pair of sentences written as one text, with the bytes that belong to each language.

    Pair("en", "th"):
        {"en": "Hello.", "th": "สวัสดี", "group": "7", "held_out": False}
    ->  {"targets": "Hello.\\nTranslate this sentence from English to Thai.\\nสวัสดี",
         "language": "en-th", "group": "7", "held_out": False,
         "side_languages": ["en", "", "th"],
         "side_bytes": [6, 47, 18]}

    Attributes:
        source, target: codes of the languages, which are the records' columns.
        template: a name in TEMPLATES, or text with {source} and {target} once each and any of
            {source_name}, {target_name} ('Thai'), {source_native}, {target_native} ('ไทย'),
            {source_code}, {target_code} ('th'). Braces that stand for themselves are doubled.
    """

    source: str
    target: str
    template: str = "prompt"

    def __post_init__(self):
        self.segments  # noqa: B018  (a wrong template is refused when the task is registered)

    @cached_property
    def segments(self) -> tuple[tuple[str, str], ...]:
        """The text in order: ('', literal text) or (language, '') for a side."""
        segments: list[tuple[str, str]] = []
        literal = ""
        for part, name in self._parts():
            literal += part
            if name in ("source", "target"):
                segments += [("", literal), (getattr(self, name), "")]
                literal = ""
            elif name is not None:
                literal += self._names[name]
        self._check_sides([language for language, _ in segments if language])
        return tuple((x, text) for x, text in (*segments, ("", literal)) if x or text)

    def render(self, record: Mapping[str, Any]) -> dict[str, object]:
        """One example from one record."""
        parts = [record[language] if language else text for language, text in self.segments]
        return {
            "targets": "".join(parts),
            "side_bytes": [len(part.encode()) for part in parts],
            **self._labels(record),
        }

    def __call__(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        def example(record: Mapping[str, tf.Tensor]) -> dict[str, object]:
            parts = [record[language] if language else text for language, text in self.segments]
            return {
                "targets": tf.strings.join(parts),
                "side_bytes": tf.strings.length(tf.stack(parts)),
                **self._labels(record),
            }

        return dataset.map(example, num_parallel_calls=tf.data.AUTOTUNE)

    def _labels(self, record: Mapping) -> dict[str, object]:
        return {
            "side_languages": [language for language, _ in self.segments],
            "language": f"{self.source}-{self.target}",
            "group": record["group"],
            "held_out": record["held_out"],
        }

    @cached_property
    def _names(self) -> dict[str, str]:
        names = {}
        for side in ("source", "target"):
            language = registry.find(getattr(self, side))
            names[f"{side}_name"] = language.name
            names[f"{side}_native"] = language.native_name
            names[f"{side}_code"] = language.code
        return names

    def _parts(self) -> list[tuple[str, str | None]]:
        template = TEMPLATES.get(self.template, self.template)
        known = ("source", "target", *self._names)
        try:
            parts = [(text, name) for text, name, _, _ in string.Formatter().parse(template)]
        except ValueError as error:
            raise InputError(
                f"template {template!r} can't be read ({error}); double the braces that stand "
                "for themselves."
            ) from error
        for _, name in parts:
            if name is not None and name not in known:
                raise InputError(
                    f"template {template!r} has the unknown field {name!r}."
                    f"{nearest(name, known)} Known: {', '.join(known)}."
                )
        return parts

    def _check_sides(self, sides: list[str]) -> None:
        if sorted(sides) != sorted([self.source, self.target]):
            raise InputError(
                f"template {self.template!r} must have {{source}} and {{target}} once each, or be "
                f"the name of one: {', '.join(TEMPLATES)}.{nearest(self.template, TEMPLATES)}"
            )
