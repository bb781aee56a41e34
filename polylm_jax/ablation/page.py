"""The report as one HTML page: no network, no scripts, readable on a phone."""

from collections.abc import Iterable, Mapping

from polylm_jax.ablation import page_tables, wording
from polylm_jax.ablation.page_tables import text

_STYLE = """
:root { color-scheme: light dark; --line: #8886; --dim: #777; --good: #1a7f3722; --bad: #cf222e22 }
* { box-sizing: border-box }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 74rem; padding: .8rem }
h1 { font-size: 1.5rem; margin: .3rem 0 } h2 { font-size: 1.15rem; margin: 1.8rem 0 .4rem }
.scroll { overflow-x: auto; max-width: 100% } .dim, small { color: var(--dim) }
table { border-collapse: collapse; font-size: .92rem } td, th { padding: .25rem .6rem; text-align: start;
 border-bottom: 1px solid var(--line); vertical-align: top } td { font-variant-numeric: tabular-nums }
th[scope=row], thead th:first-child { position: sticky; left: 0; background: Canvas; font-weight: 500 }
small { display: block; white-space: nowrap } .good { background: var(--good) } .bad { background: var(--bad) }
code { display: block; font-size: .82rem; overflow-wrap: anywhere } td.wide { min-width: 16rem }
.cards { display: grid; gap: .7rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)) }
.card { border: 1px solid var(--line); border-radius: .5rem; padding: .6rem .8rem }
.card b:first-child { font-size: 1.1rem } .note { border-inline-start: 4px solid #d4a72c; padding: .2rem .8rem }
figure { margin: 0; border: 1px solid var(--line); border-radius: .5rem; padding: .4rem; background: #fff;
 color: #333 } figure svg { width: 100%; height: auto; max-width: 34rem; display: block; margin: auto }
figcaption { overflow-wrap: anywhere; font-size: .85rem; padding: .2rem .4rem } .own { white-space: nowrap }
"""
LEGEND = (
    "<p class=dim>In small the 95 % interval over paired seeds. Coloured cells are beyond noise also "
    "when so many are looked at (q ≤ 0.05). Green ▲ is better than the base, red ▼ worse, grey can't be told from it.</p>"
)


def report(found: Mapping, pictures: Mapping[str, tuple[str, str]]) -> str:
    """The whole page. pictures: name -> (SVG, what it shows)."""
    bits, scores, silent = page_tables.measures_of(found)
    half_way = wording.half_way(found)
    parts = [
        f"<p class=note>{half_way}</p>" if half_way else "",
        *(f"<p class=note>{text(note)}</p>" for note in found["notes"]),
        _claims(found["claims"]),
        "<h2>Who won where</h2>",
        page_tables.winners(found, [*bits, *scores]),
        f"<p class=dim>{text(wording.discoveries(found, [*bits, *scores]))}</p>",
        f"<h2>Differences to {text(found['base'])}, bits per byte</h2>{LEGEND}",
        page_tables.differences(found, bits),
        *_scores(found, scores),
        *_silent(found, silent),
        *_slopes(found),
        "<h2>Curves</h2>",
        figures(pictures),
        "<h2>Bits per byte of held-out text</h2>",
        page_tables.numbers(found, bits),
        "<h2>Variants</h2>",
        page_tables.variants(found),
        "<h2>Cost</h2>",
        page_tables.cost(found),
    ]
    return document(found["title"] or "Ablation", parts)


def document(title: str, parts: Iterable[str]) -> str:
    """A whole page of these parts; empty ones are left out."""
    head = [
        "<!doctype html><html lang=en><head><meta charset=utf-8>",
        "<meta name=viewport content='width=device-width, initial-scale=1'>",
        f"<title>{text(title)}</title><style>{_STYLE}</style></head><body><h1>{text(title)}</h1>",
    ]
    return "\n".join(part for part in [*head, *parts, "</body></html>"] if part) + "\n"


def _claims(claims: list[Mapping]) -> str:
    if not claims:
        return ""
    kinds = {"seen": "good", "reversed": "bad"}
    cards = [
        f"<div class='card {kinds.get(one['verdict'], '')}'><b>{text(one['verdict'])}</b> · "
        f"{text(one['name'])}<br><span class=dim>{text(wording.claim(one))}</span></div>"
        for one in claims
    ]
    return f"<h2>Claims</h2><div class=cards>{''.join(cards)}</div>"


def _scores(found: Mapping, scores: list[str]) -> list[str]:
    if not scores:
        return []
    return [
        f"<h2>Benchmarks: differences to {text(found['base'])}</h2>",
        page_tables.differences(found, scores),
        "<h2>Benchmarks</h2>",
        page_tables.numbers(found, scores),
    ]


def _silent(found: Mapping, silent: list[str]) -> list[str]:
    if not silent:
        return []
    return [
        f"<h2>{wording.SILENT}</h2>",
        f"<div class=dim>{page_tables.numbers(found, silent)}</div>",
    ]


def _slopes(found: Mapping) -> list[str]:
    if not found["slopes"]:
        return []
    return [f"<h2>{wording.SLOPES}</h2>", page_tables.slopes(found)]


def figures(pictures: Mapping[str, tuple[str, str]]) -> str:
    """Pictures side by side where there is room, each with what it shows."""
    shown = [
        f"<figure>{svg}<figcaption>{text(told)}</figcaption></figure>"
        for svg, told in pictures.values()
    ]
    return f"<div class=cards>{''.join(shown)}</div>"
