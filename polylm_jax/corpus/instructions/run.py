"""`run.py self_instruct`: instruction data in many languages, written by a model behind OpenAI's protocol."""

import asyncio
import importlib
import pathlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import httpx

from polylm_jax.corpus.instructions import card, checks, prompts
from polylm_jax.corpus.instructions.endpoint import Client, Endpoint
from polylm_jax.corpus.instructions.journal import Journal
from polylm_jax.corpus.instructions.progress import PoolProgress
from polylm_jax.corpus.instructions.rounds import Plan, Rounds
from polylm_jax.corpus.instructions.spending import Cap, Spending
from polylm_jax.corpus.instructions.state import LanguageState, summary
from polylm_jax.corpus.instructions.task import Seed, load_seeds
from polylm_jax.errors import InputError
from polylm_jax.languages import registry as known_languages
from polylm_jax.runtime import json_lines, paths
from polylm_jax.runtime.fingerprint import differences
from polylm_jax.runtime.lock import hold
from polylm_jax.runtime.parameter_types import check_ranges
from polylm_jax.runtime.storage import Folder, json_hash, to_json
from polylm_jax.runtime.text_lines import parse_json

# The languages of MultiAlpaca. English and Chinese have Alpaca and Chinese-Alpaca.
MULTIALPACA = ("ar", "de", "es", "fr", "id", "ja", "ko", "pt", "ru", "th", "vi")
SETTINGS = "settings.json"
SEED_TEXTS = "seed_texts_sha256"


def self_instruct(
    endpoint: Endpoint,
    pool: str,
    *,
    languages: Sequence[str] = MULTIALPACA,
    seed_tasks: str = "",
    plan: Plan | None = None,
    cap: Cap | None = None,
    limits: checks.Limits | None = None,
    new_languages: Mapping[str, object] | None = None,
) -> None:
    """Makes instruction data: seeds, translations, rounds of prompts, checks, a file per language.

    endpoint: the model.
    pool: the folder of all that is made; a start goes on where the last ended.
    languages: any that `polylm_jax.languages.registry` knows.
    seed_tasks: a file, '' for the project's own.
    plan: rounds and prompts.
    cap: what all starts together may cost.
    limits: words of a task's parts.
    new_languages: code -> (English name, own name, script) of what the project doesn't know yet.

    Raises InputError for bad input, and for an endpoint that gives no answers; nothing is lost then.
    """
    # Where the client is missing, that is told before anything is written.
    importlib.import_module("openai")
    plan, cap, limits = plan or Plan(), cap or Cap(), limits or checks.Limits()
    endpoint.key()
    for code, described in (new_languages or {}).items():
        _register(code, described)
    states = [LanguageState(language) for language in _languages(languages)]
    seeds = load_seeds(seed_tasks)
    settings = _settings(endpoint, seeds, check_ranges(plan), limits)
    folder = _folder(pool)
    check_ranges(cap, "cap.")
    lock = hold(Folder(str(folder), "POOL"))
    try:
        _same_pool(folder, settings)
        _Run(folder, endpoint, states, seeds, plan, cap, limits, settings).run()
    finally:
        lock.close()


class _Run:
    """One start: the journal read, the rounds run, files published whatever ends it."""

    def __init__(self, folder, endpoint, states, seeds, plan, cap, limits, settings):
        self._folder, self._endpoint, self._settings = folder, endpoint, settings
        self._states: list[LanguageState] = states
        self._seeds, self._plan, self._limits = seeds, plan, limits
        self._journal = Journal(folder)
        self._spending = Spending(cap, self._journal)
        self._replay()
        self._progress = PoolProgress(self._planned(), self._done(), self._spending)

    def _replay(self) -> None:
        """What earlier starts have left. Languages that are not asked for now rest."""
        by_code = {state.language.code: state for state in self._states}

        def use(event: dict) -> None:
            if event["event"] in ("sent", "paid"):
                self._spending.replay(event)
            elif state := by_code.get(event["language"]):
                state.use(event)

        self._journal.replay(use)
        self._spending.replayed()

    def run(self) -> None:
        ended = "interrupted"
        try:
            with self._progress:
                rounds = asyncio.run(self._rounds())
            ended = rounds.stopped or self._without_tasks() or "complete"
        finally:
            self._publish(ended)
            self._journal.close()
        self._say(rounds)

    def _without_tasks(self) -> str:
        """For the card: the languages that all rounds gave nothing."""
        codes = [state.language.code for state in self._states if not state.tasks]
        return f"ended without a task in {', '.join(codes)}" if codes else ""

    async def _rounds(self) -> Rounds:
        async with Client(self._endpoint, self._spending) as client:
            rounds = Rounds(
                client, self._journal, self._seeds, self._plan, self._limits, self._report
            )
            await rounds.run(self._states)
            return rounds

    def _report(self, state: LanguageState, number: int) -> None:
        """After each event (0), and after a round."""
        self._progress.update(self._done(), sum(len(one.tasks) for one in self._states))
        if number:
            tally, code = state.rounds[number], state.language.code
            self._progress.line(
                f"{code} round {number}: {tally.accepted:,} of {tally.tasks:,} tasks taken, "
                f"{len(state.tasks):,} in the pool"
            )
            self._publish("under way")

    def _done(self) -> int:
        """Seeds translated, or given up, and prompts with a verdict."""
        return sum(len(state.seeds) + len(state.done) for state in self._states)

    def _planned(self) -> int:
        asked = self._plan.first + self._plan.prompts * (self._plan.rounds - 1)
        return len(self._states) * (len(self._seeds) + asked)

    def _publish(self, ended: str) -> None:
        """Each file whole or as it was: LL.jsonl, card.json, card.md."""
        place = Folder(str(self._folder), "POOL")
        for state in self._states:
            lines = b"".join(json_lines.encoded(task.record()) for _, task in state.tasks)
            place.write(f"{state.language.code}.jsonl", lines)
        made = card.made(
            [summary(state, len(self._seeds)) for state in self._states],
            self._settings,
            {
                "requests": self._spending.requests,
                "tokens": self._spending.tokens,
                "outcomes": dict(self._spending.outcomes),
            },
            httpx.URL(self._endpoint.base_url).host,
            ended,
        )
        place.write("card.json", to_json(made))
        place.write("card.md", card.markdown(made).encode())

    def _say(self, rounds: Rounds) -> None:
        """How it ended, and what is for the user to mend."""
        total = sum(len(state.tasks) for state in self._states)
        self._progress.line(
            f"{total:,} tasks for {self._spending.requests:,} requests and {self._spending.tokens:,} "
            f"tokens, as {self._folder / 'card.md'} says."
        )
        if rounds.error:
            raise InputError(
                f"BASE_URL = {self._endpoint.base_url!r} gives no answers ({rounds.error}): what came "
                "is kept; when it works, the same command goes on."
            )
        if rounds.stopped:
            raise InputError(
                "The cap is reached before the last round: what came is kept; raise MAX_REQUESTS or "
                "MAX_TOKENS_SPENT and the same command goes on."
            )
        usable = [len(state.usable_seeds(self._seeds)) for state in self._states]
        poor = [s.language.code for s, n in zip(self._states, usable) if n < prompts.EXAMPLES]
        if poor:
            raise InputError(
                f"MODEL = {self._endpoint.model!r} translated fewer than {prompts.EXAMPLES} seed "
                f"tasks into {', '.join(poor)}: card.md says why; try another model."
            )
        if barren := [state for state in self._states if state.barren(self._plan.rounds)]:
            raise InputError(_barren(self._endpoint.model, barren))


