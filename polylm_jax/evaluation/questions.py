"""A task's examples as what a model is asked: requests to score, or prompts to answer; what is too long.

RANK      a request per example, `targets` given `inputs`
ROLLING   `targets` whole, begun after EOS, in windows of the model's length
TEXT      the same of a task of plain text, and the EOS that closes a document is scored too
GENERATE  a prompt per example, with room for the answer
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import seqio

from polylm_jax.errors import InputError
from polylm_jax.evaluation import examples, requests
from polylm_jax.evaluation.examples import Example
from polylm_jax.evaluation.outputs import hash_ids
from polylm_jax.evaluation.protocol import GENERATE, ROLLING, Protocol
from polylm_jax.evaluation.requests import Request
from polylm_jax.evaluation.result import TEXT
from polylm_jax.text import task_text
from polylm_jax.tokenizer.tokenizer import Tokenizer


@dataclasses.dataclass(frozen=True)
class Questions:
    """What a task asks. `asked[i]` belongs to example `owner[i]`.

    asked: Requests, or prompts (int32 ids). too_long: examples that the model has no room for, with
    those of the same item: an item counts whole or not at all.
    """

    task: seqio.Task
    protocol: Protocol
    kind: str
    examples: list[Example]
    asked: list
    owner: np.ndarray
    too_long: frozenset[int]

    @property
    def open(self) -> list[int]:
        """Numbers of what is to be asked, in order."""
        return [n for n, owner in enumerate(self.owner.tolist()) if owner not in self.too_long]

    @property
    def items(self) -> int:
        """Items of the task: for RANK, groups of choices."""
        return len(set(map(item_of, range(len(self.examples)), self.examples)))

    @property
    def items_too_long(self) -> int:
        return len({item_of(n, self.examples[n]) for n in self.too_long})

    def identity(self, dtype: str) -> dict:
        """What decides the answers besides the parameters; `dtype`: `PolyLMConfig.numerics`."""
        rules = self.protocol
        found: dict[str, object] = {"kind": self.kind, "dtype": dtype}
        if self.kind == GENERATE:
            asked = [[ids] for ids in self.asked]
            found |= {"max_new_tokens": rules.max_new_tokens, "stop": list(rules.stop)}
        else:
            asked = self.asked
        return found | {"requests": hash_ids(asked)}


def item_of(number: int, example: Example) -> int:
    """Which item an example belongs to: the first number of `idx`, else its own."""
    idx = example.get("idx")
    return int(idx[0]) if isinstance(idx, Sequence) and len(idx) else number


def prepare(
    task: seqio.Task,
    protocol: Protocol,
    tokenizer: Tokenizer,
    max_length: int,
    limit: int | None = None,
) -> Questions:
    """Reads a task's examples and encodes what is asked.

    max_length: positions of the model. limit: items (of TEXT: documents) that are read at most.

    Raises InputError for data that is malformed.
    """
    kind = examples.kind_of(task)
    if kind == TEXT:
        found = _documents(task, protocol.split, limit)
    else:
        found = _limited(examples.read(task, protocol.split, _enough(limit, protocol)), limit)
    if kind in (TEXT, ROLLING):
        asked, owner = _windows(tokenizer, found, max_length, closed=kind == TEXT)
        return Questions(task, protocol, kind, found, asked, owner, frozenset())
    if kind == GENERATE:
        asked = _prompts(tokenizer, found)
        long = [len(ids) + protocol.max_new_tokens > max_length for ids in asked]
    else:
        asked = _ranked(task, tokenizer, found)
        long = [request.input_length > max_length for request in asked]
    owner = np.arange(len(found))
    return Questions(task, protocol, kind, found, asked, owner, _whole_items(found, long))


def _enough(limit: int | None, protocol: Protocol) -> int | None:
    """Examples that hold `limit` items and a bit of the next; all where choices aren't told."""
    if limit is None or (protocol.kind not in (GENERATE, ROLLING) and not protocol.choices):
        return None
    return limit * max(1, protocol.choices) + 1


def _limited(found: list[Example], limit: int | None) -> list[Example]:
    if limit is None:
        return found
    kept: dict[int, None] = {}
    for number, example in enumerate(found):
        if len(kept) < limit:
            kept[item_of(number, example)] = None
    return [e for number, e in enumerate(found) if item_of(number, e) in kept]


def _ranked(task: seqio.Task, tokenizer: Tokenizer, found: list[Example]) -> list[Request]:
    for number, example in enumerate(found):
        if not example.get("targets"):
            raise InputError(
                f"task {task.name!r}, example {number}, has an empty choice: correct its data."
            )
    pairs = [(example.get("inputs", ""), example["targets"]) for example in found]
    return requests.encode_pairs(tokenizer, pairs)


def _prompts(tokenizer: Tokenizer, found: list[Example]) -> list[np.ndarray]:
    """The ids of each prompt; an empty one is EOS."""
    eos = np.array([tokenizer.eos_id], np.int32)
    ids = requests.encode_texts(tokenizer, [example.get("inputs", "") for example in found])
    return [one if len(one) else eos for one in ids]


def _whole_items(found: list[Example], long: list[bool]) -> frozenset[int]:
    items = {item_of(n, e) for n, (e, bad) in enumerate(zip(found, long, strict=True)) if bad}
    return frozenset(n for n, e in enumerate(found) if item_of(n, e) in items)


def _documents(task: seqio.Task, split: str, limit: int | None) -> list[Example]:
    """Documents of plain text in one split, as the token stores have them, with their language."""
    found: list[Example] = []
    for unit in task_text.units(task):
        for batch in task_text.text_batches(task, unit, split):
            for text, language in zip(batch[task_text.TEXT], batch["language"], strict=True):
                if len(found) == limit:
                    return found
                found.append({"targets": text, "language": language})
    if not found:
        raise InputError(f"task {task.name!r} has no text in its split {split!r}: name another.")
    return found


def _windows(tokenizer: Tokenizer, found: list[Example], max_length: int, closed: bool):
    """Requests for whole texts, and whose each is; `closed`: EOS is scored at a text's end."""
    eos = np.array([tokenizer.eos_id] * closed, np.int32)
    texts = requests.encode_texts(tokenizer, [e["targets"] for e in found])
    ended = (np.concatenate([ids, eos]) for ids in texts)
    asked, owner = requests.windows(ended, tokenizer.eos_id, max_length)
    return asked, np.array(owner, np.int64)
