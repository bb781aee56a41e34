"""What is asked for: prompts from a JSON-lines file with options of their own, and chats as prompts.

    {"prompt": "The ferry"}
    {"id": "q7", "prompt": "เรือ", "max_new_tokens": 20, "temperature": 0.8, "samples": 3, "stop": ["\\n"]}
    {"messages": [{"role": "user", "content": "Bonjour"}]}

A line may set any field of `Options`; the rest is the mode's. Without an id it is its line's number.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from polylm_jax.errors import InputError, nearest
from polylm_jax.inference.generation.beam_search import Beams
from polylm_jax.inference.generation.sampling import Sampling
from polylm_jax.inference.generation.text_generator import Prompt
from polylm_jax.runtime import paths
from polylm_jax.runtime.parameter_types import annotations, check_ranges, checked
from polylm_jax.runtime.ranges import (
    Count,
    Finite,
    Natural,
    NonNegative,
    Positive,
    Seed,
    SomeShare,
)
from polylm_jax.runtime.text_lines import json_lines

TURN = "<|user|>\n{user}\n<|assistant|>\n{assistant}\n"  # PolyLM's chat models
ROLES = ("user", "assistant")


@dataclasses.dataclass(frozen=True)
class Options:
    """How prompts are continued; see `Sampling`, `Beams` and `text.Prompt` for the fields.

    beams: 0 for none, 4 in PolyLM's examples. samples: texts per prompt; of a beam search the best.
    """

    max_new_tokens: Count = 256
    stop: str | Sequence[str] = ()
    temperature: NonNegative = 0.0
    top_k: Natural = 0
    top_p: SomeShare = 1.0
    repetition_penalty: Positive = 1.0
    beams: Natural = 0
    length_penalty: Finite = 1.0
    early_stopping: bool | str = False
    samples: Count = 1
    seed: Seed = 0

    def prompts(self, text: str) -> list[Prompt]:
        """The samples of one prompt; InputError for options that can't be."""
        check_ranges(self)
        sampling = Sampling(self.temperature, self.top_k, self.top_p, self.repetition_penalty)
        beams = Beams(self.beams, self.length_penalty, self.early_stopping) if self.beams else None
        if self.samples > 1 and not (self.temperature or beams):
            raise InputError(
                f"samples = {self.samples} with temperature = 0 and no beams: they would all be the "
                "same, so give a temperature."
            )
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)
        return [
            Prompt(text, self.max_new_tokens, stop, sampling, self.seed, sample, beams)
            for sample in range(self.samples)
        ]


@dataclasses.dataclass(frozen=True)
class Item:
    """A prompt with its name in the results. key: equal for equal work, whatever else is asked for."""

    id: str
    prompt: Prompt

    def key(self, model: str) -> str:
        """model: what names the weights, the vocabulary and the precision of the products."""
        asked = [model, self.id, dataclasses.asdict(self.prompt)]
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]


def read(path: str, options: Options, turn: str = TURN) -> list[Item]:
    """The prompts of a JSON-lines file, every sample an item; InputError names the line that is wrong."""
    found: dict[str, Item] = {}
    for number, fields in json_lines(paths.resolve(path, "PROMPTS"), "PROMPTS"):
        where = f"PROMPTS = {path!r}, line {number}"
        for item in _items(fields, str(number), where, options, turn):
            name = f"{item.id} {item.prompt.sample}"
            if name in found:
                raise InputError(
                    f"{where} has the id {item.id!r} of another line: make ids differ."
                )
            found[name] = item
    if not found:
        raise InputError(f"PROMPTS = {path!r} has no line: give one JSON object per line.")
    return [*found.values()]


def _items(fields: dict, number: str, where: str, options: Options, turn: str) -> list[Item]:
    if ("prompt" in fields) == ("messages" in fields):
        raise InputError(f'{where}: give an object with either "prompt" or "messages".')
    name = str(fields.pop("id", number))
    messages, text = fields.pop("messages", None), fields.pop("prompt", None)
    if messages is not None:
        text = chat_text(messages, where, turn)
    if not isinstance(text, str):
        raise InputError(f"{where}: prompt = {text!r} is not a string; give the text.")
    try:
        given = {field: _checked(field, value) for field, value in fields.items()}
        return [Item(name, p) for p in dataclasses.replace(options, **given).prompts(text)]
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _checked(name: str, value: object) -> Any:
    """The value of an option; InputError for a name that is none, or a value that it doesn't take."""
    known = annotations(Options)
    if name not in known:
        hint = nearest(name, ["prompt", "messages", "id", *known])
        raise InputError(f"{name!r} is no field of a prompt.{hint}")
    return checked(name, value, known[name])


def chat_text(messages: Sequence[Mapping], where: str, turn: str = TURN) -> str:
    """Messages of user and assistant in turns, the last one the user's -> the prompt for an answer.

    >>> chat_text([{"role": "user", "content": "Hi"}], "")
    '<|user|>\\nHi\\n<|assistant|>\\n'
    """
    good = isinstance(messages, list) and len(messages) % 2 == 1
    good = good and all(
        isinstance(message, dict)
        and message.get("role") == ROLES[number % 2]
        and isinstance(message.get("content"), str)
        for number, message in enumerate(messages)
    )
    if not good:
        raise InputError(
            f"{where}: messages must be objects with role and content, user and assistant in "
            "turns, the last one the user's."
        )
    said = [message["content"] for message in messages]
    return history(list(zip(said[:-1:2], said[1::2], strict=True)), said[-1], turn)


def history(turns: Sequence[tuple[str, str]], user: str, turn: str = TURN) -> str:
    """Earlier turns (user, assistant) and what the user says now -> the prompt for an answer."""
    before, between, after = turn_parts(turn)
    past = (before + asked + between + said + after for asked, said in turns)
    return "".join(past) + before + user + between


def turn_parts(turn: str) -> tuple[str, str, str]:
    """What a turn has before the user's words, between them and the assistant's, and after these."""
    before, user, rest = turn.partition("{user}")
    between, assistant, after = rest.partition("{assistant}")
    if not user or not assistant:
        raise InputError(f"turn = {turn!r} lacks {{user}} or {{assistant}} after it: give both.")
    return before, between, after
