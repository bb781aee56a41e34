"""Forty types of instruction about the world, each with one right answer, in four languages.

An instance of a type is drawn as numbers, which are the same in every language, and then worded. A
word is a number from 0: relation x 6 + value. Ten types are never tuned on, nor is a fifth of the
instances of the others.
"""

import functools
import random
import tomllib
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tasks.toy_world.facts import ENTITIES, RELATIONS, VALUES, World, book

LANGUAGES = ("en", "es", "ru", "th")
WORDS = len(RELATIONS) * VALUES
SENTENCES, NEUTRAL = 3, 4
PLACES = ("first", "second", "third", "last")
OF_RELATIONS = ("tell", "say", "check", "complete", "read", "pick")
OF_LISTS = ("repeat", "reverse", "swap", "count", "odd", "contains", "leave_out", "replace")
TRANSLATIONS = ("translate_word", "translate_sentence")
TYPES = (
    *(f"{family}.{relation}" for family in OF_RELATIONS for relation in RELATIONS),
    *(f"place.{place}" for place in PLACES),
    *OF_LISTS,
    "kind",
    "who",
    *TRANSLATIONS,
)
HELD_OUT_TYPES = (
    "tell.instrument", "say.food", "check.animal", "complete.colour", "read.food",
    "pick.instrument", "place.second", "reverse", "leave_out", "odd",
)  # fmt: skip
TUNED_TYPES = tuple(name for name in TYPES if name not in HELD_OUT_TYPES)
HELD_OUT_EACH = 5  # one instance of so many
WHAT_COUNTS = {"check": 1, "translate_word": 1, "translate_sentence": 3}  # numbers of an instance


class Instruction(NamedTuple):
    """asked: the language that the answer is to be in."""

    instruction: str
    input: str
    output: str
    asked: str


