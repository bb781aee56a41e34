"""Instructions of the world as evaluation tasks: an answer is generated, and is right or not."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from polylm_jax.evaluation import protocol
from polylm_jax.evaluation.protocol import GENERATE, Protocol
from tasks import registry
from tasks.benchmarks import records
from tasks.benchmarks.examples import Generate
from tasks.benchmarks.items import Item, ItemSource, text
from tasks.instructions.templates import CONTENT, find
from tasks.toy_world.facts import World, world
from tasks.toy_world.generate_instructions import PROBES
from tasks.toy_world.language_of import languages_of

SPLIT = "test"
FIELDS = {name: str for name in ("inputs", "answer", "type", "language", "asked")}
MAX_NEW_TOKENS = 32  # an answer has 27 at most


@dataclass(frozen=True)
class Prompt:
    """An instruction as the template of tuning writes it, up to where its answer begins."""

    template: str
    joint: str = ""

    def context(self, item: Item) -> str:
        return find(self.template).user.replace(CONTENT, item["inputs"])

    def references(self, item: Item) -> Sequence[str]:
        return [item["answer"]]


def register(
    data_dir: str,
    vocabulary: str,
    names: Sequence[str] = tuple(PROBES),
    template: str = "multialpaca",
    seed: int = 0,
) -> tuple[str, ...]:
    """Registers `instructions.seen` ... of DATA_DIR/seen.jsonl ... and returns the names.

    Metrics, in percent: `exact_match` of all and by the instruction's language, `exact_match_ru`;
    `exact_match_others`, of all but English; `in_language_...`, answers in the language asked;
    `from_en`, `to_en` and `between_others`: exact match of translations by direction.
    """
    for name in names:
        path = records.published(f"{name}.jsonl", {".jsonl": "jsonl"}, data_dir, {}, "probes")
        source = ItemSource({SPLIT: path}, {SPLIT: _item}, FIELDS)
        task = f"instructions.{name}"
        registry.add_evaluation_task(
            task, source, Generate(Prompt(template)), vocabulary, number_of,
            [_scored(source, world(seed, english_only=0))],
        )  # fmt: skip
        rules = Protocol(
            "instructions", name, SPLIT, GENERATE, "exact_match", stop=(),
            max_new_tokens=MAX_NEW_TOKENS,
        )  # fmt: skip
        protocol.add(task, rules)
    return tuple(f"instructions.{name}" for name in names)


def _item(record: Mapping) -> Item:
    return {name: text(record, name) for name in FIELDS}


def number_of(target: object, example: dict | None = None, is_target: bool = False) -> object:
    """SeqIO's postprocessor: the item's number of a target, else what it's given."""
    if not is_target:
        return target
    assert example is not None
    return int(example["idx"][0])


def _scored(source: ItemSource, there: World) -> Callable:
    """SeqIO's metric function over the items of a source."""

    def scored(targets: Sequence[int], predictions: Sequence[str]) -> dict[str, float]:
        groups: dict[str, list[bool]] = {}
        for number, said in zip(targets, predictions, strict=True):
            item, said = source.items(SPLIT)[number], said.strip()
            ends = [item["language"], *(["others"] if item["language"] != "en" else [])]
            right = said == item["answer"]
            for name in ("exact_match", *(f"exact_match_{end}" for end in ends), *_way(item)):
                groups.setdefault(name, []).append(right)
            if languages_of(item["answer"], there) == {item["asked"]}:  # a name alone is in none
                spoken = item["asked"] in languages_of(said, there)
                for name in ("in_language", *(f"in_language_{end}" for end in ends)):
                    groups.setdefault(name, []).append(spoken)
        return {name: 100 * sum(hits) / len(hits) for name, hits in sorted(groups.items())}

    return scored


def _way(item: Item) -> tuple[str, ...]:
    """The direction of a translation, as a metric's name."""
    if item["asked"] == item["language"]:
        return ()
    if "en" in (item["asked"], item["language"]):
        return ("from_en" if item["language"] == "en" else "to_en",)
    return ("between_others",)
