"""What the report of a mix says in sentences."""

from collections.abc import Iterator, Mapping

from polylm_jax.ablation import wording
from polylm_jax.ablation.laws.fitted import CHOSEN
from polylm_jax.ablation.mixing import draws
from polylm_jax.ablation.mixing.answer import ONE_PHASE
from polylm_jax.ablation.mixing.proxies import PROPOSAL
from polylm_jax.runtime.terminal import count

INTERVALS = (
    "Bits per byte, or scores; 90 % intervals of one new run, from the errors on mixtures that a fold "
    "of the laws hadn't seen. Differences are of the proposal less the other mixture."
)
PAIRED = (
    "Differences over paired seeds with Student's t interval at 95 %; the objective is what the proposal "
    "makes small. Of the languages' differences that are called better or worse, one in twenty is "
    "expected not to be (Benjamini-Hochberg over all of them)."
)
OBJECTIVES = {
    "mean": "the mean of the languages, small",
    "weighted": "a weighted mean, small",
    "worst": "the worst language against its reference, small",
    "scores": "scores of tasks, large (the objective is their negative)",
}


def short(name: str) -> str:
    """'proposal_3fa4c1d2' -> 'proposal'."""
    return next((kind for kind in (PROPOSAL, ONE_PHASE) if name.startswith(f"{kind}_")), name)


def verdict(about: Mapping) -> Iterator[str]:
    """Whether the law held, first; then what it proposes."""
    yield _held(about)
    wanted = OBJECTIVES[about["asked"]["kind"]]
    yield (
        f"Asked for: {wanted}, for {count(about['target']['tokens'])} tokens. Laws of "
        f"{about['proxies']['runs']} runs of {about['proxies']['mixtures']} mixtures"
        f"{_earlier(about)}, each of {count(about['proxies']['tokens'])} tokens and "
        f"{about['proxies']['parameters']:,} parameters."
    )
    if about["asked"]["law"] != CHOSEN:
        yield f"LAW = {about['asked']['law'].replace('_', ' ')} predicts every measure, as asked."
    if about["is_already"]:
        yield (
            f"The recipe's shares are already the proposal: it lies {about['distance']:.2%} of the "
            "tokens from them."
        )
    else:
        yield from apart(about)
        yield from phases(about)


def _held(about: Mapping) -> str:
    law = about["tests"][:3]
    values = "; ".join(
        f"{one['name']}: {wording.number(one['value'])} ({one['needed']})"
        for one in law if one["value"] is not None
    )  # fmt: skip
    if not values:
        return "Not checked yet: whether the law holds is known when the check's runs are done."
    word = {True: "The law held", False: "The law did not hold", None: "The law is half checked"}
    return f"{word[about['law_held']]}: {values}."


def _earlier(about: Mapping) -> str:
    used, out = about["proxies"]["earlier"], about["proxies"]["left_out"]
    if not used and not out:
        return ""
    left = "; ".join(f"{number} {why}" for why, number in out.items())
    return f" ({used} of earlier evidence{f', left out: {left}' if left else ''})"


def apart(about: Mapping) -> Iterator[str]:
    """Whether the proposal can be told from the recipe's own mixture."""
    one = about["against"].get(draws.RECIPE)
    if one is None or about["is_already"]:
        return
    change = wording.difference(one["objective"])
    if one["objective"]["beyond_noise"]:
        yield f"The proposal is predicted to change the objective by {change} against the recipe's mixture."
    else:
        yield (
            "No proposal can be told from the recipe's own mixture: the best one is predicted to "
            f"change the objective by {change}, and the interval holds zero."
        )


def phases(about: Mapping) -> Iterator[str]:
    """Of several phases: whether they are worth anything, and where the second one begins."""
    if len(about["phases"]) == 1:
        return
    if about["parts"]:
        recipe, proposal = (about["parts"][n][0] for n in (draws.RECIPE, about["proposal"]))
        yield (
            f"The second phase begins at {proposal:.1%} of the tokens in the proposal, at {recipe:.1%} in "
            "the recipe."
        )
    name = next((n for n in about["against"] if short(n) == ONE_PHASE), None)
    if name is None:
        yield "The proposal has the same shares in all phases: no phases are worth anything here."
        return
    said = wording.difference(about["against"][name]["objective"])
    seen = about["check"].get("against", {}).get(name, {}).get("objective")
    measured = f"measured {wording.difference(seen)}" if seen else "not measured yet"
    yield (
        "Against the best mixture with the same shares in all phases the proposal is predicted to change "
        f"the objective by {said}; {measured}."
    )


def binding(about: Mapping) -> Iterator[str]:
    """Which constraints the proposal touches."""
    names = "; ".join(about["binding"])
    yield f"Constraints that bind: {names}." if names else "No constraint binds."


def beside(about: Mapping) -> Iterator[str]:
    """How the laws differ: what each says of the proposal, and how far its own would lie from it."""
    yield (
        "What other text does to a language is learnt at the proxies' size and fades in larger models; "
        "its own share's law is the one that lasts. Where the target is much larger, trust what both say."
    )
    for law, one in about["beside"].items():
        change = wording.difference(one["objective"])
        where = (
            "by it no mixture keeps NO_WORSE"
            if one["distance"] is None
            else f"what it would propose itself lies {one['distance']:.2%} of the tokens from it"
        )
        yield (
            f"By {law.replace('_', ' ')} alone the proposal changes the objective by {change} against the "
            f"recipe's mixture; {where}."
        )


def resized(size: str, about: Mapping) -> Iterator[str]:
    """What the runs of another size are, and whether the proposal is better there too."""
    one = about["sizes"][size]
    yield (
        f"{len(one['mixtures'])} mixtures that no law has seen, trained with {one['parameters']:,} "
        f"parameters on {count(one['tokens'])} tokens, one seed. Spearman's rank correlations of what the law "
        "says, what proxies reach and what these runs reach; pairs of mixtures that they order otherwise."
    )
    if one["change"]:
        here, there = (wording.signed(one["change"][side]) for side in ("here", "there"))
        yield (
            f"The objective of the proposal less the recipe's own: {here} at the proxies' size, {there} at "
            f"{size}."
        )


def outside(about: Mapping) -> Iterator[str]:
    """What the step from proxies to the target rests on, and how far it is."""
    target, proxies = about["target"], about["proxies"]
    times = target["tokens"] / proxies["tokens"]
    size = target["parameters"] / proxies["parameters"] if target["parameters"] else None
    yield (
        f"The target has {times:,.1f} times the proxies' tokens"
        f"{f' and {size:,.1f} times their parameters' if size else ''}. The laws know nothing of length or "
        "size: that the best shares there are the best here is an assumption, which only runs at "
        "another size test. Each component is repeated in the proxies as often as at the target."
    )
    if proxies["seeds"] > 1:
        yield (
            "Seeds move all mixtures together: what each does to the anchors on average is taken out of "
            "every run, so that mixtures trained with one seed stand beside those with several."
        )
    place = about["outside"]
    yield (
        f"The proposal's distance to the nearest mixture that was trained is {place['distance']:.3f} "
        f"(Hellinger), and {place['usual']:.3f} between those themselves."
    )
    for name, (share, low, high) in place["beyond"].items():
        yield f"Its share of {name}, {share:.2%}, lies outside of the runs': {low:.2%} to {high:.2%}."
