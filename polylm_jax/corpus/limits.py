"""The ranges that texts must stay in, per script or language, short or a table; and the user's own.

Set on text of many kinds in 18 languages: manuals, a declaration, and the stories, news, forums,
recipes, dialogues, tables, poems, questions and songs that the tests plant. `clean --stage=measure`
proposes others from the user's own good text.
"""

from collections.abc import Mapping, Sequence

from polylm_jax.corpus import repetition
from polylm_jax.errors import InputError, nearest
from polylm_jax.languages import registry

Range = tuple[float | None, float | None]
EVERYWHERE: dict[str, Range] = {
    "characters": (60, 1_000_000),  # without spaces
    "word_length": (1.5, 13),  # mean, in characters; where spaces stand between words
    "letters": (0.45, None),  # of the characters without spaces
    "script": (0.5, None),  # of the letters, those of the language's script
    "digits": (None, 0.25),
    "dates": (None, 0.2),
    "symbols": (None, 0.25),
    "punctuation": (None, 0.4),
    "ellipsis_lines": (None, 0.3),
    "bullet_lines": (None, 0.9),  # items of lists; not what somebody says with a dash before it
    "menu": (None, 0.2),  # entries of a menu, in a text without a sentence
    "furniture": (None, 0.5),  # letters in what sites put around their texts
    "labels": (None, 0.72),  # letters in pieces of a word or two, where nothing ends a sentence
    "notices": (None, 4),  # phrases of error pages, checks for robots and consent
    "log_lines": (None, 0.5),
    "code": (None, 0.8),  # characters in lines of a program
    "keywords": (None, 0.25),  # the commonest word beside the little ones
    "stuffing": (None, 0.24),  # three words' share, less where little words stand by
    "unpunctuated": (None, 50),  # words in a line that no mark parts
    "garbled": (None, 0.005),
    "mojibake": (None, 0.01),
    "stop_words": (2, None),  # different ones, in texts of 100 units and more
    "duplicate_lines": (None, 0.3),
    "duplicate_line_characters": (None, 0.2),
    "duplicate_paragraphs": (None, 0.3),
    "duplicate_paragraph_characters": (None, 0.2),
    # Gopher's own, for texts of 400 words and more.
    **{f"top_{n}_gram": (None, 0.24 - 0.02 * n) for n in repetition.TOP},
    **{f"duplicate_{n}_grams": (None, 0.20 - 0.01 * n) for n in repetition.DUPLICATE},
}
# The same rules in shorter texts, where three mentions of a command are a third of the page.
SHORT: dict[str, Range] = {
    **{f"top_{n}_gram": (None, 0.6) for n in repetition.TOP},
    **{f"duplicate_{n}_grams": (None, 0.6) for n in repetition.DUPLICATE},
    # A song whose every second line is its refrain says three of eight lines again.
    "duplicate_lines": (None, 0.5),
    "duplicate_line_characters": (None, 0.5),
    "duplicate_paragraphs": (None, 0.5),
    "duplicate_paragraph_characters": (None, 0.5),
}
# And in a table, whose rows are a name and numbers.
TABLE: dict[str, Range] = {
    "letters": (0.15, None),
    "digits": (None, 0.75),
    "symbols": (None, 0.4),
    "punctuation": (None, 0.5),
    "dates": (None, 0.4),
    # All numbers are one word to them.
    **{f"top_{n}_gram": (None, 0.9) for n in repetition.TOP},
    **{f"duplicate_{n}_grams": (None, 0.9) for n in repetition.DUPLICATE},
}
# Where a script differs. Prose in another script than Latin quotes Latin names and commands; a
# character of Chinese says what two to three of Latin do; Arabic and Hebrew leave vowels out.
_QUOTES_LATIN: dict[str, Range] = {"script": (0.1, None)}
# Of search terms, those that share two characters.
_BY_PIECES: dict[str, Range] = {"stuffing": (None, 0.42)}
_CHINESE: dict[str, Range] = {
    **_QUOTES_LATIN,
    **_BY_PIECES,
    "digits": (None, 0.42),
    "letters": (0.3, None),
    "characters": (25, 400_000),
}
LIMITS: dict[str, dict[str, Range]] = {
    "Latn": {"script": (0.75, None)},
    "Cyrl": {**_QUOTES_LATIN},
    "Arab": {**_QUOTES_LATIN, "characters": (45, 800_000), "word_length": (1.5, 10)},
    "Hebr": {**_QUOTES_LATIN, "characters": (45, 800_000), "word_length": (1.5, 10)},
    "Thai": {**_QUOTES_LATIN, **_BY_PIECES, "characters": (50, 1_000_000)},
    "Kore": {
        **_QUOTES_LATIN,
        **_BY_PIECES,
        "digits": (None, 0.35),
        "letters": (0.35, None),
        "characters": (30, 500_000),
        "word_length": (1.2, 9),
    },
    "Hans": _CHINESE,
    "Hant": _CHINESE,
    "Jpan": {
        **_QUOTES_LATIN,
        **_BY_PIECES,
        "digits": (None, 0.38),
        "letters": (0.35, None),
        "characters": (30, 500_000),
    },
    **{script: {**_BY_PIECES} for script in ("Khmr", "Laoo", "Mymr")},
}

# Every end of a range that is no user's: short texts and tables have others only where these hold.
USUAL: dict[str, set[float]] = {
    name: {
        end
        for ranges in (EVERYWHERE, *LIMITS.values())
        for end in ranges.get(name, ())
        if end is not None
    }
    for name in EVERYWHERE
}
ALL = "all"

Own = Mapping[str, Mapping[str, Sequence[float | None]]]


def limits_of(script: str, own: Own | None = None, code: str = "") -> dict[str, Range]:
    """The ranges for a script or a language in it, the user's own last: 'all', script, language.

    Raises InputError for a rule that isn't there.
    """
    limits = {**EVERYWHERE, **LIMITS.get(script, {})}
    for place in (ALL, script, code):
        for name, given in (own or {}).get(place, {}).items():
            limits[name] = range_of(name, given, f"LIMITS[{place!r}]")
    return limits


def range_of(name: str, given, where: str) -> Range:
    """(low, high) of a rule as a user gives it; None is no limit. InputError for what is no range."""
    if name not in EVERYWHERE:
        raise InputError(f"{where}: there is no rule {name!r}.{nearest(str(name), EVERYWHERE)}")
    numbers = isinstance(given, list | tuple) and len(given) == 2
    if not numbers or not all(end is None or isinstance(end, int | float) for end in given):
        raise InputError(
            f"{where}[{name!r}] is {given!r}: give (lowest, highest), None for no limit."
        )
    low, high = given
    if low is not None and high is not None and low > high:
        raise InputError(f"{where}[{name!r}] is {given!r}: the lowest is above the highest.")
    return low, high


def check(own: Own) -> None:
    """Raises InputError for a script or language that isn't one, a rule that isn't there, or no range."""
    languages = registry.LANGUAGES.values()
    places = {ALL, *LIMITS, *(x.script for x in languages), *(x.code for x in languages)}
    for place, ranges in own.items():
        if place not in places:
            raise InputError(
                f"LIMITS has {place!r}, which is no script and no language.{nearest(str(place), places)} "
                "Give 'all', an ISO 15924 script such as 'Latn', or a language's code."
            )
        for name, given in ranges.items():
            range_of(name, given, f"LIMITS[{place!r}]")
