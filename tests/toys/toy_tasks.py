"""Small SeqIO tasks of one's own, as any SeqIO client writes them, and a vocabulary to go with them."""

import functools

import gin
import seqio
import tensorflow as tf
from reading import jsonl, vocabulary, write

from tasks import corpus, registry

TEXTS = [f"Ärger {i}: สวัสดี ครับ, 空 {'の' * (i % 5)}\n\nline  {i * i}" for i in range(300)]
DOCUMENTS = [{"id": f"page {i}", "text": text} for i, text in enumerate(TEXTS)]
PAIRS = [{"id": f"page {i}", "en": f"Line {i}.", "th": "ขาว" * (i % 4 + 1)} for i in range(200)]
UNIT_BYTES = 2000  # so that the documents are some 15 units
STEPS = (seqio.preprocessors.tokenize, seqio.preprocessors.append_eos)


@functools.cache
def model(folder):
    """The path of a small vocabulary in `folder` (a pathlib.Path)."""
    return vocabulary(folder / "toy.model", TEXTS)


def features(path):
    """`targets` in the vocabulary at `path`."""
    toy = seqio.SentencePieceVocabulary(path)
    return {"targets": seqio.Feature(toy, add_eos=True, dtype=tf.int32)}


def task(name, path, texts=None, steps=(), after=STEPS, source=None):
    """A task over texts per split (`train` alone by default) or a source, not registered."""
    texts = texts if isinstance(texts, dict) else {"train": texts or TEXTS}

    def read(split, shuffle_files):
        return tf.data.Dataset.from_tensor_slices({"targets": texts[split]})

    return seqio.Task(
        name,
        source or seqio.FunctionDataSource(read, list(texts)),
        output_features=features(path),
        preprocessors=[*steps, *after],
    )


def register(folder, vocabulary, documents=None, **options):
    """Writes and registers toy.th, toy.en_th and toy.th_en, with a mixture 'toy'."""
    write(folder / "th.jsonl", documents or jsonl(DOCUMENTS))
    write(folder / "en-th.jsonl", jsonl(PAIRS))
    return register_files(folder, vocabulary, **options)


def register_files(folder, vocabulary, unit_bytes=UNIT_BYTES, **options):
    """Registers what `register` writes."""
    th = {"format": "jsonl", "paths": "th.jsonl", "unit_bytes": unit_bytes}
    options = {"held_out": 0.1, **options}
    mixtures = {"toy": {"th": 0.6, "parallel": 0.4}}
    pairs = {"en-th": "en-th.jsonl"}
    return corpus.register(
        str(folder), vocabulary, {"th": th}, pairs, mixtures, name="toy", **options
    )


def begin_again() -> None:
    """Forgets what the calls before configured and registered, as a new process has."""
    gin.clear_config()
    seqio.TaskRegistry.reset()
    seqio.MixtureRegistry.reset()
    registry._DEFINITIONS.clear()


def forget():
    """Takes the tasks and mixtures of tests out of SeqIO's registries."""
    for names in (seqio.MixtureRegistry, seqio.TaskRegistry):
        for name in [n for n in names.names() if n.startswith("toy")]:
            names.remove(name)
