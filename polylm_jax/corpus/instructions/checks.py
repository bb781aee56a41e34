"""What a task must be to come into the pool: each check returns its reason. The paper's order, safety first."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import regex

from polylm_jax.corpus.instructions import refusals, screening
from polylm_jax.corpus.instructions.likeness import Pool, rouge_l
from polylm_jax.corpus.instructions.spoken import Spoken
from polylm_jax.corpus.instructions.task import Task
from polylm_jax.languages.registry import Language
from polylm_jax.languages.words import GRAPHEMES_PER_WORD, segments
from polylm_jax.runtime.ranges import Count
from polylm_jax.text import instruction_defects

# From which F on an instruction is said to repeat its input (paper, appendix A).
INPUT_LIKENESS = {"ko": 0.3, "vi": 0.3, "ar": 0.2}
OTHER_INPUT_LIKENESS = 0.5

_WORD = regex.compile(r"\w")
_LETTER = regex.compile(r"\p{L}")  # none of MultiAlpaca's es, ja, pt (30,974) is without one
_PLACEHOLDER = regex.compile(  # "[insert a text here]", but not "[1, 2]" and not "{'a': 1}"
    r"""\W*(?:\[[^\[\]\n\d"',:]{1,80}\]|\{[^{}\n\d"',:]{1,80}\}|<[^<>\n\d"',:]{1,80}>)\W*"""
)

LIKE_POOL, LIKE_SEED = "like an instruction of the pool", "like a seed task's instruction"
WRONG_LANGUAGE, WRONG_OUTPUT = "wrong language", "the output is in another language"
REPEATS_INPUT = "the instruction repeats its input"


@dataclass(frozen=True)
class Limits:
    """The most words of each part: half as many again as the prompt asks for. Scripts without
    spaces count graphemes, `words.GRAPHEMES_PER_WORD` to a word."""

    instruction: Count = 100
    input: Count = 150
    output: Count = 300


class Checker:
    """The checks of one language, with its pool.

    seeds: instructions that no task may repeat. The language itself is not asked for where lingua
    doesn't know it.
    """

    def __init__(self, language: Language, seeds: Sequence[str] = (), limits: Limits | None = None):
        self.language, self.limits = language, limits or Limits()
        self.pool, self.seeds = Pool(language.code), Pool(language.code)
        self.fill(seeds, ())
        self._spoken = Spoken(language)

    def fill(self, seeds: Sequence[str], pool: Sequence[str]) -> None:
        """More instructions that are there already."""
        for known, instructions in ((self.seeds, seeds), (self.pool, pool)):
            for instruction in instructions:
                known.add(instruction)

    def accept(self, task: Task) -> tuple[Task | None, str]:
        """(the task, '') and the pool has it, or (None, the reason why not).

        The one thing that is changed, as in the paper: an input that stands in its instruction
        becomes no input.
        """
        if reason := self.defect(task):
            return None, reason
        task = self.without_repeated_input(task)
        if self._repeats_input(task):
            return None, REPEATS_INPUT
        if self.seeds.closest(task.instruction):
            return None, LIKE_SEED
        if self.pool.closest(task.instruction):
            return None, LIKE_POOL
        self.pool.add(task.instruction)
        return task, ""

    def defect(self, task: Task) -> str:
        """What is wrong with a task by itself, '' for nothing."""
        parts = (task.instruction, task.input, task.output)
        if reason := next(filter(None, map(screening.unsafe, parts)), ""):
            return reason
        if reason := self._too_long(task):
            return reason
        if not _LETTER.search(task.instruction):
            return "no word in the instruction"
        if any(map(screening.has_link, parts)):
            return "a link"
        if any(map(screening.repeats, parts)):
            return "the same over and over"
        if refusals.is_one(task.output):
            return "refusal"
        if _PLACEHOLDER.fullmatch(task.input):
            return "a placeholder for an input"
        if reason := instruction_defects.reason(task.record()):
            return reason
        if self._spoken.wrong_instruction(task):
            return WRONG_LANGUAGE
        return WRONG_OUTPUT if self._spoken.wrong_output(task) else ""

    def _too_long(self, task: Task) -> str:
        for name in ("instruction", "input", "output"):
            text, most = getattr(task, name), getattr(self.limits, name)
            if len(text) > 40 * most or word_count(text, self.language) > most:
                return f"the {name} is too long"
        return ""

    def without_repeated_input(self, task: Task) -> Task:
        """The task, its input left out if the instruction holds it."""
        return replace(task, input="") if task.input and task.input in task.instruction else task

    def _repeats_input(self, task: Task) -> bool:
        if not task.input:
            return False
        most = INPUT_LIKENESS.get(self.language.code, OTHER_INPUT_LIKENESS)
        return rouge_l(task.instruction, task.input, self.language.code) > most + 1e-9


def word_count(text: str, language: Language) -> float:
    """Words of a text, or what would be words of another language, by script."""
    parts = sum(1 for part in segments(text, language.code) if _WORD.match(part))
    if language.script == "Kore":  # segments are syllables there, and spaces stand between words
        return len(text.split())
    return parts / GRAPHEMES_PER_WORD.get(language.script, 1.0)
