"""BLEU and chrF of SacreBLEU, with the tokenizer that it has for the target language.

Chinese, Japanese and Korean have SacreBLEU's own; the last two are extras to be installed,
`sacrebleu[ja,ko]`. Thai, which writes no spaces, is cut into characters: SacreBLEU's default takes a
whole phrase for a word.
"""

import functools
from collections.abc import Mapping, Sequence

from sacrebleu.metrics import BLEU, CHRF

from polylm_jax.languages import registry

EXTRAS = {"ja": "ja", "ko": "ko"}  # languages whose tokenizer is an extra of sacrebleu
_OWN = ("zh", "ja", "ko")
References = Sequence[str | Sequence[str]]


@functools.cache
def scorer(language: str) -> BLEU | None:
    """BLEU with the tokenizer of a language; None where that isn't installed."""
    if language in _OWN:
        try:
            return BLEU(trg_lang=language)
        except (ImportError, RuntimeError):
            return None
    return BLEU(tokenize="13a" if _spaced(language) else "char")


def signature(language: str) -> str:
    """What SacreBLEU says of its settings, or which of its extras is missing."""
    found = scorer(language)
    if found is None:
        return f"not scored: its tokenizer comes with `pip install sacrebleu[{EXTRAS[language]}]`"
    found.corpus_score([""], [[""]])  # it knows the number of references once it has seen one
    return str(found.get_signature())


def sacrebleu(
    targets: References, predictions: Sequence[str], language: str = "en"
) -> Mapping[str, float]:
    """{'bleu': corpus BLEU, 0 to 100}; nothing where the language's tokenizer isn't installed.

    Args:
        targets: per prediction its reference, or several.
        predictions: as generated; space around them doesn't count.
        language: the one translated into.
    """
    found = scorer(language)
    if found is None:
        return {}
    # SacreBLEU's annotations have no None, which it takes for a reference that an item lacks.
    score = found.corpus_score(_stripped(predictions), streams(targets))  # type: ignore[arg-type]
    return {"bleu": score.score}


def chrf(targets: References, predictions: Sequence[str]) -> Mapping[str, float]:
    """{'chrf': chrF2, 0 to 100}: characters, so the same for every script."""
    score = CHRF().corpus_score(_stripped(predictions), streams(targets))  # type: ignore[arg-type]
    return {"chrf": score.score}


def streams(targets: References) -> list[list[str | None]]:
    """References as SacreBLEU takes them: the first of every item, then the second, ...

    Items with fewer have None.

    >>> streams([["a", "b"], "c"])
    [['a', 'c'], ['b', None]]
    """
    rows = [[target] if isinstance(target, str) else list(target) for target in targets]
    width = max(map(len, rows))
    return [[row[n] if n < len(row) else None for row in rows] for n in range(width)]


def _stripped(predictions: Sequence[str]) -> list[str]:
    return [prediction.strip() for prediction in predictions]


def _spaced(language: str) -> bool:
    known = registry.LANGUAGES.get(language)
    return known is None or known.spaces
