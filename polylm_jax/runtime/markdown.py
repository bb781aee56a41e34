"""Tables in Markdown, read as text too: columns stand under each other."""

from collections.abc import Iterable, Sequence

import tabulate


def table(heads: Sequence[str], rows: Iterable[Sequence[object]], words: int | None = None) -> str:
    """A table without a line end behind it; bars in cells are escaped, line ends become <br>.

    words: how many columns, from the first, hold words; those after them hold numbers and end
    flush. None: all hold words.
    """
    words = len(heads) if words is None else words
    align = ["left" if place < words else "right" for place in range(len(heads))]
    return tabulate.tabulate(
        [[_cell(cell) for cell in row] for row in rows],
        [_cell(head) for head in heads],
        tablefmt="pipe",
        colalign=align,
        disable_numparse=True,
    )


def _cell(value: object) -> str:
    return "<br>".join(str(value).replace("|", "\\|").splitlines())
