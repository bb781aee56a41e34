"""Tokens as the protocol shows them: strings, bytes, offsets, and their log-likelihoods."""

import functools
import itertools
from collections.abc import Sequence

from polylm_jax.inference.serving.jobs import LogP
from polylm_jax.tokenizer.tokenizer import SPACE_MARK, Tokenizer

LEAST = -9999.0  # for log 0, which JSON can't say; OpenAI's own


class Pieces:
    """A vocabulary's pieces in both forms of log-likelihoods."""

    def __init__(self, tokenizer: Tokenizer):
        self._tokenizer = tokenizer
        self._of = functools.lru_cache(maxsize=65_536)(self._one)

    def _one(self, token: int) -> tuple[str, bytes]:
        processor = self._tokenizer.processor
        name = processor.id_to_piece(token)
        if processor.is_byte(token):
            value = bytes([int(name[3:5], 16)])  # '<0xE2>'
            return value.decode() if value[0] < 0x80 else f"bytes:\\x{value.hex()}", value
        if processor.is_control(token) or processor.is_unknown(token):
            return name, b""
        text = name.replace(SPACE_MARK, " ")
        return text, text.encode()

    def text(self, token: int) -> str:
        """'the', ' der', 'bytes:\\xe2', '</s>'."""
        return self._of(int(token))[0]

    def offsets(
        self, tokens: Sequence[int], shown: Sequence[int] = (), context: Sequence[int] = ()
    ) -> list[int]:
        """Where each token begins in the text that is shown, in characters.

        shown: tokens of that text before these. context: what stands before the text, not shown. A
        vocabulary with a prefix begins a text with a blank that decoding takes off again.
        """
        found, place, begun = [], 0, False
        text = [int(token) for token in (*shown, *tokens)]
        for token, width in zip(text, self._widths(text), strict=True):
            found.append(place)
            if width and not begun:
                begun = True
                width -= self._taken_off(token, context)
            place += width
        return found[len(shown) :]

    def _widths(self, tokens: Sequence[int]) -> list[int]:
        """Characters of each token in the text of all: of bytes they hang on those beside them."""
        found: list[int] = []
        is_byte = self._tokenizer.processor.is_byte
        for bytewise, group in itertools.groupby(tokens, is_byte):
            run = [*group]
            if bytewise:
                found += characters_of(b"".join(self._of(token)[1] for token in run))
            else:
                found += [self._width(token) for token in run]
        return found

    def _width(self, token: int) -> int:
        """Characters of a piece; an unknown one reads ' ⁇ '."""
        if self._tokenizer.processor.is_unknown(token):
            return len(self._tokenizer.decode([token]))
        return int(self._tokenizer.piece_characters[token])

    def _taken_off(self, token: int, context: Sequence[int]) -> int:
        if not self.text(token).startswith(" "):
            return 0
        before = len(self._tokenizer.decode(context))
        return self._width(token) - len(self._tokenizer.decode([*context, token])) + before

    def completion(
        self,
        tokens: Sequence[int],
        found: Sequence[LogP | None],
        top: int,
        shown: Sequence[int] = (),
        context: Sequence[int] = (),
    ) -> dict:
        """The `logprobs` of /v1/completions; a part of `found` for each run of tokens, None for one.

        A None stands for the first token of a text, which nothing foretells. shown, context: as
        `offsets` has them.
        """
        values: list[float | None] = []
        likeliest: list[dict[str, float] | None] = []
        for part in found:
            for row in range(1 if part is None else len(part.log_p)):
                token = int(tokens[len(values)])
                values.append(None if part is None else _finite(part.log_p[row]))
                likeliest.append(None if part is None else self._likeliest(part, row, top, token))
        return {
            "tokens": [self.text(token) for token in tokens],
            "token_logprobs": values,
            "top_logprobs": likeliest if top else None,
            "text_offset": self.offsets(tokens, shown, context),
        }

    def _likeliest(self, part: LogP, row: int, top: int, token: int) -> dict[str, float]:
        """The `top` likeliest and the token itself."""
        found = {self.text(other): value for other, value in _top(part, row, top)}
        return found | {self.text(token): _finite(part.log_p[row])}

    def chat(self, tokens: Sequence[int], found: LogP, top: int) -> list[dict]:
        """The `logprobs.content` of /v1/chat/completions."""
        entries = []
        for row, token in enumerate(tokens):
            others = [self._entry(*other) for other in _top(found, row, top)]
            entry = self._entry(token, _finite(found.log_p[row]))
            entries.append(entry | {"top_logprobs": others})
        return entries

    def _entry(self, token: int, log_p: float) -> dict:
        text, content = self._of(int(token))
        return {"token": text, "logprob": log_p, "bytes": list(content)}


def characters_of(run: bytes) -> list[int]:
    """For each byte 1 where a character begins, 0 within one; a byte of no character reads U+FFFD."""
    found: list[int] = []
    while len(found) < len(run):
        rest = run[len(found) :]
        size = next((n for n in range(1, 5) if _is_character(rest[:n])), 1)
        found += [1] + [0] * (size - 1)
    return found


def _is_character(part: bytes) -> bool:
    try:
        return len(part.decode()) == 1
    except UnicodeDecodeError:
        return False


def _top(part: LogP, row: int, top: int) -> list[tuple[int, float]]:
    of = zip(part.likeliest[row, :top], part.log_p_of_likeliest[row, :top], strict=True)
    return [(int(token), _finite(value)) for token, value in of]


def _finite(value) -> float:
    return max(float(value), LEAST)
