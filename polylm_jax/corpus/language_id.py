"""Which language a text is in, and how sure that is: fastText's lid.176 or lingua."""

import functools
import os
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import regex

from polylm_jax.errors import InputError
from polylm_jax.languages import registry

# Beside the wanted languages these are told apart, so that a text in one of them is refused and not
# taken for its nearest neighbour. Malay is left out: its sentences are Indonesian ones, too.
OTHERS = ("uk", "bg", "sr", "fa", "ur", "ca", "sv", "da", "cs", "ro", "fi", "hu", "hr", "el", "hi")
SEEN = 300  # characters of a text that are looked at
UNKNOWN = "und"
# What isn't language: code, placeholders, addresses. A page of commands is in the language around.
_NOT_PROSE = regex.compile(
    r"`[^`\n]*`|\{\{.*?\}\}|<[^<>\n]*>|(?:https?|ftp)://\S+|www\.\S+|\S+@\S+|^\s*#+.*$",
    regex.MULTILINE,
)

Guess = tuple[str, float]  # code ('und' if none), confidence from 0 to 1


def prose(text: str) -> str:
    """The part that tells a language: no code, no addresses; the whole where nothing else is there."""
    text = unicodedata.normalize("NFC", text[: 4 * SEEN])
    rest = " ".join(_NOT_PROSE.sub(" ", text).split())
    return rest[:SEEN] if len(rest) >= 20 else text[:SEEN]


@functools.lru_cache(maxsize=4)
def lingua(codes: tuple[str, ...]) -> Callable[[str], Guess]:
    """lingua's n-grams: in the package, so there is nothing to get. Texts of a few words and more."""
    import lingua as package

    known = {x.iso_code_639_1.name.lower(): x for x in package.Language.all()}
    chosen = [known[code] for code in dict.fromkeys((*codes, *OTHERS)) if code in known]
    builder = package.LanguageDetectorBuilder.from_languages(*chosen)
    # Trigrams only: as right on texts of a sentence and more, 1.5 times as fast, a tenth of the memory.
    detector = builder.with_low_accuracy_mode().build()

    def guess(text: str) -> Guess:
        best = detector.compute_language_confidence_values(text)[0]
        return best.language.iso_code_639_1.name.lower(), best.value

    return guess


@functools.cache
def known(code: str) -> bool:
    """Whether lingua tells a language, by its ISO 639-1 code."""
    import lingua as package

    return code in {x.iso_code_639_1.name.lower() for x in package.Language.all()}


@functools.lru_cache(maxsize=4)
def fasttext(path: str) -> Callable[[str], Guess]:
    """A fastText classifier with labels '__label__en', such as lid.176.bin or lid.176.ftz.

    Raises InputError where the file isn't there or isn't fastText's, or the package is missing.
    """
    if not os.path.isfile(path):
        raise InputError(f"LID_MODEL = {path!r} isn't there: give lid.176.bin, or '' for lingua.")
    try:
        from fasttext.FastText import _FastText
    except ImportError as error:
        raise InputError(
            f"LID_MODEL = {path!r} needs fastText: pip install fasttext-numpy2-wheel."
        ) from error
    try:
        model = _FastText(path)
    except ValueError as error:
        raise InputError(f"LID_MODEL = {path!r} is no fastText model: get it again.") from error

    def guess(text: str) -> Guess:
        labels, scores = model.predict(text.replace("\n", " "), k=1)
        if not labels:
            return UNKNOWN, 0.0
        return _code_of(labels[0]), min(1.0, float(scores[0]))

    guess.codes = frozenset(canonical(_code_of(label)) for label in model.get_labels())
    return guess


def _code_of(label: str) -> str:
    """'__label__khm_Khmr' -> 'khm'."""
    return label.removeprefix("__label__").partition("_")[0]


def canonical(code: str) -> str:
    """A detector's code as the project has it ('iw' -> 'he'), unknown ones as they are."""
    try:
        return registry.find(code).code
    except InputError:
        return code


@dataclass(frozen=True)
class Identifier:
    """Attributes:
    codes: the languages that are wanted.
    model: a fastText model's file; '' for lingua.
    compare: whether lingua is asked too, to report how often the two agree.
    """

    codes: Sequence[str]
    model: str = ""
    compare: bool = False

    def __call__(self, text: str) -> Guess:
        """(language, confidence) of a text."""
        text = prose(text)
        code, sure = self._first()(text) if text.strip() else (UNKNOWN, 0.0)
        return canonical(code), sure

    def knows(self, code: str) -> bool:
        """Whether the detector can answer with a language at all."""
        return code in fasttext(self.model).codes if self.model else known(code)

    def second(self, text: str) -> str:
        """What lingua says, where fastText was asked first."""
        return canonical(lingua(tuple(self.codes))(prose(text))[0])

    def _first(self) -> Callable[[str], Guess]:
        return fasttext(self.model) if self.model else lingua(tuple(self.codes))
