"""Writes the world of instructions: `python -m tasks.toy_world.generate_instructions FOLDER`.

FOLDER/en.jsonl, es.jsonl, ru.jsonl, th.jsonl     documents: facts of every entity in every language
      /en-es.jsonl, en-ru.jsonl, en-th.jsonl      pairs: sentences, and instructions without answers
      /tuning/en.jsonl ...                        instructions with answers, of 30 types
      /seen.jsonl                                 instances of those types that stand in no other file
      /unseen_types.jsonl                         instances of the ten others
      /sentences.jsonl                            sentences to translate whose pairs stand nowhere
"""

import random
from collections.abc import Iterator
from pathlib import Path

from tasks.toy_world import instruction_types as types
from tasks.toy_world.facts import ENTITIES, RELATIONS, World, world
from tasks.toy_world.generate_text import command, made, save, texts

PER_TYPE = 300  # of tuning, in each language
DOCUMENTS, PAIRS = 4000, 8000
ASKED = {"seen": 4, "unseen_types": 6, "sentences": 8}  # instances of a type, of a direction


def write(
    folder: Path, seed: int = 0, per_type: int = PER_TYPE, documents: int = DOCUMENTS,
    pairs: int = PAIRS,
) -> None:  # fmt: skip
    """Writes all files. InputError where the folder can't be made."""
    folder = Path(folder)
    made(folder / "tuning")
    there = world(seed, english_only=0)
    for language in types.LANGUAGES:
        save(folder / f"{language}.jsonl", texts(there, language, documents))
        save(folder / f"tuning/{language}.jsonl", tuning(there, language, per_type))
    for language in types.LANGUAGES[1:]:
        save(folder / f"en-{language}.jsonl", aligned(there, language, pairs))
    for name, probe in PROBES.items():
        save(folder / f"{name}.jsonl", probe(there))


def tuning(there: World, language: str, per_type: int) -> Iterator[dict]:
    """Instructions of the tuned types: the same instances in every language."""
    chance = random.Random("tuning")
    for number in range(per_type * len(types.TUNED_TYPES)):
        name = types.TUNED_TYPES[number % len(types.TUNED_TYPES)]
        written = types.worded(there, name, types.draw(name, chance, held_out=False), language)
        yield {
            "instruction": written.instruction,
            "input": written.input or None,
            "output": written.output,
        }


def aligned(there: World, language: str, number: int) -> Iterator[dict]:
    """Pairs of sentences and, as many, of instructions of all 40 types, which nobody answers."""
    chance = random.Random(f"pairs {language}")
    for n in range(number):
        if n % 2:
            name = types.TYPES[n // 2 % len(types.TYPES)]
            slots = types.draw(name, chance, held_out=False)
            written = [types.worded(there, name, slots, code) for code in ("en", language)]
            sides = [one.instruction for one in written]
        else:
            entity, relation, sentence, _ = types.draw("translate_sentence", chance, held_out=False)
            sides = ["".join(there.fact(entity, relation, c, sentence)) for c in ("en", language)]
        yield {"id": f"en-{language} {n}", "en": sides[0], language: sides[1]}


def seen(there: World) -> Iterator[dict]:
    """Instances that nothing was tuned on, of the types that were: the same in every language."""
    yield from _asked(there, "seen", types.TUNED_TYPES)


def unseen_types(there: World) -> Iterator[dict]:
    """Instances of the types that nothing was tuned on."""
    yield from _asked(there, "unseen_types", types.HELD_OUT_TYPES)


def _asked(there: World, probe: str, names: tuple[str, ...]) -> Iterator[dict]:
    chance = random.Random(probe)
    for name in names:
        drawn = (types.draw(name, chance, held_out=True) for _ in range(50 * ASKED[probe]))
        for slots in list(dict.fromkeys(drawn))[: ASKED[probe]]:
            for language in types.LANGUAGES:
                yield _item(there, name, slots, language)


def sentences(there: World) -> Iterator[dict]:
    """Sentences to translate whose pairs stand nowhere, each in all twelve directions."""
    chance, name = random.Random("sentences"), "translate_sentence"
    every = [
        (entity, relation, sentence)
        for entity in range(ENTITIES)
        for relation in range(len(RELATIONS))
        for sentence in range(types.SENTENCES)
        if types.is_held_out(name, (entity, relation, sentence, 1))
    ]
    for slots in chance.sample(every, ASKED["sentences"]):
        for language in types.LANGUAGES:
            for away in range(1, len(types.LANGUAGES)):
                yield _item(there, name, (*slots, away), language)


def _item(there: World, name: str, slots: tuple[int, ...], language: str) -> dict:
    written = types.worded(there, name, slots, language)
    question = f"{written.instruction}\n{written.input}" if written.input else written.instruction
    return {
        "inputs": question,
        "answer": written.output,
        "type": name,
        "language": language,
        "asked": written.asked,
    }


PROBES = {"seen": seen, "unseen_types": unseen_types, "sentences": sentences}

if __name__ == "__main__":
    command(__doc__, write)
