"""What a mix will train: its components and mixtures, in one file that later starts read.

The same recipe and the same question always give the same design. Under an existing folder a design
that would differ is refused: runs of two designs don't belong to one law.

Shapes: P phases, C components.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from polylm_jax.ablation.mixing import components as parts
from polylm_jax.ablation.mixing import draws, places
from polylm_jax.ablation.mixing.components import Component
from polylm_jax.errors import InputError
from polylm_jax.runtime.fingerprint import differences
from polylm_jax.runtime.parameter_types import check_ranges
from polylm_jax.runtime.ranges import Count, Natural, NonNegative, Positive, Seed, Share
from polylm_jax.runtime.storage import Folder, to_json
from polylm_jax.training.experiment import Resolved
from polylm_jax.training.identity import fingerprint

FILE = "design.json"
ANCHOR, PROXY, HELD_OUT = "anchors", "proxies", "held_out"  # kinds of mixtures, and their folders
DIGITS = 9
A_COMPONENT = 2  # proxies, by default
_SHOWN = 3  # differences that a refusal names


@dataclasses.dataclass(frozen=True)
class MixSizes:
    """What is asked of a design.

    target_tokens: of the run that the mixture is for. proxies, held_out: mixtures drawn; proxies
    None are two a component and phase. seeds: of each anchor and of the proposal; the first also of
    the others. epochs: most epochs of a component at the target in what is drawn. alpha: of the
    temperature. pools: components of several tasks. places: of two phases, from and up to which part of
    the tokens the second may begin; None leaves it where the recipe has it.
    """

    target_tokens: Count
    proxies: Count | None = None
    held_out: Natural = 8
    seeds: Sequence[Seed] = (0, 1, 2)
    epochs: Positive = 4.0
    alpha: NonNegative = 0.3
    pools: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
    places: Sequence[Share] | None = None


class Mixture(NamedTuple):
    """A mixture of a design: anchor, proxy or held out, its shares [P, C] and its seeds.

    parts: of the tokens that each phase has [P], where they differ between mixtures.
    """

    name: str
    kind: str
    shares: np.ndarray
    seeds: tuple[int, ...]
    parts: np.ndarray | None = None

    @property
    def point(self) -> np.ndarray:
        """What a law knows it by [K]: its shares, phase by phase; where parts differ, times them."""
        return (self.shares if self.parts is None else self.parts[:, None] * self.shares).ravel()


@dataclasses.dataclass(frozen=True)
class Design:
    """Components and mixtures; phases: name -> tokens of the proxies; what of the recipe it is for.

    identity: what must not change in its folder, nested plain values.
    """

    components: tuple[Component, ...]
    phases: Mapping[str, int]
    mixtures: tuple[Mixture, ...]
    target_tokens: int
    identity: Mapping

    def of(self, kind: str) -> list[Mixture]:
        """The mixtures of a kind."""
        return [one for one in self.mixtures if one.kind == kind]

    def named(self, name: str) -> Mixture | None:
        """A mixture by its name."""
        return next((one for one in self.mixtures if one.name == name), None)

    @property
    def weights(self) -> np.ndarray:
        """The part of the tokens that each phase has [P]."""
        tokens = np.array([*self.phases.values()], float)
        return tokens / tokens.sum()

    @property
    def tokens(self) -> int:
        """Of a proxy."""
        return sum(self.phases.values())

    @property
    def moves(self) -> bool:
        """Whether the second phase begins elsewhere in other mixtures: all shares then sum to 1."""
        return self.mixtures[0].parts is not None

    @property
    def stages(self) -> int:
        """How many parts of a law's point sum to 1 each."""
        return 1 if self.moves else len(self.phases)

    @property
    def counts(self) -> np.ndarray:
        """What each number of a law's point counts in the shares of the whole run [K]."""
        repeated = np.repeat(self.weights, len(self.components))
        return np.ones_like(repeated) if self.moves else repeated

    def divided(self, point_K: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """(shares [P, C], parts [P] or None) of a law's point."""
        found_PC = np.clip(np.reshape(point_K, (len(self.phases), -1)), 0, None)
        if not self.moves:
            return found_PC, None
        parts_P = found_PC.sum(axis=1)
        return found_PC / np.maximum(parts_P, 1e-12)[:, None], parts_P


def settle(place: Folder, design: Design) -> None:
    """Writes the design into MIX_DIR; InputError where another one stands there.

    It may have more mixtures, or fewer, than before: they are the same as far as they go.
    """
    now, before = to_json(_plain(design)), place.peek(FILE)
    changes: list[str] = []
    if before:
        changes = differences(json.loads(before)["identity"], json.loads(now)["identity"])
    if changes:
        more = f" and {len(changes) - _SHOWN} more" if len(changes) > _SHOWN else ""
        raise InputError(
            f"MIX_DIR = {place.path!r} holds another design, {'; '.join(changes[:_SHOWN])}{more}: "
            "give it the old values, or another MIX_DIR with this one as EVIDENCE."
        )
    if now != before:
        place.write(FILE, now)


def make(resolved: Resolved, sizes: MixSizes) -> Design:
    """The design of a recipe whose proxies are as `resolved` says."""
    found = tuple(parts.read(resolved, sizes.pools))
    length = resolved.experiment.sequence_length
    phases = {
        name: phase.rows * length
        for name, phase in zip(_titles(resolved), resolved.schedule.phases, strict=True)
    }
    _check(found, sum(phases.values()), sizes)
    mixtures = _mixtures(parts.point(resolved, found), found, sizes)
    if sizes.places is not None:
        steps = sum(phases.values()) // (length * resolved.experiment.batch_size)
        mixtures = _placed(mixtures, [*phases.values()], sizes.places, steps)
    return Design(
        found, phases, tuple(mixtures), sizes.target_tokens, _identity(resolved, found, sizes)
    )


def _placed(
    mixtures: Sequence[Mixture], tokens: Sequence[int], where: Sequence[float], steps: int
) -> list[Mixture]:
    """Mixtures with the parts of their phases: anchors have the recipe's, others theirs by chance."""
    places.check(where, len(tokens))
    own_P = np.array(tokens, float) / sum(tokens)
    # Each kind by its own generator, as their shares: more proxies leave the others what they were.
    drawn = {
        kind: iter(places.drawn(where, len(mixtures), steps, seed))
        for kind, seed in ((PROXY, 0), (HELD_OUT, 1))
    }
    return [
        one._replace(parts=own_P if one.kind == ANCHOR else next(drawn[one.kind]))
        for one in mixtures
    ]


def _titles(resolved: Resolved) -> list[str]:
    """The phases' names, each once."""
    names = [phase.name for phase in resolved.schedule.phases]
    return names if len(set(names)) == len(names) else [f"{n}_{i}" for i, n in enumerate(names, 1)]


def _check(components: Sequence[Component], tokens: int, sizes: MixSizes) -> None:
    if len(components) < 2:
        raise InputError(
            f"the recipe's mixture has {len(components)} component: a mix needs 2 at least; COMPONENTS "
            "divides tasks into them."
        )
    for one in components:
        if not one.tokens:
            raise InputError(
                f"component {one.name!r} has no text to train on: add some, or leave it out of the "
                "mixture."
            )
    if sizes.target_tokens < tokens:
        raise InputError(
            f"TARGET_TOKENS = {sizes.target_tokens:,} is less than a proxy's {tokens:,} tokens: give "
            "the tokens of the run that the mixture is for, or shorten the proxies (PROXY)."
        )
    check_ranges(sizes)
    counts = {one.name: one.tokens for one in components}
    draws.check_target(counts, sizes.target_tokens, sizes.epochs)


def _mixtures(
    own_PC: np.ndarray, components: Sequence[Component], sizes: MixSizes
) -> list[Mixture]:
    tokens = {one.name: one.tokens for one in components}
    counts = [*tokens.values()]
    target, epochs, seeds = sizes.target_tokens, sizes.epochs, tuple(sizes.seeds)
    made = draws.anchors(own_PC, tokens, target, epochs, sizes.alpha)
    found = [Mixture(name, ANCHOR, shares.round(DIGITS), seeds) for name, shares in made.items()]
    proxies = A_COMPONENT * own_PC.size if sizes.proxies is None else sizes.proxies
    about, most = draws.centre(own_PC, counts), draws.ceilings(counts, target, epochs)
    for kind, number, seed in ((PROXY, proxies, 0), (HELD_OUT, sizes.held_out, 1)):
        # Each kind by its own generator: more proxies leave the held-out mixtures what they were.
        drawn = draws.drawn(about, most, number, np.random.default_rng(seed))
        name = {PROXY: "proxy", HELD_OUT: "held_out"}[kind]
        found += [
            Mixture(f"{name}_{place:02}", kind, shares.round(DIGITS), seeds[:1])
            for place, shares in enumerate(drawn)
        ]
    return found


def _identity(resolved: Resolved, components: Sequence[Component], sizes: MixSizes) -> dict:
    """What the design follows from. The number of proxies and held-out mixtures may grow."""
    recipe = fingerprint(resolved)
    free = ("seed", "rows_sha256")
    asked = dataclasses.asdict(sizes)
    return {
        "recipe": {name: value for name, value in recipe.items() if name not in free},
        "components": {one.name: sorted(one.tasks) for one in components},
        **{name: asked[name] for name in ("target_tokens", "seeds", "epochs", "alpha")},
        **({} if sizes.places is None else {"places": list(sizes.places)}),
    }


def _plain(design: Design) -> dict:
    return {
        "identity": design.identity,
        "phases": design.phases,
        "components": [dataclasses.asdict(one) for one in design.components],
        "mixtures": [_plain_mixture(one) for one in design.mixtures],
    }


def _plain_mixture(one: Mixture) -> dict:
    found = {**one._asdict(), "shares": one.shares.tolist()}
    del found["parts"]
    return found if one.parts is None else {**found, "parts": one.parts.tolist()}
