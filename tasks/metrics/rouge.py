"""ROUGE of rouge-score, with words in every script.

rouge-score's own tokenizer keeps a-z and 0-9 alone: two identical texts in Thai, Japanese, Arabic
or Russian score 0 with it. On text in a-z the numbers are the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rouge_score import rouge_scorer, tokenizers

from polylm_jax.languages.words import words

KINDS = ("rouge1", "rouge2", "rougeL")


@dataclass(frozen=True)
class _Words(tokenizers.Tokenizer):
    language: str

    def tokenize(self, text: str) -> list[str]:
        return words(text, self.language)


def rouge(
    targets: Sequence[str | Sequence[str]], predictions: Sequence[str], language: str = "en"
) -> Mapping[str, float]:
    """F-measures of ROUGE-1, -2 and -L, the mean over items, and the mean of the three; in percent.

    Args:
        targets: per prediction its reference, or several, of which the best counts.
        predictions: as generated.
        language: theirs, for its casing.

    Returns:
        `rouge1`, `rouge2`, `rougeL` and `rouge`.
    """
    scorer = rouge_scorer.RougeScorer(KINDS, tokenizer=_Words(language))
    sums = dict.fromkeys(KINDS, 0.0)
    for target, prediction in zip(targets, predictions, strict=True):
        references = [target] if isinstance(target, str) else list(target)
        scores = scorer.score_multi(references, prediction)
        for kind in KINDS:
            sums[kind] += scores[kind].fmeasure
    found = {kind: 100 * total / len(predictions) for kind, total in sums.items()}
    return {**found, "rouge": sum(found.values()) / len(KINDS)}
