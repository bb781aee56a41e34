"""In which share of generated answers the language is the one asked in, as the corpus's identifier tells it."""

import functools
from collections.abc import Callable, Sequence

from polylm_jax.corpus import language_id
from polylm_jax.errors import InputError
from polylm_jax.languages import registry


@functools.cache
def _identify(code: str) -> Callable[[str], tuple[str, float]]:
    return language_id.Sentences(tuple(dict.fromkeys((*registry.PAPER_CODES, code))))


def check(code: str) -> str:
    """The code, or InputError where nobody can tell the language."""
    if not language_id.sentence_known(code):
        raise InputError(
            f"language {code!r}: the identifier doesn't know it, so nobody can tell whether an answer "
            "is in it: leave it out."
        )
    return code


def in_language(code: str) -> Callable[[Sequence, Sequence[str]], dict[str, float]]:
    """SeqIO's metric function for answers in a language, in percent of all.

    `in_language`: answers in it; `in_english`, where that is another: what models fall back to;
    `no_language`: answers without a letter. An answer that is long enough to say more is judged by
    its beginning, as documents are.
    """

    def scored(targets: Sequence, predictions: Sequence[str]) -> dict[str, float]:
        del targets  # how the answer reads is not compared, only what it is in
        said = [_identify(code)(text)[0] if _has_letters(text) else "" for text in predictions]
        counts = {"in_language": said.count(code), "no_language": said.count("")}
        if code != "en":
            counts["in_english"] = said.count("en")
        return {name: 100 * count / len(said) for name, count in counts.items()}

    scored.__name__ = "in_language"
    return scored


def _has_letters(text: str) -> bool:
    return any(character.isalpha() for character in text)
