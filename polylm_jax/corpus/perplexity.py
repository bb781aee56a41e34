"""KenLM perplexity of a text, and the threshold that a gold sample sets."""

import functools
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass

from polylm_jax.corpus import ngram_model
from polylm_jax.errors import InputError


def imported():
    """KenLM, or the sentence that says how to get it."""
    try:
        import kenlm
    except ImportError as error:
        raise InputError(
            "The perplexity needs KenLM: pip install kenlm (it is compiled)."
        ) from error
    return kenlm


@functools.lru_cache(maxsize=64)
def _kenlm(path: str):
    kenlm = imported()
    config = kenlm.Config()
    config.show_progress = False
    config.arpa_complain = kenlm.ARPALoadComplain.NONE
    try:
        return kenlm.Model(path, config)
    except OSError as error:
        raise InputError(f"{path!r} is no KenLM model: give an .arpa or a .bin file.") from error


@functools.lru_cache(maxsize=64)
def _pieces(path: str):
    import sentencepiece

    return sentencepiece.SentencePieceProcessor(model_file=path)


@dataclass(frozen=True)
class Perplexity:
    """Attributes:
    model: a KenLM file, binary or ARPA.
    pieces: the SentencePiece model whose pieces are its words; '' where they are characters.
    """

    model: str
    pieces: str = ""

    def __call__(self, text: str) -> float:
        """Perplexity per word of the model; infinite for a text without any."""
        model, score, words = _kenlm(self.model), 0.0, 0
        for line in ngram_model.lines_of(text):
            spelled = self._spelled(line)
            score += model.score(spelled)
            words += spelled.count(" ") + 2
        return 10.0 ** (-score / words) if words else math.inf

    def _spelled(self, line: str) -> str:
        if not self.pieces:
            return ngram_model.spelled(line)
        return " ".join(_pieces(self.pieces).encode(line, out_type=str))


def given_model(template: str, code: str) -> Perplexity | None:
    """The user's model of a language: 'models/{language}.arpa.bin', pieces in '{language}.sp.model'."""
    if not template:
        return None
    path = template.format(language=code)
    if not os.path.isfile(path):
        return None
    pieces = os.path.join(os.path.dirname(path), f"{code}.sp.model")
    return Perplexity(path, pieces if os.path.isfile(pieces) else "")


def check(template: str, codes: Sequence[str]) -> None:
    """Loads KenLM and the user's models. InputError where one can't be, or none is there."""
    if not codes:
        return
    imported()
    models = {code: given_model(template, code) for code in codes}
    if template and not any(models.values()):
        raise InputError(
            f"KENLM_MODELS = {template!r} names no file for {', '.join(codes)}: give "
            "'folder/{language}.arpa.bin', or '' to train them on the gold text."
        )
    for model in filter(None, models.values()):
        model("a text that loads it")
