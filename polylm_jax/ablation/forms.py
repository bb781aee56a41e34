"""Both forms of a report that is made of sections: a page of HTML, and Markdown."""

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from matplotlib.figure import Figure

from polylm_jax.ablation import figures
from polylm_jax.languages.registry import Language
from polylm_jax.runtime import html_pages, markdown
from polylm_jax.runtime.storage import Folder


class Cell(NamedTuple):
    """What a cell says.

    small: what stands under it on the page. kind: 'good', 'bad', 'dim' or ''. language: the page
    shows its code, its name and what it calls itself. lines: of code, in place of the text.
    """

    text: str
    small: str = ""
    kind: str = ""
    language: Language | None = None
    lines: Sequence[str] = ()


class Section(NamedTuple):
    """A heading, sentences, a table, and the report's pictures.

    kind: 'note' where the sentences are to be noticed; 'cards' where the page shows a row as a card,
    its first cell in bold: Markdown has a table of them where there are heads, else bold lines.
    """

    heading: str
    sentences: Sequence[str] = ()
    heads: Sequence[str] = ()
    rows: Sequence[Sequence[object]] = ()  # a Cell, or what says itself
    kind: str = ""
    pictures: bool = False


def number_cell(said: str, kind: str = "") -> Cell:
    """'−0.012 [−0.020, −0.004]', '1.2 (1.1 to 1.3)': what is in brackets stands under the number."""
    text, _, small = said.partition(" ")
    return Cell(text, small, kind) if small[:1] in ("[", "(") else Cell(said, kind=kind)


def verdict_kind(good: bool | None, otherwise: str = "dim") -> str:
    """Of better (True), worse (False) and neither (None)."""
    return {True: "good", False: "bad", None: otherwise}[good]


def write(
    place: Folder,
    title: str,
    found: Mapping,
    sections: Sequence[Section],
    pictures: Mapping[str, tuple[Figure | None, str]],
) -> None:
    """report.json, report.md, report.html and a PNG a picture.

    pictures: name -> (figure, caption); one of None is left out.
    """
    drawn = {name: (figure, said) for name, (figure, said) in pictures.items() if figure}
    place.write("report.json", (json.dumps(found, ensure_ascii=False, indent=1) + "\n").encode())
    place.write("report.md", as_markdown(title, sections, list(drawn)).encode())
    for name, (figure, _) in drawn.items():
        place.write(f"{name}.png", figures.png(figure))
    shown = {name: (figures.svg(one, name), caption) for name, (one, caption) in drawn.items()}
    place.write("report.html", as_html(title, sections, shown).encode())


def as_html(
    title: str, sections: Sequence[Section], pictures: Mapping[str, tuple[str, str]]
) -> str:
    """The whole page. pictures: name -> (SVG, what it shows)."""
    made = [
        section._replace(rows=[[_cell(one) for one in row] for row in section.rows])
        for section in sections
    ]
    return html_pages.page("report.html", title=title, sections=made, pictures=pictures)


def _cell(one: object) -> Cell:
    return one if isinstance(one, Cell) else Cell(str(one))


def as_markdown(title: str, sections: Sequence[Section], pictures: Sequence[str]) -> str:
    """The whole text; pictures lie beside it as NAME.png."""
    parts = [f"# {title}"]
    for section in sections:
        parts += [f"## {section.heading}"] if section.heading else []
        parts += section.sentences
        rows = [[_markdown(_cell(one)) for one in row] for row in section.rows]
        if section.heads and rows:
            parts.append(markdown.table(section.heads, rows))
        else:
            parts += [row[0] for row in rows]
        parts += [f"![{name}]({name}.png)" for name in pictures] if section.pictures else []
    return "\n\n".join(parts) + "\n"


def _markdown(cell: Cell) -> str:
    if cell.lines:
        return "\n".join(f"`{line}`" for line in cell.lines)
    text = f"{cell.text} {cell.small}".strip()
    if cell.kind not in ("good", "bad"):
        return text
    better = {"good": " better", "bad": " worse"}[cell.kind]
    return f"**{text}**{better if text[0] in '+−' else ''}"