def _barren(model: str, states: Sequence[LanguageState]) -> str:
    """The sentence about languages whose rounds gave the pool nothing, with the commonest reason."""
    reasons = []
    for state in states:
        (reason, times), *_ = state.reasons.most_common(1) or [("no task in them", 0)]
        answers = sum(one.answers for one in state.rounds.values())
        reasons.append(f"{state.language.code}: {answers} answers, {times:,} times {reason!r}")
    return (
        f"MODEL = {model!r} gave no task for the pool ({'; '.join(reasons)}): card.md has all reasons "
        "and journal.jsonl the answers; try another model, or more ANSWER_TOKENS where they are cut off."
    )


def _register(code: str, described: object) -> None:
    if not (
        isinstance(described, list | tuple)
        and len(described) == 3
        and all(isinstance(one, str) for one in described)
    ):
        raise InputError(
            f"NEW_LANGUAGES[{code!r}] = {described!r}: give its English name, its own name and its "
            "script by ISO 15924, as ('Swahili', 'Kiswahili', 'Latn')."
        )
    known_languages.register(known_languages.Language(code, *described))


def _languages(codes: Sequence[str]) -> list[known_languages.Language]:
    found = [known_languages.find(code) for code in ([codes] if isinstance(codes, str) else codes)]
    if not found:
        raise InputError("LANGUAGES is empty: give codes, as ('th', 'vi').")
    return [*dict.fromkeys(found)]


def _settings(endpoint: Endpoint, seeds: Sequence[Seed], plan: Plan, limits) -> dict:
    """What decides what is asked and what is taken. Languages, rounds, caps may change."""
    return {
        "model": endpoint.model,
        **{name: _sent(endpoint, name) for name in ("temperature", "top_p")},
        "max_tokens": endpoint.max_tokens,
        "prompts": plan.prompts,
        "first": plan.first,
        "seed": plan.seed,
        "limits": asdict(limits),
        "seed_tasks": [seed.id for seed in seeds],
        SEED_TEXTS: json_hash([asdict(seed) for seed in seeds]),
    }


def _sent(endpoint: Endpoint, name: str) -> object:
    return "the endpoint's own" if name in endpoint.leave_out else getattr(endpoint, name)


def _folder(pool: str) -> pathlib.Path:
    folder = paths.local(pool, "POOL")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"POOL = {pool!r} is a file: name a folder.")
    there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    unfinished = {name for name in there if SETTINGS in name}
    if there - {"lock", *unfinished} and SETTINGS not in there:
        raise InputError(f"POOL = {pool!r} holds something else: name a new folder.")
    return folder


def _same_pool(folder: pathlib.Path, settings: dict) -> None:
    """Refuses to mix what other settings have made."""
    place = Folder(str(folder), "POOL")
    before = place.peek(SETTINGS)
    if before is None:
        place.write(SETTINGS, to_json(settings))
        return
    found = parse_json(before)
    if isinstance(found, str):
        raise InputError(
            f"POOL = {str(folder)!r}: {SETTINGS} is {found}: restore the file, or name another folder."
        )
    # Pools of earlier versions know their seed tasks by their ids alone.
    known = {SEED_TEXTS: settings[SEED_TEXTS]} | found
    if changed := differences(known, settings):
        raise InputError(
            f"POOL = {str(folder)!r} was begun with other settings ({changed[0]}): name another "
            "folder, or give the same."
        )
