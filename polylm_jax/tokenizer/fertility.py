"""What a vocabulary costs each language: bytes per token, tokens per word, the ratio to a reference.

The ratio is the paper's measure (Fig. 1, where XLM-R's vocabulary is 1): bytes per token over the
reference's bytes per token on the same text, so above 1 the vocabulary needs fewer tokens.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import rich.box
import rich.table

from polylm_jax.errors import InputError, nearest
from polylm_jax.languages.labels import isolated, place
from polylm_jax.languages.registry import CODE, LANGUAGES
from polylm_jax.runtime import markdown as markdown_tables
from polylm_jax.tokenizer.tokenizer import Tokenizer

Limit = float | Mapping[str, float] | None  # for every language, or for those named


@dataclasses.dataclass(frozen=True)
class Row:
    """One language's text and its tokens, without the one that ends a document.

    Attributes:
      language: its code, or 'code'.
      text: 'held-out' or 'sample', whichever the text is.
      bytes: of the text in UTF-8.
      units: words between white space, or characters (white space left out) where the script has
        no spaces.
      tokens: how many the vocabulary makes of the text; `byte_tokens` of them are single bytes,
        which line ends and tabs also are.
      reference_tokens: how many the reference makes of it; None without a reference.
    """

    language: str
    text: str
    bytes: int
    units: int
    tokens: int
    byte_tokens: int
    reference_tokens: int | None = None

    @property
    def unit(self) -> str:
        return "word" if _has_spaces(self.language) else "character"

    @property
    def bytes_per_token(self) -> float:
        return self.bytes / self.tokens

    @property
    def tokens_per_unit(self) -> float:
        return self.tokens / max(self.units, 1)

    @property
    def byte_share(self) -> float:
        return self.byte_tokens / self.tokens

    @property
    def ratio(self) -> float | None:
        """Bytes per token over the reference's."""
        if self.reference_tokens is None:
            return None
        return self.reference_tokens / self.tokens

    def as_dict(self) -> dict[str, object]:
        """The counts and what follows from them, for JSON."""
        derived = ("unit", "bytes_per_token", "tokens_per_unit", "byte_share", "ratio")
        return dataclasses.asdict(self) | {name: getattr(self, name) for name in derived}


def _has_spaces(language: str) -> bool:
    return language not in LANGUAGES or LANGUAGES[language].spaces


def measure(
    language: str,
    text: str,
    documents: Sequence[str],
    tokenizer: Tokenizer,
    reference: Tokenizer | None = None,
    num_threads: int = 1,
) -> Row:
    """The row of `language` over `documents` (not all empty), which are `text`: see Row."""
    ids = np.concatenate(tokenizer.encode_batch(documents, num_threads))
    byte_ids = [i for i in range(tokenizer.vocab_size) if tokenizer.processor.is_byte(i)]
    words = sum(len(document.split()) for document in documents)
    letters = sum(len("".join(document.split())) for document in documents)
    of_reference = None
    if reference is not None:
        of_reference = sum(map(len, reference.encode_batch(documents, num_threads)))
    return Row(
        language=language,
        text=text,
        bytes=sum(len(document.encode()) for document in documents),
        units=words if _has_spaces(language) else letters,
        tokens=ids.size,
        byte_tokens=int(np.isin(ids, byte_ids).sum()),
        reference_tokens=of_reference,
    )


COLUMNS = ("language", "text", "KB", "bytes/token", "tokens", "% bytes", "ratio")


def _ordered(rows: Iterable[Row]) -> list[Row]:
    """In the order of the paper's Table 2, then code, then the others."""
    return sorted(rows, key=lambda row: place(row.language))


def _cells(row: Row) -> tuple[str, ...]:
    language = LANGUAGES.get(row.language)
    name = f" {isolated(language.native_name)}" if language else ""
    return (
        row.language + name,
        row.text,
        f"{row.bytes / 1e3:.0f}",
        f"{row.bytes_per_token:.2f}",
        f"{row.tokens_per_unit:.2f}/{row.unit[:4]}",
        f"{100 * row.byte_share:.1f}",
        "-" if row.ratio is None else f"{row.ratio:.2f}",
    )


def table(rows: Iterable[Row]) -> rich.table.Table:
    """The rows for a terminal of 80 columns."""
    made = rich.table.Table(box=rich.box.SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(COLUMNS):
        made.add_column(
            column.replace("/", "/\n"), justify="left" if number < 2 else "right", no_wrap=True
        )
    for row in _ordered(rows):
        made.add_row(*_cells(row))
    return made


def markdown(rows: Iterable[Row]) -> str:
    """The same table in Markdown."""
    return markdown_tables.table(COLUMNS, map(_cells, _ordered(rows)), words=2) + "\n"


def check_limits(field: str, limit: Limit, languages: Iterable[str] | None = None) -> None:
    """Refuses a limit that is no positive number, or of a language that isn't among `languages`."""
    if limit is None:
        return
    named = dict(limit) if isinstance(limit, Mapping) else {}
    known = [*LANGUAGES, CODE] if languages is None else list(languages)
    for language, value in named.items() if named else [("", limit)]:
        where = f"{field}[{language!r}]" if language else field
        if language and language not in known:
            hint = nearest(language, known)
            raise InputError(
                f"{where} = {value!r} limits a language without text: name one of "
                f"{', '.join(known)}.{hint}"
            )
        if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
            raise InputError(f"{where} = {value!r} isn't a limit: give a number above 0.")


def refusal(rows: Iterable[Row], min_bytes_per_token: Limit = None, min_ratio: Limit = None) -> str:
    """Which languages are under a limit, by how much; '' when none is."""
    measures = (
        ("bytes per token", "min_bytes_per_token", min_bytes_per_token, "bytes_per_token"),
        ("ratio to the reference", "min_ratio", min_ratio, "ratio"),
    )
    faults = []
    for row in _ordered(rows):
        for name, field, limit, attribute in measures:
            least = limit.get(row.language) if isinstance(limit, Mapping) else limit
            value = getattr(row, attribute)
            if least is not None and value < least:
                faults.append(f"{row.language} has {value:.3f} {name} ({field} {least})")
    return "; ".join(faults)
