"""The probes of the invented world as evaluation tasks: six ends of a sentence, one of them true."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from polylm_jax.evaluation import protocol
from polylm_jax.evaluation.protocol import RANK, SUM, Protocol
from tasks import registry
from tasks.benchmarks import records
from tasks.benchmarks.examples import Choice, Rank, rank_target
from tasks.benchmarks.items import BadRecord, Item, ItemSource, text
from tasks.toy_world.facts import VALUES

SPLIT = "test"
FIELDS = {"inputs": str, "choices": list, "label": int, "entity": int, "language": str}
PROBES = ("recall", "recall_other", "transfer", "translate", "translate_true")


@dataclass(frozen=True)
class Prompt:
    """A sentence up to its value, of which each value is scored."""

    def choices(self, item: Item) -> list[Choice]:
        return [Choice(item["inputs"], choice) for choice in item["choices"]]

    def answer(self, item: Item) -> int:
        return item["label"]


def register(data_dir: str, vocabulary: str, names: Sequence[str] = PROBES) -> tuple[str, ...]:
    """Registers `world.recall`, `world.transfer` ... of DATA_DIR/recall.jsonl ... and returns the names.

    Metrics: `accuracy` in percent, `accuracy_ru` of one language, `unit_07` of one entity.
    """
    for name in names:
        path = records.published(f"{name}.jsonl", {".jsonl": "jsonl"}, data_dir, {}, "probes")
        source = ItemSource({SPLIT: path}, {SPLIT: _item}, FIELDS)
        task = f"world.{name}"
        metric = _by_entity(source)
        registry.add_evaluation_task(
            task, source, Rank(Prompt()), vocabulary, rank_target, [metric]
        )
        rules = Protocol("world", name, SPLIT, RANK, "accuracy", normalisation=SUM, choices=VALUES)
        protocol.add(task, rules)
    return tuple(f"world.{name}" for name in names)


def _item(record: Mapping) -> Item:
    """An item of a probe's JSON lines."""
    choices = record.get("choices")
    if not isinstance(choices, list) or record.get("label") not in range(len(choices)):
        raise BadRecord("'choices' and 'label' don't fit each other")
    return {
        "inputs": text(record, "inputs"),
        "choices": list(choices),
        "label": record["label"],
        "entity": int(record.get("entity", 0)),
        "language": text(record, "language"),
    }


def _by_entity(source: ItemSource) -> Callable:
    """SeqIO's metric function over the items of a source."""

    def accuracy(targets: Sequence, scores: Sequence) -> dict[str, float]:
        """Percent of items whose true end is the most probable: of all, by language, by entity."""
        items: dict[int, list[tuple[float, bool]]] = {}
        for ((number, _), right), (total, _) in zip(targets, scores, strict=True):
            items.setdefault(number, []).append((total, right))
        groups: dict[str, list[bool]] = {}
        for number, choices in items.items():
            hit = max(choices)[1]
            about = source.items(SPLIT)[number]
            for name in ("accuracy", f"accuracy_{about['language']}", f"unit_{about['entity']:02}"):
                groups.setdefault(name, []).append(hit)
        return {name: 100 * sum(hits) / len(hits) for name, hits in groups.items()}

    return accuracy
