"""Units of measure by their names in any language, from Unicode's CLDR (the package Babel)."""

import functools
from collections.abc import Iterator

from babel import Locale, UnknownLocaleError
from babel.units import UnknownUnitError, format_unit

from polylm_jax.corpus import stop_words

# CLDR's unit -> (dimension, how many of the dimension's first unit it is).
UNITS = {
    "mass-kilogram": ("mass", 1.0), "mass-gram": ("mass", 0.001), "mass-pound": ("mass", 0.4536),
    "mass-ounce": ("mass", 0.02835), "mass-stone": ("mass", 6.35), "mass-tonne": ("mass", 1000.0),
    "mass-ton": ("mass", 907.2),
    "length-kilometer": ("length", 1000.0), "length-meter": ("length", 1.0),
    "length-centimeter": ("length", 0.01), "length-millimeter": ("length", 0.001),
    "length-mile": ("length", 1609.3), "length-yard": ("length", 0.9144),
    "length-foot": ("length", 0.3048), "length-inch": ("length", 0.0254),
    "area-hectare": ("area", 10_000.0), "area-acre": ("area", 4046.9),
    "area-square-kilometer": ("area", 1e6), "area-square-mile": ("area", 2.59e6),
    "area-square-meter": ("area", 1.0), "area-square-foot": ("area", 0.0929),
    "volume-liter": ("volume", 1.0), "volume-milliliter": ("volume", 0.001),
    "volume-gallon": ("volume", 3.785), "volume-pint": ("volume", 0.4732),
    "volume-fluid-ounce": ("volume", 0.02957),
    "speed-kilometer-per-hour": ("speed", 1.0), "speed-mile-per-hour": ("speed", 1.6093),
    "speed-meter-per-second": ("speed", 3.6),
    "duration-second": ("duration", 1.0), "duration-minute": ("duration", 60.0),
    "duration-hour": ("duration", 3600.0), "duration-day": ("duration", 86_400.0),
    "duration-week": ("duration", 604_800.0), "duration-month": ("duration", 2_629_800.0),
    "duration-year": ("duration", 31_557_600.0),
    "temperature-celsius": ("temperature", 1.0), "temperature-fahrenheit": ("temperature", 1 / 1.8),
}  # fmt: skip
LONGEST = 24  # characters of a unit's name
_FORMS = (0, 1, 2, 3, 5, 11, 100)  # numbers that between them ask for every plural
_CLOSE = 0.1  # a translator rounds


@functools.cache
def names(code: str) -> dict[str, tuple[str, ...]]:
    """Every name and sign of the units in a language -> the units; English ones are understood too."""
    found: dict[str, set[str]] = {}
    little = {word for known in (code, "en") for word in stop_words.WORDS.get(known, "").split()}
    for locale in (code, "en"):
        for unit in UNITS:
            for name in {*_written(unit, locale)} - little:  # "in" is an inch, too
                found.setdefault(name, set()).add(unit)
    return {name: tuple(sorted(units)) for name, units in found.items()}


def _written(unit: str, code: str) -> Iterator[str]:
    try:
        locale = Locale.parse(code)
        for length in ("long", "short", "narrow"):
            for number in _FORMS:
                text = format_unit(number, unit, length, locale=locale, numbering_system="latn")
                name = text.replace(str(number), "").strip().casefold()
                if name and not any(c.isdecimal() for c in name):
                    yield name
    except (UnknownLocaleError, UnknownUnitError, ValueError):
        return


def read(behind: str, value: float, code: str) -> set[tuple[str, float]]:
    """What a number measures, by the text behind it: ('4.5 kg') -> {('mass', 4.5)}."""
    text, known = behind.lstrip(" \u00a0\u202f-").casefold(), names(code)
    for size in range(min(len(text), LONGEST), 0, -1):
        ends = size == len(text) or not (text[size - 1].isalpha() and text[size].isalpha())
        units = known.get(text[:size])
        if units and (ends or not text[0].isascii()):
            return {_amount(unit, value) for unit in units}
    return set()


def _amount(unit: str, value: float) -> tuple[str, float]:
    dimension, factor = UNITS[unit]
    return dimension, (value - 32 * (factor < 1) * (dimension == "temperature")) * factor


def close(dimension: str, one: float, other: float) -> bool:
    """Whether two amounts of a dimension are the same but for rounding."""
    slack = 1.0 if dimension == "temperature" else _CLOSE * max(abs(one), abs(other))
    return abs(one - other) <= slack
