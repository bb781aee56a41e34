"""SQuAD's F1 and exact match, by characters where a language writes no spaces.

The formula is SQuAD 1.1's: lower case, no punctuation, no English articles, tokens between spaces,
the best of the references. It's the one of TyDi QA's gold passage task in every language.
"""

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence

from polylm_jax.languages import registry

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_ASCII_PUNCTUATION = str.maketrans("", "", string.punctuation)


def answers(
    targets: Sequence[str | Sequence[str]], predictions: Sequence[str], language: str = "en"
) -> Mapping[str, float]:
    """`f1` and `exact_match` in percent, means over items.

    Args:
        targets: per prediction its reference, or several, of which the best counts.
        predictions: as generated.
        language: in Chinese, Japanese and Thai a token is a character, and punctuation of every
            script goes, since none of it stands between tokens.
    """
    f1, exact = 0.0, 0.0
    for target, prediction in zip(targets, predictions, strict=True):
        references = [target] if isinstance(target, str) else list(target)
        given = tokens(prediction, language)
        wanted = [tokens(reference, language) for reference in references]
        f1 += max(overlap(one, given) for one in wanted)
        exact += max(one == given for one in wanted)
    return {"f1": 100 * f1 / len(predictions), "exact_match": 100 * exact / len(predictions)}


def tokens(text: str, language: str = "en") -> list[str]:
    """The tokens that are compared: 'The cat, sat.' -> ['cat', 'sat']."""
    text = text.lower().translate(_ASCII_PUNCTUATION)
    text = _ARTICLES.sub(" ", text)
    known = registry.LANGUAGES.get(language)
    if known is None or known.spaces:
        return text.split()
    return [c for c in text if not c.isspace() and not unicodedata.category(c).startswith("P")]


def overlap(wanted: Sequence[str], given: Sequence[str]) -> float:
    """F1 of two bags of tokens, 0 to 1; 0 when they share none, two empty ones included.

    >>> overlap(["a", "b"], ["b", "c"])
    0.5
    """
    shared = sum((Counter(wanted) & Counter(given)).values())
    if not shared:
        return 0.0
    precision, recall = shared / len(given), shared / len(wanted)
    return 2 * precision * recall / (precision + recall)
