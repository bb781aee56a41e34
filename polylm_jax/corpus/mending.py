"""The characters of a text made good: escapes, wrong encodings, composed letters, soft hyphens."""

import unicodedata

from polylm_jax.corpus import encoding, escapes, invisible


def mended(text: str) -> tuple[str, list[str], bool]:
    """(the text, what was mended, whether it stays mojibake).

    Letters are composed (NFC): a decomposed Korean or Vietnamese syllable is the same to a reader and
    other tokens to a model. Compatibility forms stay as they were written: they look different.

    >>> mended("Gro\\u00adß und gr&ouml;&szlig;er")
    ('Groß und größer', ['HTML entities', 'soft hyphens'], False)
    """
    text, done = escapes.unescaped(text)
    text, mend = encoding.repaired(text)
    done += [mend] if mend else []
    if not unicodedata.is_normalized("NFC", text):
        text = unicodedata.normalize("NFC", text)
        done.append("composed letters")
    if invisible.suspicious(text):
        text, count = invisible.untypeset(text)
        done += ["soft hyphens"] if count else []
    return text, done, encoding.broken(text)
