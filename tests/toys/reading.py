"""What tests of sources and tasks share: writing input, reading all of it, a small vocabulary."""

import bz2
import gzip
import io
import json
import lzma

import sentencepiece
import zstandard

TEXT = {"text": "text"}
PAIR = {"en": "en", "th": "th"}
COMPRESS = {
    "": bytes,
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".bz2": bz2.compress,
    ".zst": zstandard.ZstdCompressor().compress,
}
RECORDS = [{"id": f"page {i}", "text": f"Ärger ขาว 空\n{i}" * (i % 7 + 1)} for i in range(40)]


def jsonl(records):
    """Records as the bytes of a JSONL file."""
    return "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records).encode()


def write(path, data):
    """Writes text or bytes to a new file and returns its path as str."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return str(path)


def everything(source, split="all"):
    """All records of a source, unit after unit."""
    return [r for unit in source.list_shards(split) for r in source.records(split, unit)]


def texts(source, split="all"):
    """The texts of all records of a source."""
    return [record["text"] for record in everything(source, split)]


def bad_lines(source):
    """What a source reports: (path, line number, reason, raw bytes) of each bad line."""
    found = []
    source.on_bad_line = lambda *bad: found.append(bad)
    everything(source)
    return found


def vocabulary(path, sentences, **options):
    """Trains a SentencePiece model with the project's ids and byte fallback; returns its path."""
    model = io.BytesIO()
    plain = {"normalization_rule_name": "identity", "add_dummy_prefix": False}
    plain |= {"user_defined_symbols": ["\n"]}
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences),
        model_writer=model,
        vocab_size=400,
        model_type="bpe",
        byte_fallback=True,
        hard_vocab_limit=False,
        remove_extra_whitespaces=False,
        minloglevel=2,
        **(plain | options),
    )
    path.write_bytes(model.getvalue())
    return str(path)
