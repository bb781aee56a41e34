"""The world: who there is, what is true of them, and how each language says it.

64 entities x 4 relations x 6 values. The facts of a quarter of the entities are stated in English
alone; their names stand in the other languages too, in sentences that state no fact.
"""

import functools
import random
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ENTITIES = 64
ENGLISH_ONLY = 16
RELATIONS = ("colour", "animal", "food", "instrument")
VALUES = 6
LANGUAGES = ("en", "ru", "th")
SHARED, OWN = "shared", "own"  # names: in Latin script everywhere, or in each language's script
NAMES = (SHARED, OWN)
CONSONANTS = {"en": "kmntslrp", "ru": "кмнтслрп", "th": "กมนตสลรป"}
VOWELS = {
    "en": ("{}a", "{}i", "{}o", "{}u"),
    "ru": ("{}а", "{}и", "{}о", "{}у"),
    "th": ("{}า", "{}ี", "โ{}", "{}ู"),
}
SYLLABLES = 3


@functools.cache
def book() -> Mapping[str, Mapping]:
    """The sentences of each language."""
    text = (Path(__file__).parent / "sentences.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


@dataclass(frozen=True)
class World:
    """names: of each entity its syllables (consonant, vowel). facts[entity][relation]: a value.

    english_only: of so many entities the facts are stated in English alone.
    """

    names: tuple[tuple[tuple[int, int], ...], ...]
    facts: tuple[tuple[int, ...], ...]
    naming: str = SHARED
    english_only: int = ENGLISH_ONLY

    def name(self, entity: int, language: str) -> str:
        """'Kimonu', 'Кимону', 'กีโมนู'."""
        script = "en" if self.naming == SHARED else language
        parts = (VOWELS[script][v].format(CONSONANTS[script][c]) for c, v in self.names[entity])
        return "".join(parts).capitalize()

    def is_stated(self, entity: int, language: str) -> bool:
        """Whether the entity's facts are stated in the language."""
        return language == "en" or entity >= self.english_only

    def fact(
        self, entity: int, relation: int, language: str, sentence: int, value: int | None = None
    ) -> tuple[str, str]:
        """(the sentence up to its value, the value and the end): ('... is', ' red.').

        value: in place of the true one.
        """
        about = book()[language][RELATIONS[relation]]
        value = self.facts[entity][relation] if value is None else value
        head = about["sentences"][sentence].partition(" {value}")[0]
        filled = head.format(name=self.name(entity, language))
        return filled, f" {about['values'][value]}{book()[language]['end']}"

    def neutral(self, entity: int, language: str, sentence: int) -> str:
        """A sentence that states no fact."""
        text = book()[language]["neutral"][sentence].format(name=self.name(entity, language))
        return text + book()[language]["end"]


def world(seed: int = 0, naming: str = SHARED, english_only: int = ENGLISH_ONLY) -> World:
    """The world of a seed; its facts are the same whichever way its entities are named."""
    chance = random.Random(f"world {seed}")
    syllables = [(c, v) for c in range(len(CONSONANTS["en"])) for v in range(len(VOWELS["en"]))]
    names: dict[tuple, None] = {}
    while len(names) < ENTITIES:
        names[tuple(chance.choice(syllables) for _ in range(SYLLABLES))] = None
    facts = [_even(chance, ENTITIES) for _ in RELATIONS]
    return World(tuple(names), tuple(zip(*facts, strict=True)), naming, english_only)


def _even(chance: random.Random, number: int) -> Sequence[int]:
    """Values as often as one another, so that none is a good guess."""
    values = [n % VALUES for n in range(number)]
    chance.shuffle(values)
    return values
