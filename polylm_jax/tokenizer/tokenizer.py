"""The vocabulary: a SentencePiece model, text <-> token ids, and the bytes that each piece stands for.

A vocabulary trained here (tokenizer_training) loses nothing: decode(encode(text)) == text for all
Unicode text except U+2581, SentencePiece's own mark for a space, which reads back as a space. Text
that looks like a control piece ('</s>', '<0x0A>') is text. Any other SentencePiece model can be
loaded as well, and keeps its own rules of normalization.
"""

import dataclasses
import functools
import hashlib
import pathlib
from collections.abc import Iterable, Sequence

import numpy as np
import sentencepiece

from polylm_jax.errors import InputError
from polylm_jax.runtime import paths, storage

UNK, BOS, EOS = "<unk>", "<s>", "</s>"  # ids 0, 1 and 2; there is no padding piece
SPACE_MARK = "\u2581"


@dataclasses.dataclass(frozen=True, eq=False)
class Tokenizer:
    """A loaded SentencePiece model. It pickles, and its methods may be called from many threads.

    Attributes:
      path: where it was loaded from.
      fingerprint: SHA-256 of the model file, in hex: two vocabularies are the same when this is.
      processor: SentencePiece's own object.
      content: the model file's bytes. SentencePiece writes the same model in other bytes where
        another version or tool wrote the file, and those have another fingerprint.
    """

    path: str
    fingerprint: str
    processor: sentencepiece.SentencePieceProcessor = dataclasses.field(repr=False)
    content: bytes = dataclasses.field(repr=False)

    @classmethod
    def load(cls, path: str) -> "Tokenizer":
        """The model file at `path`, a local path or gs://BUCKET/KEY.

        Raises:
          InputError: no file is there, it is no SentencePiece model, or it has no piece that ends
            a document.
        """
        return cls.from_bytes(_read(str(path)), str(path))

    @classmethod
    def from_bytes(cls, content: bytes, path: str = "") -> "Tokenizer":
        """The model whose file holds `content`; `path` is what messages call it."""
        try:
            processor = sentencepiece.SentencePieceProcessor(model_proto=content)
        except (RuntimeError, ValueError) as error:
            raise InputError(
                f"vocabulary = {path!r} is not a SentencePiece model: name the .model file that "
                "train_tokenizer wrote."
            ) from error
        if processor.eos_id() < 0:
            raise InputError(
                f"vocabulary = {path!r} has no end-of-text piece, which closes each document: "
                "name a SentencePiece model that was trained with one."
            )
        return cls(path, hashlib.sha256(content).hexdigest(), processor, content)

    @property
    def vocab_size(self) -> int:
        """The number of pieces, control and byte pieces included."""
        return self.processor.get_piece_size()

    @property
    def unk_id(self) -> int:
        return self.processor.unk_id()

    @property
    def bos_id(self) -> int:
        """The id of `<s>`, -1 in a model without one. No text of ours begins with it."""
        return self.processor.bos_id()

    @property
    def eos_id(self) -> int:
        return self.processor.eos_id()

    @functools.cached_property
    def piece_bytes(self) -> np.ndarray:
        """int32 [V]: how many UTF-8 bytes of text each piece stands for.

        0 for control pieces and `<unk>`, 1 for byte pieces and for U+2581, which is a space.
        """
        sizes = [self._bytes_of(piece) for piece in range(self.vocab_size)]
        return np.array(sizes, dtype=np.int32)

    def _bytes_of(self, piece: int) -> int:
        sp = self.processor
        if sp.is_byte(piece):
            return 1
        if sp.is_control(piece) or sp.is_unknown(piece):
            return 0
        return len(sp.id_to_piece(piece).replace(SPACE_MARK, " ").encode())

    @functools.cached_property
    def piece_characters(self) -> np.ndarray:
        """int32 [V]: how many characters (code points) of text begin in each piece.

        Of the byte pieces that spell a character, the first has it: the others continue it.
        """
        sizes = [self._characters_of(piece) for piece in range(self.vocab_size)]
        return np.array(sizes, dtype=np.int32)

    def _characters_of(self, piece: int) -> int:
        sp = self.processor
        if sp.is_control(piece) or sp.is_unknown(piece):
            return 0
        name = sp.id_to_piece(piece)
        return int(int(name[1:-1], 16) & 0xC0 != 0x80) if sp.is_byte(piece) else len(name)

    def encode(self, text: str) -> list[int]:
        """The ids of `text`, with neither `<s>` nor `</s>` added."""
        return self.processor.encode(text)

    def encode_batch(
        self, texts: Sequence[str] | Sequence[bytes], num_threads: int = 1
    ) -> list[np.ndarray]:
        """The ids of each text (str, or bytes in UTF-8): int32 arrays, read-only, nothing added."""
        batch: list = list(texts)
        return self.processor.encode(batch, num_threads=num_threads, return_type="numpy")

    @functools.cached_property
    def is_plain(self) -> bool:
        """Whether text is cut as it is: without a prefix or a normalizer, parts of it alike."""
        return self.processor.normalize("\n x") == f"\n{SPACE_MARK}x"

    def encode_parts(self, parts: Sequence[str]) -> list[np.ndarray]:
        """The ids of a text, part by part: int32; a piece across a border is the later part's."""
        pieces = self.processor.encode("".join(parts), return_type="proto").pieces
        last = [max(piece.begin, piece.end - 1) for piece in pieces]
        part = np.searchsorted(np.cumsum([len(one.encode()) for one in parts]), last, side="right")
        ids = np.array([piece.id for piece in pieces], np.int32)
        return [ids[part == number] for number in range(len(parts))]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of `ids`; control pieces are left out, and cut UTF-8 reads as U+FFFD."""
        return self.processor.decode([int(token) for token in ids])


def _read(path: str) -> bytes:
    remedy = "name a SentencePiece .model file, or make one with train_tokenizer"
    found = paths.resolve(path, "vocabulary")
    if found.startswith("gs://"):
        bucket, _, name = found.rpartition("/")
        content = storage.Folder(bucket, "vocabulary").peek(name)
    else:
        try:
            content = pathlib.Path(found).read_bytes()
        except OSError as error:
            reason = f"can't be read ({error.strerror})"
            raise InputError(f"vocabulary = {path!r} {reason}: {remedy}.") from error
    if not content:
        raise InputError(f"vocabulary = {path!r} isn't there or is empty: {remedy}.")
    return content
