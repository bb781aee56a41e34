"""Which language a task and its output are in, as far as lingua is sure; a task may ask for another one by name."""

import functools

import babel
import regex

from polylm_jax.corpus import language_id
from polylm_jax.corpus.instructions.task import Task
from polylm_jax.languages import registry
from polylm_jax.languages.registry import Language

SURE = 0.9  # how sure lingua must be that a text is in another language
SURER = 0.99  # and, of an output, in another one of the same script
ENGLISH = "en"  # what models fall back to: no second look
# Letters of an output, without quotes, names and code, below which its language isn't asked for: "Paris", "x = 3".
FEWEST_LETTERS = 30
STEM = 4  # letters of a language's name that stay as it is declined: "inglesa", "английского"

_QUOTED = regex.compile(
    r"\"[^\"\n]*\"|“[^”\n]*”|„[^“”\n]*[“”]|«[^»\n]*»|「[^」\n]*」|『[^』\n]*』|`[^`\n]*`"
)
_CODE = regex.compile(r"(?s:```.*?(?:```|\Z))|^.*(?:[=;{}<>]|\w\(|\breturn\b).*$", regex.MULTILINE)
# "Sweet Home Alabama" in a Spanish list of songs.
_NAME = regex.compile(r"\b\p{Lu}[\p{L}\p{M}'’.-]*")
_WORD = regex.compile(r"\w")
_LETTER = regex.compile(r"\p{L}")


class Spoken:
    """Tells of the tasks of one language whether they are in another; of one that lingua doesn't
    know, never."""

    def __init__(self, language: Language):
        self.language = language
        self._identify = language_id.Sentences(
            tuple(dict.fromkeys((*registry.PAPER_CODES, language.code)))  # one order: one model
        )

    def wrong_instruction(self, task: Task) -> bool:
        """Whether the instruction is surely in another language.

        A short instruction is easily taken for one in a neighbouring language ('Cite 5 capitais da
        América do Sul.'): then the whole task is looked at. What is quoted says nothing.
        """
        if not language_id.sentence_known(self.language.code):
            return False
        text = _QUOTED.sub(" ", task.instruction)
        code, sure = self._identify(text if _WORD.search(text) else task.instruction)
        if code == self.language.code or sure < SURE:
            return False
        if code == ENGLISH or not self._same_script(code):
            return True
        whole = f"{task.instruction}\n{task.input}\n{task.output}"
        return self._identify(whole)[0] != self.language.code

    def wrong_output(self, task: Task) -> bool:
        """Whether the output is surely in a language that the task neither is in nor names nor holds."""
        if not language_id.sentence_known(self.language.code):
            return False
        text = _NAME.sub(" ", _QUOTED.sub(" ", _CODE.sub(" ", task.output)))
        if len(_LETTER.findall(text)) < FEWEST_LETTERS:
            return False
        code, sure = self._identify(text)
        if code == self.language.code or sure < SURE or self._named(code, task):
            return False
        if code != ENGLISH and self._same_script(code):  # a neighbour's: the names have to agree
            again, sure = self._identify(task.output)
            if again != code or sure < SURER:
                return False
        return not task.input or self._identify(task.input)[0] != code

    def _named(self, code: str, task: Task) -> bool:
        asked = f"{task.instruction}\n{task.input}".casefold()
        return any(name in asked for name in names(code, self.language.code))

    def _same_script(self, code: str) -> bool:
        other = registry.LANGUAGES.get(code)
        return (other.script if other else "Latn") == self.language.script


@functools.cache
def names(code: str, within: str) -> tuple[str, ...]:
    """How a language is called in another one, in English and by itself, cut to what stays when declined.

    >>> names("en", "es")
    ('ingl', 'engl')
    """
    found = []
    for speaker in dict.fromkeys((within, ENGLISH, code)):
        try:
            name = babel.Locale.parse(speaker).languages.get(code)
        except (babel.UnknownLocaleError, ValueError):
            continue
        if name:
            cut = name.isalpha() and regex.search(r"[\p{Latin}\p{Cyrillic}\p{Greek}]", name)
            found.append(name.casefold()[:STEM] if cut else name.casefold())
    return tuple(dict.fromkeys(found))
