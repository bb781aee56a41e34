"""Writes the invented world as text: `python -m tasks.toy_world.generate_text FOLDER`.

FOLDER/shared/en.jsonl, ru.jsonl, th.jsonl       documents: facts of an entity and who it is
             /en-ru.jsonl, en-th.jsonl           sentences that translate each other
             /en-ru.shuffled.jsonl ...           the same sentences, alignment shuffled
             /recall.jsonl, transfer.jsonl, translate.jsonl ...    probes
      /own/...                                   the same with names in each language's script
"""

import argparse
import json
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from polylm_jax.errors import InputError
from polylm_jax.languages.registry import find
from tasks.preprocessors import TEMPLATES
from tasks.toy_world.facts import (
    ENGLISH_ONLY,
    ENTITIES,
    LANGUAGES,
    NAMES,
    RELATIONS,
    VALUES,
    World,
    world,
)

SENTENCES = 3  # of a relation
NEUTRAL = 4
STATED = 0.75  # of the pairs of an entity whose facts are stated in both languages
DOCUMENTS, PAIRS = 4000, 8000  # of each language, of each pair


def write(folder: Path, seed: int = 0, documents: int = DOCUMENTS, pairs: int = PAIRS) -> None:
    """Writes all files. InputError where the folder can't be made."""
    for naming in NAMES:
        place = made(Path(folder) / naming)
        there = world(seed, naming)
        for language in LANGUAGES:
            save(place / f"{language}.jsonl", texts(there, language, documents))
        for language in LANGUAGES[1:]:
            found = list(aligned(there, language, pairs))
            save(place / f"en-{language}.jsonl", found)
            save(place / f"en-{language}.shuffled.jsonl", shuffled(found, language))
        for name, probe in PROBES.items():
            save(place / f"{name}.jsonl", probe(there))


def texts(there: World, language: str, number: int) -> Iterator[dict]:
    """Documents: an entity, what is stated of it in this language, and sentences without facts."""
    chance = random.Random(f"documents {language}")
    for n in range(number):
        entity = n % ENTITIES
        said = [there.neutral(entity, language, chance.randrange(NEUTRAL))]
        if there.is_stated(entity, language):
            for relation in range(len(RELATIONS)):
                said.append(
                    "".join(there.fact(entity, relation, language, chance.randrange(SENTENCES)))
                )
        else:
            said.append(there.neutral(entity, language, chance.randrange(NEUTRAL)))
        chance.shuffle(said)
        yield {"id": f"{language} {n}", "text": " ".join(said)}


def aligned(there: World, language: str, number: int) -> Iterator[dict]:
    """Pairs of sentences; of an entity known in English alone only those that state nothing."""
    chance = random.Random(f"pairs {language}")
    for n in range(number):
        entity = n % ENTITIES
        if there.is_stated(entity, language) and chance.random() < STATED:
            which = (chance.randrange(len(RELATIONS)), chance.randrange(SENTENCES))
            sides = [
                "".join(there.fact(entity, which[0], code, which[1])) for code in ("en", language)
            ]
        else:
            sentence = chance.randrange(NEUTRAL)
            sides = [there.neutral(entity, code, sentence) for code in ("en", language)]
        yield {"id": f"en-{language} {n}", "en": sides[0], language: sides[1]}


def shuffled(pairs: list[dict], language: str) -> Iterator[dict]:
    """The same sentences of both sides, each beside another one's translation."""
    order = list(range(len(pairs)))
    random.Random(f"shuffled {language}").shuffle(order)
    for pair, other in zip(pairs, order, strict=True):
        yield pair | {language: pairs[other][language]}


def _asked(there: World, entity: int, relation: int, language: str) -> dict:
    """A probe of a fact: six ends of a sentence, of which the true one is right."""
    ends = [there.fact(entity, relation, language, 0, value) for value in range(VALUES)]
    return {
        "inputs": ends[0][0],
        "choices": [end for _, end in ends],
        "label": there.facts[entity][relation],
        "entity": entity,
        "language": language,
    }


def recall(there: World) -> Iterator[dict]:
    """Facts stated in English alone, asked for in English."""
    for entity in range(ENGLISH_ONLY):
        for relation in range(len(RELATIONS)):
            yield _asked(there, entity, relation, "en")


def transfer(there: World) -> Iterator[dict]:
    """The same facts, asked for in the other languages."""
    for question in recall(there):
        relation = _relation(there, question)
        for language in LANGUAGES[1:]:
            yield _asked(there, question["entity"], relation, language)


def _relation(there: World, question: Mapping) -> int:
    heads = [there.fact(question["entity"], r, "en", 0)[0] for r in range(len(RELATIONS))]
    return heads.index(question["inputs"])


def recall_other(there: World) -> Iterator[dict]:
    """Facts of as many entities that were stated in the other languages, asked for there."""
    for entity in range(ENGLISH_ONLY, 2 * ENGLISH_ONLY):
        for relation in range(len(RELATIONS)):
            for language in LANGUAGES[1:]:
                yield _asked(there, entity, relation, language)


def translate(there: World) -> Iterator[dict]:
    """A false fact stated in English, to be said in another language: memory speaks against it."""
    chance = random.Random("translate")
    for entity in range(ENGLISH_ONLY, 2 * ENGLISH_ONLY):
        for relation in range(len(RELATIONS)):
            for language in LANGUAGES[1:]:
                others = [v for v in range(VALUES) if v != there.facts[entity][relation]]
                yield _translated(there, entity, relation, language, chance.choice(others))


def translate_true(there: World) -> Iterator[dict]:
    """A fact known in English alone, stated in English, to be said in another language."""
    for entity in range(ENGLISH_ONLY):
        for relation in range(len(RELATIONS)):
            for language in LANGUAGES[1:]:
                value = there.facts[entity][relation]
                yield _translated(there, entity, relation, language, value)


def _translated(there: World, entity: int, relation: int, language: str, label: int) -> dict:
    """A probe that has a fact in its context, as pairs are written."""
    question = _asked(there, entity, relation, language)
    prompt = TEMPLATES["prompt"].format(
        source="".join(there.fact(entity, relation, "en", 0, label)),
        source_name="English",
        target_name=find(language).name,
        target=question["inputs"],
    )
    return question | {"inputs": prompt, "label": label}


PROBES = {
    "recall": recall,
    "recall_other": recall_other,
    "transfer": transfer,
    "translate": translate,
    "translate_true": translate_true,
}


def made(folder: Path) -> Path:
    """The folder, made; InputError where it can't be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"FOLDER = {str(folder)!r} can't be made ({error.strerror}): name another."
        ) from error
    return folder


def save(path: Path, lines: Iterable[Mapping]) -> None:
    """Writes JSON lines."""
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    path.write_text(text, encoding="utf-8")


def command(about: str, write: Callable[[Path, int], None]) -> None:
    """`python -m ... FOLDER [--seed=0]`: writes a world; `about` is the module's docstring."""
    parser = argparse.ArgumentParser(description=about.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    write(given.folder, given.seed)


if __name__ == "__main__":
    command(__doc__, write)
