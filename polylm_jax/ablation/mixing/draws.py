"""The mixtures that are trained before anything is known: anchors, and others drawn at random.

Proxies are drawn from Dirichlet distributions about a centre, with several concentrations: some
stay near it, some go far. Random ones are as good as maximin designs (tried on RegMix's runs).
Nothing drawn reads a component more often than it may be read at the target.

Shapes: P phases, C components.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from polylm_jax.errors import InputError
from polylm_jax.languages.registry import temperature, unimax
from polylm_jax.runtime.terminal import count

RECIPE, EQUAL, UNIMAX, TEMPERATURE = "recipe", "equal", "unimax", "temperature"
CONCENTRATIONS = (0.5, 1.0, 2.0, 4.0)  # alphas of a component with an average share
LEAST = 5e-4  # share of a component: its language is then validated in every run
MOST_RAISED, HALVED = 1e6, 80  # what a share is multiplied with at most, to 1e-18
SAME = 1e-4  # mixtures whose shares are all this near are one


def check_target(tokens: Mapping[str, int], target: int, epochs: float) -> None:
    """InputError where all text, read `epochs` times, is less than the target."""
    most = epochs * sum(tokens.values())
    if most < target:
        raise InputError(
            f"TARGET_TOKENS = {target:,} is more than {epochs:g} epochs of all text "
            f"({count(most)} tokens): raise MOST_EPOCHS to {target / sum(tokens.values()):.3g} or "
            "more, or lower the target."
        )


def ceilings(tokens: Sequence[int], target: int, epochs: float) -> np.ndarray:
    """The largest share of each component [C] with no more than `epochs` epochs at the target."""
    return np.minimum(epochs * np.asarray(tokens, float) / target, 1.0)


def anchors(
    own_PC: np.ndarray, tokens: Mapping[str, int], target: int, epochs: float, alpha: float
) -> dict[str, np.ndarray]:
    """Name -> shares [P, C]; of anchors that are one mixture, only the first.

    tokens: component -> tokens of its stores. alpha: of the temperature.
    """
    phases = len(own_PC)
    made = {
        RECIPE: own_PC,
        EQUAL: _everywhere(np.full(len(tokens), 1 / len(tokens)), phases),
        UNIMAX: _everywhere([*unimax(tokens, target, epochs).values()], phases),
        TEMPERATURE: _everywhere([*temperature(tokens, alpha).values()], phases),
    }
    found: dict[str, np.ndarray] = {}
    for name, shares_PC in made.items():
        if same_as(shares_PC, found) is None:
            found[name] = shares_PC
    return found


def same_as(shares_PC: np.ndarray, others: Mapping[str, np.ndarray]) -> str | None:
    """The first of the others that is the same mixture."""
    return next((n for n, other in others.items() if np.abs(other - shares_PC).max() < SAME), None)


def _everywhere(shares_C: Sequence[float] | np.ndarray, phases: int) -> np.ndarray:
    return np.tile(np.asarray(shares_C, float), (phases, 1))


def centre(own_PC: np.ndarray, tokens: Sequence[int]) -> np.ndarray:
    """What is drawn about [P, C]: half the recipe's own shares, half square roots of the tokens.

    So that a component which the recipe hardly has is tried, too.
    """
    roots_C = np.sqrt(np.asarray(tokens, float))
    return (own_PC + roots_C / roots_C.sum()) / 2


def drawn(
    centre_PC: np.ndarray, ceilings_C: np.ndarray, number: int, rng: np.random.Generator
) -> list[np.ndarray]:
    """So many mixtures [P, C], each phase by itself, the concentrations in turn."""
    phases, width = centre_PC.shape
    alphas = [CONCENTRATIONS[place % len(CONCENTRATIONS)] * width for place in range(number)]
    rows = [rng.dirichlet(alpha * centre_C) for alpha in alphas for centre_C in centre_PC]
    return [*capped(np.reshape(rows, (-1, width)), ceilings_C).reshape(number, phases, width)]


def capped(shares_QC: np.ndarray, ceilings_C: np.ndarray) -> np.ndarray:
    """The shares with none above its ceiling or below LEAST: what is over goes to the others.

    To each in proportion; the ceilings sum to 1 or more.
    """
    least_C = np.minimum(LEAST, ceilings_C)

    def clipped(scale_Q: np.ndarray) -> np.ndarray:
        return np.clip(scale_Q[:, None] * shares_QC, least_C, ceilings_C)

    low_Q, high_Q = np.zeros(len(shares_QC)), np.full(len(shares_QC), MOST_RAISED)
    for _ in range(HALVED):
        middle_Q = (low_Q + high_Q) / 2
        short_Q = clipped(middle_Q).sum(axis=1) < 1
        low_Q, high_Q = np.where(short_Q, middle_Q, low_Q), np.where(short_Q, high_Q, middle_Q)
    found_QC = clipped(high_Q)
    return found_QC / found_QC.sum(axis=1, keepdims=True)
