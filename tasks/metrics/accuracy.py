"""Accuracy of rank classification: the choice with the highest log-probability, in two norms."""

from collections.abc import Mapping, Sequence

Idx = tuple[int, int]  # (item, choice)


def accuracy(
    targets: Sequence[tuple[Idx, bool]], scores: Sequence[tuple[float, int]]
) -> Mapping[str, float]:
    """Percent of items whose right choice ranks first, by sum and by mean per token.

    Args:
        targets: per example ((item, choice), is_correct).
        scores: per example (sum of log-probabilities in nats, number of tokens).

    Returns:
        `accuracy_sum`, `accuracy_mean` and `items`. Of equal choices the first counts, as argmax
        has it.
    """
    if len(targets) != len(scores):
        raise ValueError(f"{len(targets)} targets, but {len(scores)} scores")
    items: dict[int, list[tuple[int, bool, float, float]]] = {}
    for ((item, choice), right), (total, tokens) in zip(targets, scores):
        mean = total / tokens if tokens else total
        items.setdefault(item, []).append((choice, right, total, mean))
    hits = {"sum": 0, "mean": 0}
    for item, choices in items.items():
        choices.sort(key=lambda one: one[0])
        if sum(right for _, right, _, _ in choices) != 1:
            raise ValueError(f"item {item} has no one right choice among {len(choices)}")
        for key, place in (("sum", 2), ("mean", 3)):
            hits[key] += max(choices, key=lambda one: one[place])[1]  # the first of the highest
    found = {f"accuracy_{key}": 100 * hit / len(items) for key, hit in hits.items()}
    return {**found, "items": len(items)}
