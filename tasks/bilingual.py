"""Bilingual tasks: aligned sentences of two languages, written as one text in both directions."""

from collections.abc import Sequence

from polylm_jax.errors import InputError
from polylm_jax.languages import registry as languages
from polylm_jax.text.held_out import HELD_OUT_FRACTION
from tasks import registry
from tasks.preprocessors import Pair
from tasks.sources import source as sources
from tasks.sources.pages import Pages


def add(
    name: str,
    pair: str | Sequence[str],
    source: object,
    vocabulary: str,
    folder: str = "",
    held_out: float = HELD_OUT_FRACTION,
    template: str = "prompt",
    both_directions: bool = True,
    pages: Pages | None = None,
) -> tuple[str, ...]:
    """Registers the tasks `name.a_b` and `name.b_a` for a pair a-b and returns their names.

    `bilingual.add("opus", "en-th", {"en": "en-th/*.en", "th": "en-th/*.th"}, VOCABULARY)` gives
    `opus.en_th` and `opus.th_en`.

    Args:
        name: what the source is called.
        pair: the two languages, 'en-th' or ('en', 'th').
        source: paths or a dict, as `sources.read` takes them, or {language: path} for the two
            aligned files of OPUS's Moses layout. JSONL and TSV name the sides by the codes in
            `pair`, unless `columns` says otherwise.
        vocabulary: the path of a SentencePiece model; it's opened when a task is first used.
        folder: what relative paths are under.
        held_out: the fraction of groups kept for validation.
        template: how a pair is written; see `preprocessors.Pair`.
        both_directions: False leaves out b_a.
        pages: documents in which pairs without an id are looked up.
    """
    columns = _columns(pair)
    read = sources.read(_moses(source, columns), columns, folder, held_out, pages)
    first, second = columns
    directions = [(first, second), (second, first)][: 2 if both_directions else 1]
    return tuple(
        registry.add_task(f"{name}.{a}_{b}", read, Pair(a, b, template), vocabulary).name
        for a, b in directions
    )


def sides(pair: str | Sequence[str]) -> tuple[str, str]:
    """The two codes of a pair as they're written: 'en-th' -> ('en', 'th')."""
    codes = tuple(pair.split("-")) if isinstance(pair, str) else tuple(pair)
    if len(codes) != 2 or languages.find(codes[0]) == languages.find(codes[1]):
        raise InputError(f"pair {pair!r} must name two languages, such as 'en-th' or ('en', 'th').")
    return codes


def id_is_displaced(pair: str | Sequence[str], source: object, folder: str) -> bool:
    """Whether Indonesian stands in the field where the pairs' ids would; see `Reader.displaced`."""
    columns = _columns(pair)
    return sources.read(_moses(source, columns), columns, folder).reader.displaced


def _columns(pair: str | Sequence[str]) -> dict[str, str]:
    """Our code of each side -> the code as it's written: 'en-iw' -> {'en': 'en', 'he': 'iw'}."""
    return {languages.find(code).code: code for code in sides(pair)}


def _moses(source: object, columns: dict[str, str]) -> object:
    """{'en': path, 'th': path} as a Moses spec; anything else as it is."""
    if isinstance(source, dict) and set(source) == set(columns.values()):
        return {"format": "moses", "paths": {name: source[code] for name, code in columns.items()}}
    return source
