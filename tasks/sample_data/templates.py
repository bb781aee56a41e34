"""Templates: one language's words and sentences, and how a sentence takes its words.

A slot of a template is one of
    {who}          the word in its first form
    {who.dat}      the form that the lexicon lists under `dat`
    {job@who}      the form `m` or `f`, by the gender of who; {job.ins@who}: `insm` or `insf`
    {who?he|she}   the text that fits the gender of who; {who+friend?..|..}: `f` only if all are
Languages inflect, so a lexicon holds every form that its sentences use; no rule makes one. Korean
particles alone follow from sound: 은/는 after a word becomes the one that its last syllable takes.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from polylm_jax.errors import InputError

SLOT = re.compile(r"\{([a-z+]+)(?:\.(\w+))?(?:@([a-z]+))?(?:\?([^{}]*))?\}")
GENDERS = "mfnp"  # masculine, feminine, neuter, plural: the order of the texts after `?`
ASCII_DIGITS = "0123456789"
OPENING = "“”„«»‘‹「『¿¡—–-\"' \u00a0"  # stands before a sentence's first letter

# After a final consonant | after a vowel. ㄹ takes 로, as a vowel does.
PARTICLE = re.compile("([가-힣])(은/는|이/가|을/를|과/와|으로/로|이에요/예요|이라는/라는)")
_RIEUL = 8


@dataclass(frozen=True)
class Word:
    """What a slot holds: an item of a category of the lexicon; `hour` where that is a time."""

    category: str
    item: str
    hour: int = 0


Value = Word | int


@dataclass(frozen=True)
class Book:
    """All that is written in one language.

    Attributes:
        code: the language's code.
        words: category -> item -> form -> text.
        frames: kind of document -> number of sentence -> template.
        stories: name -> its lines, the title first; line i translates line i of every language.
        space: what stands between two sentences.
        digits: the ten digits, for languages that write their own.
        capitals: small letter -> capital, where it isn't Unicode's (Turkish i).
        gender: item of a person -> `m` or `f`, the same in all languages.
    """

    code: str
    words: Mapping[str, Mapping[str, Mapping[str, str]]]
    frames: Mapping[str, Mapping[str, str]]
    stories: Mapping[str, tuple[str, ...]]
    space: str
    digits: str
    capitals: Mapping[str, str]
    gender: Mapping[str, str]

    def fill(self, template: str, slots: Mapping[str, Value]) -> str:
        """The sentence that a template and the values of its slots make.

        Raises InputError when the lexicon lacks the form that a slot asks for.
        """
        text = SLOT.sub(lambda match: self._slot(match, slots), template)
        if self.code == "ko":
            text = attach_particles(text)
        return self._capitalised(text)

    def _slot(self, match: re.Match, slots: Mapping[str, Value]) -> str:
        names, form, by, texts = match.groups()
        values = [slots[name] for name in names.split("+")]
        if texts is not None:
            return texts.split("|")[self._gender(values)]
        if isinstance(values[0], int):
            return self._number(values[0])
        form = (form or "") + (GENDERS[self._gender([slots[by]])] if by else "")
        return self._form(values[0], form).replace("{h}", self._number(values[0].hour))

    def _form(self, word: Word, form: str) -> str:
        forms = self.words[word.category][word.item]
        if form and form not in forms:
            raise InputError(
                f"lexicon/{self.code}.toml: {word.category}.{word.item} has no form {form!r}: "
                "add it, or take it out of the sentence that asks for it."
            )
        return forms[form] if form else next(iter(forms.values()))

    def _gender(self, words: Sequence[Value]) -> int:
        """The place in `GENDERS`; of several people feminine only if all are."""
        found = set()
        for word in words:
            assert isinstance(word, Word), f"{word} has no gender"
            is_person = word.category == "person"
            found.add(self.gender[word.item] if is_person else self._form(word, "g"))
        return GENDERS.index(found.pop() if len(found) == 1 else "m")

    def _number(self, number: int) -> str:
        return str(number).translate(str.maketrans(ASCII_DIGITS, self.digits))

    def _capitalised(self, text: str) -> str:
        rest = text.lstrip(OPENING)
        if not rest:
            return text
        first = self.capitals[rest[0]] if rest[0] in self.capitals else rest[0].upper()
        return text[: len(text) - len(rest)] + first + rest[1:]


def attach_particles(text: str) -> str:
    """Chooses Korean particles by the sound before them: '안나은/는 빵을/를' -> '안나는 빵을'."""
    return PARTICLE.sub(_particle, text)


def _particle(match: re.Match) -> str:
    syllable, pair = match.groups()
    final = (ord(syllable) - ord("가")) % 28
    after_consonant, after_vowel = pair.split("/")
    closed = final != 0 and not (final == _RIEUL and after_vowel == "로")
    return syllable + (after_consonant if closed else after_vowel)


def read_book(folder: Path, code: str, gender: Mapping[str, str]) -> Book:
    """Reads lexicon/CODE.toml, frames/CODE.toml and stories/CODE.txt of a folder."""
    words = tomllib.loads((folder / f"lexicon/{code}.toml").read_text(encoding="utf-8"))
    writing = {"digits": ASCII_DIGITS, "capitals": {}, **words.pop("writing")}
    forms = {
        category: {
            item: {"": text} if isinstance(text, str) else text for item, text in items.items()
        }
        for category, items in words.items()
    }
    return Book(
        code=code,
        words=forms,
        frames=tomllib.loads((folder / f"frames/{code}.toml").read_text(encoding="utf-8")),
        stories=_stories((folder / f"stories/{code}.txt").read_text(encoding="utf-8")),
        space=writing["between_sentences"],
        digits=writing["digits"],
        capitals=writing["capitals"],
        gender=gender,
    )


def _stories(text: str) -> dict[str, tuple[str, ...]]:
    """Blocks between empty lines: `# name`, the title, then a sentence a line."""
    stories = {}
    for block in text.strip().split("\n\n"):
        name, *lines = block.split("\n")
        stories[name.removeprefix("# ")] = tuple(lines)
    return stories
