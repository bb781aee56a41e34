"""What seeds can see, said by `inspect` before any money is spent: the smallest difference per language.

From the spread of seeds in earlier runs: of the folder itself, and of EVIDENCE.
"""

import dataclasses
from collections.abc import Iterable, Sequence

from polylm_jax.ablation import evidence, power, wording
from polylm_jax.languages import labels
from polylm_jax.runtime.ranges import Seed
from polylm_jax.runtime.storage import Folder, json_hash

BITS = "bits_per_byte/"
OWN = 3  # seeds of one variant that say the spread


@dataclasses.dataclass(frozen=True)
class Seeds:
    """The seeds of an ablation or of a mix. `notes` says what they can see; nothing without a folder.

    folder: ABLATION_DIR or MIX_DIR. seeds: of a variant, or of the proposal and the anchors.
    evidence: folders of earlier runs.
    """

    folder: str = ""
    seeds: Sequence[Seed] = ()
    evidence: Sequence[str] = ()

    def notes(self) -> list[str]:
        """Sentences for the terminal."""
        if not self.folder:
            return []
        places = [Folder(path, "EVIDENCE") for path in (self.folder, *self.evidence)]
        records = [record for place in places for record in evidence.found(place)]
        return notes(measured(records), len(self.seeds))


def measured(records: Iterable[dict]) -> dict[str, dict[str, dict[int, float]]]:
    """Measure -> mixture, with all that decides its runs but the seed -> seed -> value."""
    found: dict[str, dict[str, dict[int, float]]] = {}
    for record in records:
        about = {"mixture": record["mixture"], "settings": record["settings"]}
        name = json_hash(about)
        for measure, value in record["numbers"].items():
            if measure.startswith(BITS):
                found.setdefault(measure, {}).setdefault(name, {})[record["seed"]] = value
    return found


def notes(values: dict[str, dict[str, dict[int, float]]], seeds: int) -> list[str]:
    """What so many seeds can see in each language."""
    if seeds < 2:
        return ["One seed sees no difference: noise is unknown. Give two or more; three are usual."]
    found = power.detectable(values, seeds)
    if not found:
        return [
            (
                f"Which difference {seeds} seeds can see isn't known: no finished run has a second seed. "
                f"{OWN} seeds of one variant say it, or EVIDENCE with earlier runs."
            )
        ]
    first = ("average", "not_english")
    names = labels.in_order((name.removeprefix(BITS) for name in found), first=first)
    lines = [
        (
            f"{seeds} seeds see these differences in bits per byte with 80 % probability, by the spread of "
            "finished runs' seeds (in brackets: should it be as large as those few allow):"
        )
    ]
    for name in names:
        one = found[BITS + name]
        least, most = (wording.number(v, 4) for v in (one.difference, one.at_most))
        lines.append(f"  {wording.name_of(BITS + name)}: {least} ({most})")
    return lines
