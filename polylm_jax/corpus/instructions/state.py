"""What a pool knows of one language: its seeds, its tasks, and how far its rounds have come."""

from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field

from polylm_jax.corpus.instructions.task import Seed, Task
from polylm_jax.languages.registry import Language

Place = tuple[int, int]  # round, number of the prompt


@dataclass
class Round:
    """Of one round: answers, tasks in them, tasks taken into the pool, requests given up."""

    answers: int = 0
    tasks: int = 0
    accepted: int = 0
    failed: int = 0


@dataclass
class LanguageState:
    """Everything follows from the journal's events, in their order."""

    language: Language
    seeds: dict[str, Task | None] = field(default_factory=dict)  # None: none came of it
    seed_reasons: Counter = field(default_factory=Counter)
    tasks: list[tuple[int, Task]] = field(default_factory=list)  # (round, task)
    answers: dict[Place, tuple[str, str]] = field(default_factory=dict)  # without a verdict yet
    done: set[Place] = field(default_factory=set)  # with a verdict, or given up
    rounds: dict[int, Round] = field(default_factory=lambda: defaultdict(Round))
    reasons: Counter = field(default_factory=Counter)
    inputs_left_out: int = 0

    def use(self, event: dict) -> None:
        """An event of this language."""
        place = (event.get("round", 0), event.get("number", 0))
        if event["event"] == "seed":
            self.seeds[event["id"]] = from_record(event["task"])
            self.seed_reasons.update(event["reasons"])
        elif event["event"] == "answer":
            self.answers[place] = (event["text"], event["finish"])
        elif event["event"] == "failed":
            self.done.add(place)
            self.rounds[place[0]].failed += 1
        elif event["event"] == "verdict":
            self._use_verdict(place, event)

    def _use_verdict(self, place: Place, event: dict) -> None:
        self.answers.pop(place, None)
        self.done.add(place)
        tally, refused = self.rounds[place[0]], event["refused"]
        tally.answers += 1
        tally.tasks += len(event["accepted"]) + len(refused)
        tally.accepted += len(event["accepted"])
        self.tasks += [(place[0], _task(one)) for one in event["accepted"]]
        self.reasons.update(reason for reason, _ in refused)
        self.inputs_left_out += event["inputs_left_out"]

    def before(self, number: int) -> list[Task]:
        """The pool as a round finds it."""
        return [task for at, task in self.tasks if at < number]

    def barren(self, number: int) -> bool:
        """Whether rounds up to `number` were answered and gave the pool no task."""
        answered = any(one.answers for at, one in self.rounds.items() if at <= number)
        return answered and not self.tasks

    def usable_seeds(self, seeds: list[Seed]) -> list[Task]:
        """The seed tasks in this language, in the order of the file."""
        return [task for seed in seeds if (task := self.seeds.get(seed.id))]


def from_record(record: dict | None) -> Task | None:
    """A task of its record; None of None."""
    return None if record is None else _task(record)


def _task(record: dict) -> Task:
    return Task(**{**record, "input": record["input"] or ""})


def summary(state: LanguageState, seeds: int) -> dict:
    """The numbers of a language, as the card has them."""
    return {
        "language": state.language.code,
        "seeds": sum(task is not None for task in state.seeds.values()),
        "seeds_asked": seeds,
        "seed_reasons": dict(state.seed_reasons.most_common()),
        "tasks": sum(one.tasks for one in state.rounds.values()),
        "accepted": len(state.tasks),
        "without_input": sum(not task.input for _, task in state.tasks),
        "inputs_left_out": state.inputs_left_out,
        "rounds": {str(number): asdict(one) for number, one in sorted(state.rounds.items())},
        "refused": dict(state.reasons.most_common()),
    }
