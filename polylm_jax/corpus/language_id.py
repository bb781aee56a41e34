"""Which language a text is in, and how sure that is: CLD2 with lingua's help, or a fastText model.

CLD2 looks at pieces spread over the whole text, among 165 languages, so that Afrikaans is Afrikaans
and not the nearest of the wanted ones; and it says how much a text is like its language at all. Where
little is written, or CLD2 finds nothing, lingua is asked, among its 75.
"""

import functools
import os
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import regex

from polylm_jax.corpus import detection, stop_words
from polylm_jax.corpus.detection import UNKNOWN, canonical
from polylm_jax.errors import InputError
from polylm_jax.languages import registry

# Beside the wanted languages these are told apart where lingua is asked about few, so that a sentence
# in one of them is refused and not taken for its nearest neighbour.
OTHERS = ("uk", "bg", "sr", "fa", "ur", "ca", "sv", "da", "cs", "ro", "fi", "hu", "hr", "el", "hi")
PIECES, PIECE = 5, 500  # of a long text so many pieces of so many characters are looked at
SENTENCES = 300  # characters that `Sentences` looks at
SHORT = (
    120  # letters, weighed: of shorter good text CLD2 gets 2 % wrong, and lingua is asked as well
)
CLEAR = 0.9  # how sure CLD2 must be that nobody else is asked
MAYBE = 0.35  # of the bytes, before a source's word decides
CANTONESE = "yue"  # which the detectors take for Chinese
SURE = 0.8  # how sure lingua must be to overrule it
# What a letter says, in letters of Latin script.
_WEIGHT = (
    (regex.compile(r"[\p{Han}]"), 2.6),
    (regex.compile(r"[\p{Hiragana}\p{Katakana}\p{Hangul}]"), 1.9),
)
# Of Hebrew and Arabic: few texts have them.
_POINTS = re.compile("[\u0591-\u05bd\u05bf-\u05c7\u064b-\u0652]")
_LETTER = regex.compile(r"\p{L}")
_LATIN = regex.compile(r"\p{Latin}")
# What isn't language: code, placeholders, addresses. A page of commands is in the language around.
# Each alternative begins with a letter of its own, so `re` jumps to the next of these; the two that may
# begin anywhere are tried only where their sign stands: a third of the time.
_NOT_PROSE = r"`[^`\n]*`|\{\{.*?\}\}|<[^<>\n]*>|https?://\S+|ftp://\S+|www\.\S+"
_ANYWHERE = {"@": r"|[^\s@]+@\S+", "#": r"|^[ \t]*#+.*$"}
Guess = tuple[str, float]  # code ('und' if none), confidence from 0 to 1


def spread(text: str) -> str:
    """The text, or pieces from all over it: its beginning alone may be a banner."""
    if len(text) <= PIECES * PIECE:
        return text
    step = (len(text) - PIECE) // (PIECES - 1)
    return "\n".join(text[n * step : n * step + PIECE] for n in range(PIECES))


@functools.cache
def _not_prose(signs: str) -> re.Pattern:
    return re.compile(_NOT_PROSE + "".join(map(_ANYWHERE.__getitem__, signs)), re.MULTILINE)


def without_code(text: str) -> str:
    """The text without code, placeholders and addresses, white space closed up."""
    return "\n".join(filter(None, lines_without_code(text)))


def lines_without_code(text: str) -> list[str]:
    """The same of each line, '' where nothing is left."""
    code = _not_prose("".join(sign for sign in _ANYWHERE if sign in text))
    return [" ".join(line.split()) for line in code.sub(" ", text).split("\n")]


@functools.lru_cache(maxsize=4)  # the same text is asked for its lines and for its language
def prose(text: str) -> str:
    """The part that tells a language: no code, no addresses; the whole where nothing else is there."""
    text = unicodedata.normalize("NFKC", spread(text))
    if not text.isascii():
        text = _POINTS.sub("", text)
    rest = without_code(text)
    return rest if len(rest) >= 20 else text


def weighed_letters(text: str) -> float:
    """Letters, each by what it says beside one of Latin script."""
    letters = sum(map(str.isalpha, text))
    if text.isascii():
        return letters
    return letters + sum((weight - 1) * len(kind.findall(text)) for kind, weight in _WEIGHT)


def is_short(text: str, least: float) -> bool:
    """Whether a text has fewer `weighed_letters`; of a long one the beginning tells."""
    beginning = text[: int(3 * least)]
    return weighed_letters(beginning) < least and (
        len(beginning) == len(text) or weighed_letters(text) < least
    )


@functools.lru_cache(maxsize=4)
def lingua(codes: tuple[str, ...]) -> Callable[[str], Guess]:
    """lingua's n-grams: in the package, so there is nothing to get. Texts of a few words and more."""
    known = _linguas()
    return _lingua([known[code] for code in dict.fromkeys((*codes, *OTHERS)) if code in known])


@functools.cache
def lingua_of_all() -> Callable[[str], Guess]:
    """lingua among all of its languages: slower by half than CLD2 is in ten texts, for short ones."""
    return _lingua(_linguas().values())


@functools.cache
def _linguas() -> dict[str, object]:
    import lingua as package

    return {x.iso_code_639_1.name.lower(): x for x in package.Language.all()}


def _lingua(chosen) -> Callable[[str], Guess]:
    import lingua as package

    builder = package.LanguageDetectorBuilder.from_languages(*chosen)
    # Trigrams only: as right on texts of a sentence and more, 1.5 times as fast, a tenth of the memory.
    detector = builder.with_low_accuracy_mode().build()

    def guess(text: str) -> Guess:
        best = detector.compute_language_confidence_values(text)[0]
        return best.language.iso_code_639_1.name.lower(), best.value

    return guess


