"""The rounds: seeds into each language, then prompts of 2 seeds and 1 task of the pool, answers into the pool.

A language's answers are judged in the order of their prompts, whichever comes first, so that a pool
depends on what was answered and not on when. What a round draws from is the pool before it.
"""

import asyncio
import functools
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from polylm_jax.corpus.instructions import checks, parsing, prompts
from polylm_jax.corpus.instructions.answers import FILTERED, LENGTH, Answer, Failed
from polylm_jax.corpus.instructions.endpoint import HIDDEN, Client
from polylm_jax.corpus.instructions.journal import Journal
from polylm_jax.corpus.instructions.spending import CapReached
from polylm_jax.corpus.instructions.state import LanguageState
from polylm_jax.corpus.instructions.task import Seed, Task
from polylm_jax.runtime.ranges import Count, Natural

TRANSLATIONS = (0.0, 0.7, 1.0)  # temperature of each attempt at a seed
FATAL = ("HTTP 401", "HTTP 403", "HTTP 404")  # key, rights, name: nothing else will be answered
GIVE_UP = 8  # questions in a row without an answer
BARREN_ROUNDS = 2  # of a language, answered without one task for the pool: more would give no other
KEY_CAME_BACK = "the endpoint's key in the answer"


@dataclass(frozen=True)
class Plan:
    """rounds: of each language; prompts: of each, first: while the pool is empty (paper, app. A)."""

    rounds: Count = 10
    prompts: Count = 100
    first: Count = 10
    seed: Natural = 0


