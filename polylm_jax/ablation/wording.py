"""What both forms of a report say in words: numbers with their spread, differences, states, verdicts."""

from collections.abc import Iterator, Mapping

from polylm_jax.ablation.comparison import larger_is_better
from polylm_jax.ablation.power import RATE
from polylm_jax.ablation.records import DONE, NOT_BEGUN
from polylm_jax.runtime.terminal import count

MINUS = "−"
MEANS = {
    "bits_per_byte/average": "mean of languages",
    "bits_per_byte/not_english": "mean without English",
}


def number(value: float, digits: int = 3) -> str:
    """0.5 -> '0.500', -0.5 -> '−0.500'."""
    return f"{value:.{digits}f}".replace("-", MINUS)


def duration(seconds: float) -> str:
    """'45 s', '12 min', '3.5 h'."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.2g} {unit}"
    return f"{seconds:.0f} s"


def signed(value: float, digits: int = 3) -> str:
    return f"{value:+.{digits}f}".replace("-", MINUS)


def digits_of(measure: str) -> int:
    """Percents of a benchmark take one digit, bits three."""
    return 1 if larger_is_better(measure) else 3


def spread(one: Mapping, digits: int = 3) -> str:
    """'1.234 (1.230 to 1.240)'; of one seed the number alone."""
    if len(one["by_seed"]) < 2:
        return number(one["mean"], digits)
    return f"{number(one['mean'], digits)} ({number(one['low'], digits)} to {number(one['high'], digits)})"


def difference(one: Mapping, digits: int = 3) -> str:
    """'−0.012 [−0.020, −0.004]'; without ends where there is one pair."""
    if one["low"] is None:
        return signed(one["mean"], digits)
    ends = f"[{signed(one['low'], digits)}, {signed(one['high'], digits)}]"
    return f"{signed(one['mean'], digits)} {ends}"


def better(measure: str, one: Mapping) -> bool | None:
    """Whether a difference is for the better beyond noise; None within noise."""
    if not one["beyond_noise"]:
        return None
    return (one["mean"] > 0) == larger_is_better(measure)


def name_of(measure: str) -> str:
    """'bits_per_byte/average' -> 'mean of languages', 'evaluation/xcopa.th/accuracy_sum' -> 'xcopa.th accuracy_sum'."""
    if measure in MEANS:
        return MEANS[measure]
    head, _, rest = measure.partition("/")
    return rest if head == "bits_per_byte" else rest.replace("/", " ")


def state(about: Mapping) -> str:
    """'3 of 3 done', '1 of 3 done; seed 1 at step 40 of 120'."""
    runs = about["runs"]
    done = sum(run["state"] == DONE for run in runs)
    open_runs = [
        f"seed {run['seed']} at step {run['step']:,} of {run['of']:,}"
        for run in runs if run["state"] not in (DONE, NOT_BEGUN)
    ]  # fmt: skip
    return "; ".join([f"{done} of {len(runs)} done", *open_runs])


def half_way(found: Mapping) -> str:
    """A sentence for a report that comes before the end; '' for a whole one."""
    runs = [run for about in found["variants"].values() for run in about["runs"]]
    done = sum(run["state"] == DONE for run in runs)
    if done == len(runs):
        return ""
    return (
        f"Half-way: {done} of {len(runs)} runs are done. Only finished seeds are compared; a "
        "variant that has none is shown at the tokens that its runs share."
    )


def winners(found: Mapping, measures: list[str]) -> Iterator[tuple[str, str, str]]:
    """(measure, the variant with the best mean, what that is worth beside the base).

    By paired differences to the base, which are taken at the same tokens also half-way.
    """
    base = found["base"]
    for measure in measures:
        means = {
            name: about["differences"][measure]["mean"]
            for name, about in found["variants"].items() if measure in about["differences"]
        }  # fmt: skip
        if not means:  # nothing to win against
            continue
        means = {base: 0.0} | means
        best = (max if larger_is_better(measure) else min)(means, key=means.__getitem__)
        one = found["variants"][best]["differences"].get(measure)
        yield measure, best, _worth(measure, best == base, one)


def measured(found: Mapping) -> list[str]:
    """The variants' names, half-way with the tokens at which their numbers were measured."""
    places = {name: about["measured_at_tokens"] for name, about in found["variants"].items()}
    if not half_way(found):
        return [*places]
    return [f"{name}, at {count(at)}" if at is not None else name for name, at in places.items()]


def _worth(measure: str, is_base: bool, one: Mapping | None) -> str:
    if is_base:
        return "the base"
    if one is None:
        return "not compared yet"
    shown = difference(one, digits_of(measure))
    if one["low"] is None:
        return f"{shown}, one seed: noise unknown"
    return f"{shown}, {'beyond noise' if one['beyond_noise'] else 'within noise'}"


def discoveries(found: Mapping, measures: list[str]) -> str:
    """How many of the differences are called real, and how many of those are expected not to be."""
    tested = [
        one
        for about in found["variants"].values()
        for measure in measures
        if (one := about["differences"].get(measure)) and one["q_value"] is not None
    ]
    if not tested:
        return "With one seed nothing can be told from noise."
    real = sum(one["beyond_noise"] for one in tested)
    return (
        f"{len(tested)} differences are tested, and {real} called beyond noise, of which at most one "
        f"in {1 / RATE:.0f} is expected to be chance (q ≤ {RATE:g}, Benjamini and Hochberg over all "
        "languages and benchmarks; the means over languages for themselves)."
    )


def claim(one: Mapping) -> str:
    """What a claim's numbers are, in one sentence."""
    digits = 1 if one["larger_is_better"] else 3
    if one["interval"] is None:
        return _why_open(one)
    sides = " against ".join(
        f"{name} {number(level, digits)}" for name, level in one["levels"].items()
    )
    kind = "bootstrap over units and seeds" if one["units"] else "t interval over paired seeds"
    left = f"; {_why_open(one)}" if one["pairs_left_out"] else ""
    return (
        f"{difference(one['interval'], digits)} ({sides}; {_pairs(one['interval']['pairs'])}, {kind}; "
        f"smallest effect of interest {one['smallest_effect']:g}){left}"
    )


def _pairs(number: int) -> str:
    return f"{number} pair{'' if number == 1 else 's'}"


def _why_open(one: Mapping) -> str:
    if one["pairs_left_out"]:
        return (
            f"{_pairs(one['pairs_left_out'])} left out: {name_of(one['only_where'])} below "
            f"{one['at_least']:g}"
        )
    return "no pair of runs to compare yet"


def cost(about: Mapping) -> list[str]:
    """Cells of the cost table: tokens, time, tokens/s, FLOPs, starts."""
    one = about["cost"]
    speed = one["tokens_per_second"]
    again = f", {one['steps_done_again']} steps again" if one["steps_done_again"] else ""
    shared = f", {len(one['continued'])} continued" if one["continued"] else ""
    return [
        count(one["tokens"]),
        duration(one["seconds"]),
        count(speed) if speed else "",
        f"{one['model_flops']:.2g}",
        f"{one['starts']}{again}{shared}",
    ]


LEGEND = (
    "In brackets the 95 % interval over paired seeds. What is beyond noise, also when so many are "
    "looked at (q ≤ 0.05), is marked better (▲) or worse (▼) than the base; the rest can't be told from it."
)
SILENT = "Benchmarks that say nothing at this size: no difference in them is tested"
SLOPES = "Bits per byte for each doubling of the parameters"
COST_HEADS = ("tokens trained", "time", "tokens/s", "model FLOPs", "starts")
