"""What a mix will take, told before anything starts: runs, tokens, time, money."""

import statistics
from collections.abc import Mapping, Sequence

from polylm_jax.ablation import wording
from polylm_jax.ablation.mixing.designs import ANCHOR, HELD_OUT, PROXY, Design
from polylm_jax.ablation.mixing.proxies import PROPOSAL
from polylm_jax.runtime.terminal import count

HOUR = 3600.0
_WHAT = {
    ANCHOR: "mixtures to compare with",
    PROXY: "mixtures drawn at random",
    HELD_OUT: "mixtures that no law sees",
    PROPOSAL: "what will be proposed",  # of several phases, the best of one, too
}


def planned(design: Design, done: Mapping[str, int]) -> list[tuple[str, int, int]]:
    """(kind, runs, of them done) of every kind. done: kind -> finished runs."""
    seeds = len(design.mixtures[0].seeds)
    runs = {kind: sum(len(one.seeds) for one in design.of(kind)) for kind in _WHAT}
    runs[PROPOSAL] = seeds * (2 if len(design.phases) > 1 else 1)
    return [(kind, number, min(done.get(kind, 0), number)) for kind, number in runs.items()]


def summary(
    design: Design, done: Mapping[str, int], speeds: Sequence[float], price_per_hour: float
) -> list[str]:
    """Lines for the terminal. speeds: tokens/s of finished runs that are like these."""
    rows = planned(design, done)
    left = sum(number - had for _, number, had in rows)
    tokens = left * design.tokens
    names = ", ".join(one.name for one in design.components)
    phases = " + ".join(f"{n:,}" for n in design.phases.values())
    if design.moves:
        low, high = design.identity["places"]
        phases = (
            f"{design.tokens:,} tokens, the second phase from {low:.0%} to {high:.0%} of them on"
        )
    else:
        phases = f"{phases} tokens"
    lines = [f"{len(design.components)} components: {names}"]
    lines += [
        f"{number:4} runs of {_WHAT[kind]}{f', {had} done' if had else ''}"
        for kind, number, had in rows if number
    ]  # fmt: skip
    lines.append(
        f"{sum(n for _, n, _ in rows)} runs of {phases}, for a target of "
        f"{count(design.target_tokens)}; {left} runs, {count(tokens)} tokens are left"
    )
    return [*lines, _time(tokens, speeds, price_per_hour)] if left else lines


def _time(tokens: int, speeds: Sequence[float], price_per_hour: float) -> str:
    if not speeds:
        return "how long that takes is told when a run is done: no tokens/s were measured yet"
    seconds = tokens / statistics.median(speeds)
    money = f", {seconds / HOUR * price_per_hour:.2f} at PRICE_PER_HOUR" if price_per_hour else ""
    return (
        f"{wording.duration(seconds)}{money} one after another, at {count(statistics.median(speeds))} "
        "tokens/s as measured, without the start of each process"
    )