@functools.cache
def wording() -> Mapping[str, Mapping]:
    """How each language words the types."""
    text = (Path(__file__).parent / "instructions.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def is_held_out(name: str, slots: tuple[int, ...]) -> bool:
    """Whether an instance is kept from tuning and pairs.

    Of a translation it is in every direction, of what may be true of an entity with every value.
    """
    kept = slots[: WHAT_COUNTS.get(_parts(name)[0], len(slots))]
    return zlib.crc32(f"{name} {kept}".encode()) % HELD_OUT_EACH == 0


def draw(name: str, chance: random.Random, held_out: bool) -> tuple[int, ...]:
    """The numbers of a random instance of a type, held out or not."""
    while is_held_out(name, slots := _draw(*_parts(name), chance)) != held_out:
        pass
    return slots


def _parts(name: str) -> tuple[str, int]:
    """'tell.animal' -> ('tell', 1), 'place.last' -> ('place', 3), 'odd' -> ('odd', 0)."""
    family, _, which = name.partition(".")
    if not which:
        return family, 0
    return family, (PLACES if family == "place" else RELATIONS).index(which)


def _draw(family: str, which: int, chance: random.Random) -> tuple[int, ...]:
    entity, sentence, value = (chance.randrange(n) for n in (ENTITIES, SENTENCES, VALUES))
    relation, word, half = (chance.randrange(n) for n in (len(RELATIONS), WORDS, 2))
    target = chance.randrange(1, len(LANGUAGES))
    words = chance.sample(range(WORDS), 4)
    if family in ("tell", "say"):
        return (entity,)
    if family == "check":
        return (entity, half * chance.randrange(1, VALUES))  # from what is true
    if family == "complete":
        return (entity, sentence)
    if family == "read":
        return (entity, sentence, value)
    if family == "pick":
        one_of_each = [chance.randrange(VALUES) + VALUES * r for r in range(len(RELATIONS))]
        return tuple(chance.sample(one_of_each, 4))
    if family == "count":
        return tuple(chance.sample(range(WORDS), chance.randint(2, 5)))
    if family == "odd":
        other = chance.choice([w for w in range(WORDS) if w // VALUES != relation])
        same = [v + VALUES * relation for v in chance.sample(range(VALUES), 3)]
        return tuple(chance.sample([*same, other], 4))
    if family == "contains":
        others = [w for w in range(WORDS) if w not in words]
        return (*words, chance.choice(words) if half else chance.choice(others))
    if family == "leave_out":
        return (*words, chance.choice(words))
    if family == "replace":
        return (*words[:3], chance.choice(words[:3]), words[3])
    if family == "kind":
        return (word,)
    if family == "who":
        return (entity, chance.randrange(NEUTRAL))
    if family == "translate_word":
        return (word, target)
    if family == "translate_sentence":
        return (entity, relation, sentence, target)
    return tuple(words[:3] if family in ("repeat", "reverse") else words)


def word(number: int, language: str) -> str:
    """'red', 'rojo', 'красный', 'แดง'."""
    return book()[language][RELATIONS[number // VALUES]]["values"][number % VALUES]


def worded(there: World, name: str, slots: tuple[int, ...], language: str) -> Instruction:
    """An instance in a language, with its answer."""
    family, which = _parts(name)
    words = wording()[language]
    form = words[family] if isinstance(words[family], str) else words[family][which]
    if family in TRANSLATIONS:
        return _translation(there, family, form, slots, language)
    if family in ("say", "tell", "check", "complete", "read", "who"):
        return _about_one(there, family, which, form, slots, language)
    return _about_words(family, which, form, slots, language)


def _about_one(
    there: World, family: str, relation: int, form: str, slots: tuple[int, ...], language: str
) -> Instruction:
    """Of an entity: what is known of it, or what a text says of it."""
    words, entity = wording()[language], slots[0]
    true = there.facts[entity][relation]
    value = word(relation * VALUES + true, language)
    fill = {"name": there.name(entity, language), "kind": words["kinds"][relation]}
    given = ""
    if family == "say":
        value = "".join(there.fact(entity, relation, language, 0))
    elif family == "check":
        shown = (true + slots[1]) % VALUES
        fill["value"] = word(relation * VALUES + shown, language)
        value = words["yes" if shown == true else "no"]
    elif family == "complete":
        given = there.fact(entity, relation, language, slots[1])[0]
    elif family == "read":
        given = "".join(there.fact(entity, relation, language, *slots[1:]))
        value = word(relation * VALUES + slots[2], language)
    elif family == "who":
        given, value = there.neutral(entity, language, slots[1]), fill["name"]
    return Instruction(form.format(**fill), given, value, language)


def _about_words(
    family: str, which: int, form: str, slots: tuple[int, ...], language: str
) -> Instruction:
    """Of a list of words, the last numbers of which may stand for what is asked."""
    words, fill = wording()[language], {"kind": wording()[language]["kinds"][which]}
    shown = slots[: {"contains": 4, "leave_out": 4, "replace": 3}.get(family, len(slots))]
    if len(shown) < len(slots):
        fill["word"] = word(slots[len(shown)], language)
        fill["other"] = word(slots[-1], language)
    kinds = [number // VALUES for number in shown]
    answers = {
        "place": lambda: shown[-1 if PLACES[which] == "last" else which :][:1],
        "pick": lambda: [shown[kinds.index(which)]],
        "repeat": lambda: shown,
        "reverse": lambda: shown[::-1],
        "swap": lambda: (shown[-1], *shown[1:-1], shown[0]),
        "odd": lambda: [n for n, kind in zip(shown, kinds, strict=True) if kinds.count(kind) == 1],
        "leave_out": lambda: [n for n in shown if n != slots[-1]],
        "replace": lambda: [slots[-1] if n == slots[3] else n for n in shown],
    }
    if family in answers:
        said = words["joint"].join(word(number, language) for number in answers[family]())
    elif family == "count":
        said = words["numbers"][len(shown) - 1]
    elif family == "kind":
        said = words["kinds"][kinds[0]]
    else:
        said = words["yes" if slots[-1] in shown else "no"]
    given = words["joint"].join(word(number, language) for number in shown)
    return Instruction(form.format(**fill), given, said, language)


def _translation(
    there: World, family: str, form: str, slots: tuple[int, ...], language: str
) -> Instruction:
    """Of a word or a sentence; the last number says how far away the language is."""
    target = LANGUAGES[(LANGUAGES.index(language) + slots[-1]) % len(LANGUAGES)]
    name = wording()[language]["languages"][LANGUAGES.index(target)]
    if family == "translate_word":
        given, translated = (word(slots[0], code) for code in (language, target))
    else:
        entity, relation, sentence, _ = slots
        given, translated = (
            "".join(there.fact(entity, relation, code, sentence)) for code in (language, target)
        )
    return Instruction(form.format(target=name), given, translated, target)
