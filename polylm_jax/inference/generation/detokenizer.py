"""Token ids as they come -> text as it may be shown: whole characters, whole graphemes, no half stop string."""

from collections.abc import Sequence

import regex

from polylm_jax.tokenizer.tokenizer import Tokenizer


class Detokenizer:
    """The text that continues one prompt.

    It is decoded behind its prompt, so that a vocabulary which drops a leading space drops none
    here. stop: strings that the text ends before, wherever the first of them begins.
    """

    def __init__(self, tokenizer: Tokenizer, prompt: Sequence[int], stop: Sequence[str] = ()):
        self._tokenizer = tokenizer
        self._prompt = list(prompt)
        self._before = len(tokenizer.decode(self._prompt))
        self._stop = tuple(stop)
        self._shown = 0

    def text(self, ids: Sequence[int]) -> tuple[str, bool]:
        """The text of all ids so far, and whether a stop string ended it."""
        text = self._tokenizer.decode([*self._prompt, *ids])[self._before :]
        places = [place for stop in self._stop if (place := text.find(stop)) >= 0]
        return (text[: min(places)], True) if places else (text, False)

    def show(self, ids: Sequence[int], last: bool = False) -> str:
        """What is new in the text of all ids so far and can no longer change; the rest with `last`.

        Held back: bytes of an unfinished character, the last grapheme, which a mark may still join,
        and what may be the beginning of a stop string.
        """
        if last or (whole := self.text(ids))[1]:
            text = self.text(ids)[0]
        else:
            text = whole[0] if not unfinished(self._tokenizer, ids) else self._finished(ids)
            text = text[: self._settled(text)]
        new, self._shown = text[self._shown :], max(self._shown, len(text))
        return new

    def _finished(self, ids):
        return self.text(ids[: len(ids) - unfinished(self._tokenizer, ids)])[0]

    def _settled(self, text):
        """How much of the text neither a coming mark nor a stop string can take back."""
        settled = regex.search(r"\X?\Z", text[-256:]).start() + max(len(text) - 256, 0)
        for stop in self._stop:
            for size in range(min(len(stop) - 1, len(text)), 0, -1):
                if text.endswith(stop[:size]):
                    settled = min(settled, len(text) - size)
                    break
        return settled


def unfinished(tokenizer: Tokenizer, ids: Sequence[int]) -> int:
    """How many byte pieces at the end are the beginning of a character that lacks its rest.

    UTF-8 says in a character's first byte how many there are: 2, 3 or 4.
    """
    processor = tokenizer.processor
    for back, token in enumerate(reversed(ids[-3:]), start=1):
        if not processor.is_byte(int(token)):
            return 0
        value = int(processor.id_to_piece(int(token))[3:5], 16)  # '<0xE2>'
        if value >= 0xC0:
            size = 2 if value < 0xE0 else 3 if value < 0xF0 else 4
            return back if back < size else 0
    return 0