class Rounds:
    """All languages at once over one client.

    report: called with a language and 0 after each event, and with its number after each round, for
    what is shown and published.
    """

    def __init__(
        self,
        client: Client,
        journal: Journal,
        seeds: Sequence[Seed],
        plan: Plan,
        limits: checks.Limits,
        report: Callable[[LanguageState, int], None],
    ):
        self._client, self._journal, self._seeds = client, journal, seeds
        self._plan, self._limits, self._report = plan, limits, report
        self.stopped = ""  # why, where it ended before its time
        self.error = ""  # what of that is for the user to mend
        self._answered = 0
        self._failing: list[tuple[LanguageState, dict, Failed]] = []

    async def run(self, states: Sequence[LanguageState]) -> None:
        """Every language to its last round, or as far as cap and endpoint let it."""
        try:
            async with asyncio.TaskGroup() as group:
                for state in states:
                    group.create_task(self._language(state))
        except ExceptionGroup as several:
            raise several.exceptions[0] from None
        if self._failing and not self._answered:
            self._stop(self._failing[-1][2])
        self._give_up_failing()

    async def _language(self, state: LanguageState) -> None:
        # Checks take the processor for a while: on a thread, so that answers go on coming in.
        checker = await asyncio.to_thread(checks.Checker, state.language, (), self._limits)
        await asyncio.gather(*(self._translate(state, seed, checker) for seed in self._seeds))
        examples = state.usable_seeds([*self._seeds])
        if self.stopped or len(examples) < prompts.EXAMPLES:
            return
        names = [task.instruction for task in examples]
        pool = [task.instruction for _, task in state.tasks]
        await asyncio.to_thread(checker.fill, names, pool)
        for number in range(1, self._plan.rounds + 1):
            if not self.stopped or state.answers:
                await self._round(state, number, examples, checker)
            if state.barren(number) and number >= BARREN_ROUNDS:
                return

    async def _round(self, state, number: int, examples: list[Task], checker) -> None:
        before = state.before(number)
        count = self._plan.prompts if before else self._plan.first
        places = [(number, n) for n in range(count) if (number, n) not in state.done]
        asked = {
            place: asyncio.create_task(self._answer(state, place, examples, before))
            for place in places
        }
        for place in places:
            await asked[place]
            if place in state.answers:
                text, finish = state.answers[place]
                verdict = await asyncio.to_thread(judged, text, finish, checker)
                where = {"language": state.language.code, "round": place[0], "number": place[1]}
                self._use(state, {"event": "verdict", **where, **verdict})
        if places:
            self._report(state, number)

    async def _answer(self, state, place, examples: list[Task], before: list[Task]) -> None:
        """Asks the prompt of a place, unless its answer is in the journal."""
        if place in state.answers:
            return
        chosen = self._examples(state.language.code, place, examples, before)
        where = {"language": state.language.code, "round": place[0], "number": place[1]}
        answer = await self._asked(
            lambda: self._client.ask(prompts.for_tasks(state.language, chosen)),
            state,
            lambda outcome: {"event": "failed", **where, "outcome": outcome},
        )
        if answer:
            event = {"event": "answer", **where, "text": answer.text, "finish": answer.finish}
            self._use(state, {**event, "tokens": answer.tokens})

    def _examples(self, code: str, place, seeds: list[Task], pool: list[Task]) -> list[Task]:
        """Two seeds and a task of the pool; three seeds while that is empty."""
        chance = random.Random(f"{self._plan.seed} {code} {place[0]} {place[1]}")
        if not pool:
            return chance.sample(seeds, prompts.EXAMPLES)
        return [*chance.sample(seeds, prompts.EXAMPLES - 1), chance.choice(pool)]

    async def _translate(self, state: LanguageState, seed: Seed, checker) -> None:
        """A seed in a language, tried as often as `TRANSLATIONS` says."""
        if seed.id in state.seeds:
            return
        reasons: list[str] = []
        event = {
            "event": "seed",
            "language": state.language.code,
            "id": seed.id,
            "reasons": reasons,
        }
        if state.language.code == "en":
            self._use(state, {**event, "task": seed.task.record()})
            return
        request = prompts.for_translation(state.language, seed.task, seed.keep)
        for temperature in TRANSLATIONS:
            answer = await self._asked(
                functools.partial(self._client.ask, request, temperature),
                state,
                lambda outcome: {**event, "task": None, "reasons": [outcome]},
            )
            if answer is None:
                return
            task, reason = await asyncio.to_thread(translated, answer, seed, checker)
            if task:
                self._use(state, {**event, "task": task.record()})
                return
            reasons.append(reason)
        self._use(state, {**event, "task": None})

    async def _asked(
        self,
        ask: Callable[[], Awaitable[Answer]],
        state: LanguageState,
        given_up: Callable[[str], dict],
    ) -> Answer | None:
        """The answer; None where the run has been stopped, or this question is given up."""
        if self.stopped:
            return None
        try:
            answer = await ask()
        except CapReached:
            self.stopped = self.stopped or "the cap is reached"
            return None
        except Failed as failed:
            self._failing.append((state, given_up(failed.outcome), failed))
            hopeless = not self._answered and not failed.transient
            if hopeless or failed.outcome in FATAL or len(self._failing) >= GIVE_UP:
                self._stop(failed)
            return None
        self._answered += 1
        self._give_up_failing()  # the endpoint works, so it was about those questions
        return answer

    def _give_up_failing(self) -> None:
        for state, event, _ in self._failing:
            self._use(state, event)
        self._failing.clear()

    def _stop(self, failed: Failed) -> None:
        """The questions that got no answer are asked again by the next start."""
        self.stopped = self.stopped or "the endpoint gives no answers"
        self.error = self.error or str(failed)
        self._failing.clear()

    def _use(self, state: LanguageState, event: dict) -> None:
        self._journal.write(event)
        state.use(event)
        self._report(state, 0)


def judged(text: str, finish: str, checker: checks.Checker) -> dict:
    """What of an answer goes into the pool, and (reason, beginning of the instruction) of the rest."""
    parsed = [(None, KEY_CAME_BACK)] if HIDDEN in text else parsing.parse(text, finish)
    accepted, refused, left_out = [], [], 0
    for found, reason in parsed:
        task = None
        if found:
            task, reason = checker.accept(found)
        if found and task:
            accepted.append(task.record())
            left_out += bool(found.input) and not task.input
        else:
            refused.append((reason, found.instruction[:200] if found else ""))
    return {"accepted": accepted, "refused": refused, "inputs_left_out": left_out}


def translated(answer: Answer, seed: Seed, checker: checks.Checker) -> tuple[Task | None, str]:
    """The seed task in an answer, or None and the reason why there is none."""
    if HIDDEN in answer.text:
        return None, KEY_CAME_BACK
    if answer.finish in (LENGTH, FILTERED):
        return None, parsing.CUT_OFF if answer.finish == LENGTH else parsing.STOPPED
    task, reason = parsing.parse_translation(answer.text, seed.keep, seed.task)
    if task and (reason := checker.defect(task)):
        return None, reason
    return task, reason
