"""The card of a pool: counts per language and round, why tasks were refused, what it cost."""

from collections.abc import Mapping, Sequence

from polylm_jax.languages.registry import LANGUAGES
from polylm_jax.runtime import markdown as markdown_tables


def made(
    languages: Sequence[Mapping], settings: Mapping, cost: Mapping, endpoint: str, ended: str
) -> dict:
    """The card as JSON has it.

    languages: `state.summary` of each. cost: requests, tokens, what came of the requests.
    """
    return {
        "endpoint": endpoint,
        "settings": dict(settings),
        "ended": ended,
        "languages": list(languages),
        "cost": dict(cost),
    }


def markdown(card: Mapping) -> str:
    """The card to read."""
    settings, languages = card["settings"], card["languages"]
    total = sum(one["accepted"] for one in languages)
    parts = [
        f"# Self-instruct: {total:,} tasks in {len(languages)} language{'s' * (len(languages) > 1)}",
        (
            f"Written by `{settings['model']}` (temperature {settings['temperature']}, top-p "
            f"{settings['top_p']}) at {card['endpoint']}, as MultiAlpaca was made (PolyLM, "
            "arXiv 2307.06018, section 4 and appendix A). No person has read the tasks: they hold "
            "what such a model gets wrong, and its terms of use may bind who trains on them. One record "
            "a line: `instruction`, `input` (null for none), `output`."
        ),
        f"State: {card['ended']}.",
        _table(_language_rows(languages)),
        "## Tasks taken into the pool, by round",
        _table(_round_rows(languages)),
        "## Why tasks were refused",
        _table(_reason_rows(languages, "refused")),
        "## Why seed tasks were not translated",
        _table(_reason_rows(languages, "seed_reasons")),
        "## What it cost",
        _table(
            [
                ("requests", "tokens"),
                (f"{card['cost']['requests']:,}", f"{card['cost']['tokens']:,}"),
            ]
        ),
        _table([("what came of a request", "times"), *_sorted(card["cost"]["outcomes"])]),
        (
            "Requests without an answer count the most they may have cost, if the endpoint may have "
            "worked on them."
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _language_rows(languages: Sequence[Mapping]) -> list[tuple]:
    heads = ("language", "seeds", "tasks written", "in the pool", "share", "without input")
    rows = [(*heads, "inputs that stood in their instruction, left out")]
    for one in languages:
        share = one["accepted"] / one["tasks"] if one["tasks"] else 0.0
        rows.append(
            (
                f"{one['language']} {LANGUAGES[one['language']].name}",
                f"{one['seeds']} of {one['seeds_asked']}",
                f"{one['tasks']:,}",
                f"{one['accepted']:,}",
                f"{share:.1%}",
                f"{one['without_input']:,}",
                f"{one['inputs_left_out']:,}",
            )
        )
    return rows


def _round_rows(languages: Sequence[Mapping]) -> list[tuple]:
    numbers = sorted({int(number) for one in languages for number in one["rounds"]})
    rows = [("language", *map(str, numbers))]
    for one in languages if numbers else ():
        tallies = [one["rounds"].get(str(number)) for number in numbers]
        cells = [f"{t['accepted']:,} of {t['tasks']:,}" if t else "" for t in tallies]
        rows.append((one["language"], *cells))
    return rows


def _reason_rows(languages: Sequence[Mapping], field: str) -> list[tuple]:
    totals: dict[str, int] = {}
    for one in languages:
        for reason, times in one[field].items():
            totals[reason] = totals.get(reason, 0) + times
    rows = [("reason", *(one["language"] for one in languages), "all")]
    for reason, times in sorted(totals.items(), key=lambda item: -item[1]):
        rows.append(
            (reason, *(f"{one[field].get(reason, 0):,}" for one in languages), f"{times:,}")
        )
    return rows


def _sorted(counts: Mapping[str, int]) -> list[tuple]:
    return [(name, f"{n:,}") for name, n in sorted(counts.items(), key=lambda i: -i[1])]


def _table(rows: list[tuple]) -> str:
    head, *body = rows
    return markdown_tables.table(head, body) if body else "None."
