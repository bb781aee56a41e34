"""What a seed does to every mixture alike: estimated from the anchors, taken out of every run.

Anchors are trained with several seeds and the other mixtures with one. A seed's initial parameters move
all of its runs together, by more than what is left between them, so without this a law takes the other
seeds' luck for what the anchors' shares are worth.
"""

from collections.abc import Mapping, Sequence

import numpy as np

FEWEST = 2  # mixtures with all seeds: of one, an effect is that mixture's own noise
Effects = Mapping[int, Mapping[str, float]]  # seed -> measure -> how far above the mean of seeds


def of(
    anchors: Mapping[str, Sequence[Mapping]], seeds: Sequence[int]
) -> dict[int, dict[str, float]]:
    """The effects of seeds; none where fewer than two anchors have all of them."""
    whole = [
        {record["seed"]: record["numbers"] for record in records} for records in anchors.values()
    ]
    whole = [one for one in whole if set(one) == set(seeds)]
    if len(whole) < FEWEST or len(seeds) < 2:
        return {}
    measures = set.intersection(*(set(numbers) for one in whole for numbers in one.values()))
    found: dict[int, dict[str, float]] = {seed: {} for seed in seeds}
    for measure in sorted(measures):
        values_AS = np.array([[one[seed][measure] for seed in seeds] for one in whole])
        effect_S = (values_AS - values_AS.mean(axis=1, keepdims=True)).mean(axis=0)
        for seed, effect in zip(seeds, effect_S.tolist(), strict=True):
            found[seed][measure] = effect
    return found


def without(record: Mapping, effects: Effects) -> dict:
    """A run's record with its seed's effect taken out; what was measured stands beside it."""
    effect = effects.get(record["seed"], {})
    numbers = {name: value - effect.get(name, 0.0) for name, value in record["numbers"].items()}
    return {**record, "numbers": numbers, "as_measured": record["numbers"]}