@functools.cache
def known(code: str) -> bool:
    """Whether CLD2 or lingua tells a language, by the project's code of it."""
    return detection.knows(code) or code in _linguas() or code == CANTONESE


@functools.lru_cache(maxsize=4)
def fasttext(path: str) -> Callable[[str], Guess]:
    """A fastText classifier with labels '__label__en' or '__label__eng_Latn': lid.176.bin, GlotLID, OpenLID."""
    model = _fasttext(path)

    def guess(text: str) -> Guess:
        labels, scores = model.predict(text.replace("\n", " "), k=1)
        if not labels:
            return UNKNOWN, 0.0
        return _code_of(labels[0]), min(1.0, float(scores[0]))

    return guess


@functools.lru_cache(maxsize=4)
def _fasttext(path: str):
    """The model of a file.

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
    return model


# ISO 639-3 of models such as GlotLID -> the project's codes, where `languages` has no such alias.
_THREE_LETTERS = {"arb": "ar", "cmn": "zh", "zsm": "ms", "swh": "sw", "pes": "fa", "uzn": "uz",
                  "ekk": "et", "lvs": "lv", "azj": "az", "khk": "mn", "npi": "ne", "ydd": "yi",
                  "als": "sq", "hin": "hi", "ben": "bn", "ell": "el", "ukr": "uk", "tam": "ta",
                  "kat": "ka", "khm": "km", "lao": "lo", "mya": "my", "swe": "sv", "dan": "da",
                  "nob": "nb", "nno": "nn", "ces": "cs", "ron": "ro", "fin": "fi", "hun": "hu"}  # fmt: skip
# How a model writes the scripts of languages that it has in one script only.
_SCRIPTS = {"Hani": ("Hans", "Hant", "Jpan"), "Hang": ("Kore",)}


def _code_of(label: str) -> str:
    """'__label__eng_Latn' -> 'eng'; what is in another script than its language's keeps it: 'hin-Latn'."""
    name, _, script = label.removeprefix("__label__").partition("_")
    code = canonical(_THREE_LETTERS.get(name, name))
    language = registry.LANGUAGES.get(code)
    if not script or language is None or language.script in (script, *_SCRIPTS.get(script, ())):
        return code
    return f"{code}-{script}"


@functools.lru_cache(maxsize=4)
def fasttext_languages(path: str) -> frozenset[str]:
    """The languages that a fastText model tells, by the project's codes."""
    return frozenset(map(_code_of, _fasttext(path).get_labels()))


def sentence_known(code: str) -> bool:
    """Whether `Sentences` tells a language."""
    return code in _linguas()


@dataclass(frozen=True)
class Sentences:
    """lingua alone, for an instruction or an answer of a sentence or two, among few languages.

    Attributes:
        codes: the languages that are expected; `OTHERS` are told apart from them.
    """

    codes: Sequence[str]

    def __call__(self, text: str) -> Guess:
        """(language, confidence) of what begins a text."""
        text = unicodedata.normalize("NFC", text[: 4 * SENTENCES])
        rest = " ".join(without_code(text).split())
        code, sure = lingua(tuple(self.codes))((rest if len(rest) >= 20 else text)[:SENTENCES])
        return canonical(code), sure


@dataclass(frozen=True)
class Identifier:
    """Attributes:
    codes: the languages that are wanted.
    model: a fastText model's file; '' for CLD2 and lingua.
    compare: whether lingua is asked too, to report how often the two agree.
    """

    codes: Sequence[str]
    model: str = ""
    compare: bool = False

    def __call__(self, text: str, claimed: str = "") -> Guess:
        """(language, confidence) of a text; `claimed` is believed where it may well be either."""
        text = prose(text)
        if not text.strip():
            return UNKNOWN, 0.0
        if self.model:
            return fasttext(self.model)(text)
        return self._detected(text, claimed)

    def _detected(self, text: str, claimed: str) -> Guess:
        found = detection.detected(text)
        for code, share, fluency in found.parts:
            if code == claimed != found.code and share > MAYBE:
                return code, fluency
        code, sure = found.code, found.fluency * min(1.0, found.share / 0.6)
        if code in ("id", "ms"):
            code = stop_words.closer(text, ("id", "ms")) or ("id" if "id" in self.codes else code)
        if code == "zh" and stop_words.is_cantonese(text):
            code = CANTONESE
        if code == "en" and sure < SURE and not stop_words.enough(text, "en"):
            # Of no language that CLD2 knows: romanised Hindi is English to it.
            sure = min(sure, 0.4)
        doubtful = is_short(text, SHORT) or (code == UNKNOWN and not _LATIN.search(text))
        # Pages of English names and terms are taken for English: that answer is looked at twice.
        if not doubtful and code != "en" and min(sure, found.share) >= CLEAR:
            return code, sure
        if not doubtful:
            other = stop_words.more_like(text, code, self.codes)
            return (other, SURE) if other and self._second(text)[0] == other else (code, sure)
        second, how_sure = self._second(text)
        if second == code:
            return code, 1 - (1 - sure) * (1 - how_sure)  # both may be wrong, hardly in one way
        if (
            code == UNKNOWN
            or second == claimed
            or (how_sure >= SURE and second in self.codes and sure < SURE)
        ):
            return second, how_sure
        return code, min(sure, 1 - how_sure) if second in self.codes and sure < SURE else sure

    def _second(self, text: str) -> Guess:
        code, sure = lingua_of_all()(text)
        return canonical(code), sure

    def knows(self, code: str) -> bool:
        """Whether a language can be told at all: a text in any other is taken for something else."""
        if not self.model:
            return known(code)
        return code in fasttext_languages(self.model)

    def second(self, text: str) -> str:
        """What lingua says, where fastText was asked first."""
        return canonical(lingua(tuple(self.codes))(prose(text))[0])
