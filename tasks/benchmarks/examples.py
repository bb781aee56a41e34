"""From items to examples: a choice of a classification, a text to be continued, a text to be scored.

All are preprocessors of a SeqIO task (a dataset in, a dataset out) and have `render`, the same
for one item as a Python dict. Demonstrations stand before an item, a blank line after each.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import tensorflow as tf

from tasks.benchmarks.items import Demonstrations, Item
from tasks.metrics.bits import sizes

BETWEEN = "\n\n"  # after each demonstration, as lm-eval has it; the paper doesn't say


class Choice(NamedTuple):
    """What is scored, `continuation`, given `context`. Their spaces are the prompt's own."""

    context: str
    continuation: str


class RankPrompt(Protocol):
    """How a benchmark asks to choose: the choices of an item, and which is right."""

    def choices(self, item: Item) -> Sequence[Choice]: ...

    def answer(self, item: Item) -> int: ...


class GenerationPrompt(Protocol):
    """How a benchmark asks for text: the prompt, and the answers that are right.

    `joint` stands between the two in a demonstration.
    """

    @property
    def joint(self) -> str: ...

    def context(self, item: Item) -> str: ...

    def references(self, item: Item) -> Sequence[str]: ...


@dataclass(frozen=True)
class Rank:
    """One example per choice, in the order of items and choices (T5's rank_classification).

    Rank(xcopa's prompt for English):
        {"premise": "It rained.", "choice1": "I got wet.", "choice2": "I slept.",
         "question": "effect", "label": 0, "number": 7}
    ->  {"inputs": "It rained therefore", "targets": " i got wet.", "idx": [7, 0],
         "is_correct": True}
        {"inputs": "It rained therefore", "targets": " i slept.", "idx": [7, 1],
         "is_correct": False}
    """

    prompt: RankPrompt
    demonstrations: Demonstrations | None = None

    def render(self, item: Item) -> list[dict[str, object]]:
        """The examples of one item."""
        before = _before(self.demonstrations, item, self._demonstration)
        right = self.prompt.answer(item)
        return [
            {
                "inputs": before + choice.context,
                "targets": choice.continuation,
                "idx": (item["number"], index),
                "is_correct": index == right,
            }
            for index, choice in enumerate(self.prompt.choices(item))
        ]

    def __call__(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        signature = {
            "inputs": tf.TensorSpec([], tf.string),
            "targets": tf.TensorSpec([], tf.string),
            "idx": tf.TensorSpec([2], tf.int32),
            "is_correct": tf.TensorSpec([], tf.bool),
        }
        return _rendered(dataset, self.render, signature).unbatch()

    def _demonstration(self, item: Item) -> str:
        return "".join(self.prompt.choices(item)[self.prompt.answer(item)])


@dataclass(frozen=True)
class Generate:
    """One example per item; what comes after `inputs` is generated.

    Generate(wmt20's prompt from English to German):
        {"source": "Hello.", "target": "Hallo.", "number": 7}
    ->  {"inputs": "Hello.\\nTranslate this sentence from English to German.\\n",
         "targets": "Hallo.", "references": ["Hallo."], "idx": [7]}
    """

    prompt: GenerationPrompt
    demonstrations: Demonstrations | None = None
    ending: str = ""

    def render(self, item: Item) -> list[dict[str, object]]:
        """The example of one item, in a list of its own."""
        before = _before(self.demonstrations, item, self._demonstration)
        references = list(self.prompt.references(item))
        example: dict[str, object] = {
            "inputs": before + self.prompt.context(item) + self.ending,
            "targets": references[0],
            "references": references,
            "idx": (item["number"],),
        }
        return [example]

    def __call__(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        signature = {
            "inputs": tf.TensorSpec([], tf.string),
            "targets": tf.TensorSpec([], tf.string),
            "references": tf.TensorSpec([None], tf.string),
            "idx": tf.TensorSpec([1], tf.int32),
        }
        return _rendered(dataset, self.render, signature).unbatch()

    def _demonstration(self, item: Item) -> str:
        return self.prompt.context(item) + self.prompt.joint + self.prompt.references(item)[0]


@dataclass(frozen=True)
class Whole:
    """A text as it is, scored from its first token to its last.

    {"text": "ไทย", "number": 7}
    ->  {"inputs": "", "targets": "ไทย", "idx": [7, 0], "size": [9, 3]}

    `size` is its UTF-8 bytes and code points.
    """

    def render(self, item: Item) -> list[dict[str, object]]:
        """The example of one item, in a list of its own."""
        text = item["text"]
        found = {"inputs": "", "targets": text, "idx": (item["number"], 0), "size": sizes(text)}
        return [found]

    def __call__(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        return _rendered(dataset, self.render, _SIZED).unbatch()


@dataclass(frozen=True)
class Continued:
    """The right answer alone, scored given what is asked: its bits per byte.

    Continued(own.Made()):
        {"context": "Q: ไทย\nA:", "answers": ["ใช่"], "number": 7}
    ->  {"inputs": "Q: ไทย\nA:", "targets": " ใช่", "idx": [7, 0], "size": [10, 4]}
    """

    prompt: GenerationPrompt

    def render(self, item: Item) -> list[dict[str, object]]:
        """The example of one item, in a list of its own."""
        answer = self.prompt.joint + self.prompt.references(item)[0]
        context = self.prompt.context(item)
        size, index = sizes(answer), (item["number"], 0)
        return [{"inputs": context, "targets": answer, "idx": index, "size": size}]

    def __call__(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        return _rendered(dataset, self.render, _SIZED).unbatch()


_SIZED = {
    "inputs": tf.TensorSpec([], tf.string),
    "targets": tf.TensorSpec([], tf.string),
    "idx": tf.TensorSpec([2], tf.int32),
    "size": tf.TensorSpec([2], tf.int32),
}


def _before(
    demonstrations: Demonstrations | None, item: Item, written: Callable[[Item], str]
) -> str:
    if demonstrations is None:
        return ""
    return "".join(written(one) + BETWEEN for one in demonstrations.of(int(item["number"])))


def _rendered(
    dataset: tf.data.Dataset,
    render: Callable[[Item], list[dict]],
    signature: dict[str, tf.TensorSpec],
) -> tf.data.Dataset:
    """Each item as a batch of its examples, rendered in Python: casing isn't TensorFlow's trade."""
    names = list(dataset.element_spec)

    def arrays(*values: np.ndarray) -> list[np.ndarray]:
        examples = render(dict(zip(names, map(_plain, values))))
        return [_array([e[name] for e in examples], spec) for name, spec in signature.items()]

    def one(item: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        kinds = [spec.dtype for spec in signature.values()]
        found = tf.numpy_function(arrays, [item[name] for name in names], kinds)
        for tensor, spec in zip(found, signature.values()):
            tensor.set_shape([None, *spec.shape])
        return dict(zip(signature, found))

    return dataset.map(one)


def _plain(value: Any) -> Any:
    """What TensorFlow hands to Python: bytes as str, an array of them as a list, a number as int."""
    if isinstance(value, bytes):
        return value.decode()
    if value.dtype == object:
        return [one.decode() for one in value.tolist()]
    return int(value)


def _array(values: list, spec: tf.TensorSpec) -> np.ndarray:
    if spec.dtype != tf.string:
        return np.array(values, spec.dtype.as_numpy_dtype)
    nested = [[t.encode() for t in v] if isinstance(v, list) else v.encode() for v in values]
    return np.array(nested, object)


def rank_target(target: object, example: dict | None = None, is_target: bool = False) -> object:
    """SeqIO's postprocessor: ((item, choice), is_correct) of a target, else what it's given."""
    if not is_target:
        return target
    assert example is not None
    return tuple(int(n) for n in example["idx"]), bool(example["is_correct"])


def generation_target(
    target: object, example: dict | None = None, is_target: bool = False
) -> object:
    """SeqIO's postprocessor: the references of a target (a list of str), else what it's given."""
    if not is_target:
        return target
    assert example is not None
    return [one.decode() if isinstance(one, bytes) else str(one) for one in example["references"]]


def whole_target(target: object, example: dict | None = None, is_target: bool = False) -> object:
    """SeqIO's postprocessor: (bytes, characters) of a target, else what it's given."""
    if not is_target:
        return target
    assert example is not None
    return tuple(int(n) for n in example["size"])
