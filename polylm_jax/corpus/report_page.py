"""The report as one HTML page without anything from outside: funnels, reasons, samples to read."""

import html
from collections.abc import Iterable, Mapping

from polylm_jax.languages.registry import LANGUAGES

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 84rem; padding: 0 1rem }
table { border-collapse: collapse; margin: .6rem 0 1.6rem } td, th { padding: .15rem .5rem }
td:first-child, .share { white-space: nowrap } th { vertical-align: bottom; text-align: start; border-bottom: 1px solid #999 } td.n { text-align: end }
.bar { background: #b9d3ee; height: .8rem; display: inline-block } summary { cursor: pointer }
pre { white-space: pre-wrap; background: #f4f4f4; padding: .5rem; margin: .3rem 0 } .p { color: #666 }
"""


def page(report: Mapping) -> str:
    """The whole page."""
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><title>Corpus</title>",
        f"<style>{_STYLE}</style><h1>Corpus cleaning</h1>",
        "<h2>Languages</h2>",
        _funnels(report),
        "<h2>Why documents went</h2>",
        _reasons(report["languages"]),
        "<h2>Sources</h2>",
        _sources(report["sources"]),
        *(["<h2>Broken files</h2>", _broken(report)] if report["broken_files"] else []),
        "<h2>What was noted</h2>",
        _notes(report["notes"]),
        "<h2>Near-duplicates</h2>",
        _minhash(report["minhash"]),
        *(["<h2>Quality</h2>", _quality(report["quality"])] if report["quality"] else []),
        "<h2>Speed</h2>",
        _speed(report["speed"]),
        "<h2>Samples of what went</h2>",
        *map(_sample, report["samples"]),
    ]
    return "\n".join(parts)


def _text(value: object) -> str:
    return html.escape(str(value))


def _table(heads: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Numbers stand to the right; strings that are markup already come as `Markup`."""
    lines = ["<table><tr>", *(f"<th>{_text(head)}</th>" for head in heads), "</tr>"]
    for row in rows:
        lines.append("<tr>")
        for cell in row:
            number = isinstance(cell, int | float)
            shown = f"{cell:,}" if isinstance(cell, int) else cell
            shown = f"{cell:.1%}" if isinstance(cell, float) else shown
            shown = shown if isinstance(cell, Markup) else _text(shown)
            lines.append(f"<td{' class=n' if number else ''}>{shown}</td>")
        lines.append("</tr>")
    return "".join([*lines, "</table>"])


class Markup(str):
    """A cell that is HTML."""


def _bar(share: float) -> Markup:
    bar = f"<span class=bar style='width:{share * 7:.2f}rem'></span>"
    return Markup(f"<span class=share>{bar} {share:.1%}</span>")


def name_of(code: str) -> str:
    """'Thai (th)', of a pair its codes."""
    return f"{LANGUAGES[code].name} ({code})" if code in LANGUAGES else code


def _funnels(report: Mapping) -> str:
    stages = [
        row["stage"] for row in next(iter(report["languages"].values()), {"stages": []})["stages"]
    ]
    heads = ["", "identified", *stages, "kept", "", "rules and quality", "near-duplicates"]
    rows = []
    for code, about in report["languages"].items():
        start = about["identified"]["documents"]
        gone = [row["dropped"] for row in about["stages"]]
        kept = about["kept"]["documents"]
        last = [
            _bar(kept / start if start else 0.0),
            about["rules_and_quality"],
            about["near_duplicates"],
        ]
        rows.append([name_of(code), start, *gone, kept, *last])
    paper = report["paper"]
    note = (
        f"<p class=p>The paper, over all its text: {paper['rules_and_quality']:.1%} by rules and "
        f"quality; near-duplicates {paper['near_english']:.1%} of English and "
        f"{paper['near_other']:.1%} of the other languages.</p>"
    )
    return _table(heads, rows) + note


def _reasons(languages: Mapping) -> str:
    rows = [
        [
            name_of(code),
            row["stage"],
            reason,
            count,
            count / max(1, about["identified"]["documents"]),
        ]
        for code, about in languages.items()
        for row in about["stages"]
        for reason, count in row["reasons"].items()
    ]
    return _table(["", "stage", "reason", "documents", "of identified"], rows)


def _sources(sources: Mapping) -> str:
    rows = [
        [name, about["documents"], round(about["bytes"] / 1e6, 1).__str__(), about["kept"],
         ", ".join(f"{why} {n:,}" for why, n in about["dropped"].items())]
        for name, about in sources.items()
    ]  # fmt: skip
    return _table(["", "documents read", "MB", "kept", "dropped"], rows)


def _broken(report: Mapping) -> str:
    rows = [[b["source"], b["file"], b["what"], b["times"]] for b in report["broken_files"]]
    return _table(["source", "file", "", "times"], rows)


def _notes(notes: Mapping) -> str:
    rows = [
        [stage, name_of(code), what, count]
        for stage, languages in notes.items()
        for code, found in languages.items()
        for what, count in found.items()
    ]
    return _table(["stage", "language", "", "count"], rows)


def _minhash(about: Mapping) -> str:
    words = (
        f"<p>{about['ngrams']}-grams, {about['bands']} bands of {about['rows']} hashes: half of the "
        f"pairs with a Jaccard similarity of {about['half_at']:.3f} are found.</p>"
    )
    return words + _table(
        ["similarity", "found"], [[s, share] for s, share in about["curve"].items()]
    )


def _quality(quality: Mapping) -> str:
    rows = [
        [name_of(code), part, found.get("held_out_auc"), found.get("held_out_gold_kept"),
         found.get("crawl_kept"), found.get("left_out", "")]
        for code, about in quality.items()
        for part, found in about.items() if isinstance(found, Mapping)
    ]  # fmt: skip
    return _table(["", "", "held-out AUC", "held-out gold kept", "crawl kept", ""], rows)


def _speed(about: Mapping) -> str:
    rows = [[stage, f"{s['wall']:.1f}", f"{s['cpu']:.1f}"] for stage, s in about["stages"].items()]
    rate = about["mb_per_second_per_core"]
    words = (
        f"<p>{about['bytes'] / 1e6:.1f} MB of raw text; {rate:.2f} MB/s per core.</p>"
        if rate
        else ""
    )
    return words + _table(["stage", "seconds", "of all cores"], rows)


def _sample(about: Mapping) -> str:
    code = about["language"]
    lang = f" lang={_text(code)}" if code in LANGUAGES else ""
    heading = f"{about['stage']}: {about['reason']}, {name_of(code)}"
    texts = [
        f"<p class=p>{_text(d['source'])} · {_text(d['id'])}</p>"
        f"<pre dir=auto{lang}>{_text(d['text'])}</pre>"
        for d in about["documents"]
    ]
    return f"<details><summary>{_text(heading)} ({len(texts)})</summary>{''.join(texts)}</details>"
