"""Small evaluation tasks as any SeqIO client writes them, with protocols and without."""

import seqio
import tensorflow as tf

from polylm_jax.evaluation import protocol
from polylm_jax.evaluation.protocol import GENERATE, RANK, SUM, Protocol

ITEMS = [
    ("The ferry leaves", [" at 7:45.", " the bread."]),
    ("เรือข้ามฟาก", ["ออกเวลา", "ขนมปัง"]),
    ("渡轮七点", ["四十五分", "请带上面"]),
    ("Паром отходит", [" в 7:45", " хлеб"]),
]
ANSWERS = [("The ferry", ["leaves", "goes"]), ("渡轮", ["七点"]), ("", ["Die"])]
TEXTS = {"en": ["The ferry leaves at 7:45.", "Bring bread."], "th": ["เรือข้ามฟากออกเวลา ๗:๔๕ น."]}


def ranked(items=ITEMS):
    """One example per choice; the first is right."""
    return [
        {"inputs": context, "targets": choice, "idx": (item, number), "is_correct": number == 0}
        for item, (context, choices) in enumerate(items)
        for number, choice in enumerate(choices)
    ]


def rank_target(target, example=None, is_target=False):
    return (tuple(map(int, example["idx"])), bool(example["is_correct"])) if is_target else target


def share_right(targets, scores):
    """Percent of items whose right choice has the highest sum; how many examples there were."""
    best = {}
    for ((item, _), right), score in zip(targets, scores, strict=True):
        best.setdefault(item, []).append((score[0], right))
    hits = [max(choices)[1] for choices in best.values()]
    return {"accuracy_sum": 100 * sum(hits) / len(hits), "items": len(hits)}


def mean_score(targets, scores):
    """What SeqIO's evaluator gives to a score metric: a number each."""
    assert len(targets) == len(scores)
    return {"mean_score": sum(scores) / len(scores)}


def share_same(targets, predictions):
    """Percent of predictions that are one of their references."""
    hits = [
        text.strip() in references for references, text in zip(targets, predictions, strict=True)
    ]
    return {"same": 100 * sum(hits) / len(hits), "longest": max(map(len, predictions))}


def references(target, example=None, is_target=False):
    return list(example["references"]) if is_target else target


def add(name, examples, vocabulary, post, metrics, told=None, splits=("validation",), steps=None):
    """Registers a task over the examples, the same in each split."""

    def read(split, shuffle_files):
        def generate():
            yield from examples

        return tf.data.Dataset.from_generator(generate, output_signature=signature(examples[0]))

    def signature(example):
        return {key: _spec(value) for key, value in example.items()}

    features = {
        key: seqio.Feature(seqio.SentencePieceVocabulary(vocabulary), dtype=tf.int32)
        for key in ("inputs", "targets")
        if key in examples[0]
    }
    seqio.TaskRegistry.add(
        name,
        source=seqio.FunctionDataSource(read, splits),
        output_features=features,
        preprocessors=[seqio.preprocessors.tokenize] if steps is None else steps,
        postprocess_fn=post,
        metric_fns=metrics,
    )
    if told:
        protocol.remove(name)
        protocol.add(name, told)
    return name


def _spec(value):
    if isinstance(value, bool):
        return tf.TensorSpec([], tf.bool)
    if isinstance(value, tuple):
        return tf.TensorSpec([len(value)], tf.int32)
    if isinstance(value, list):
        return tf.TensorSpec([None], tf.string)
    return tf.TensorSpec([], tf.string)


def rank_protocol(language="th", **changes):
    values = {"normalisation": SUM, "choices": 2, "items": len(ITEMS)} | changes
    return Protocol("toy", language, "validation", RANK, "accuracy_sum", **values)


def add_rank(name, vocabulary, items=ITEMS, told=None):
    """Rank classification in our format."""
    told = told or rank_protocol()
    return add(name, ranked(items), vocabulary, rank_target, [share_right], told)


def add_generation(name, vocabulary, stop=("\n",), max_new_tokens=6):
    """Generation in our format."""
    examples = [
        {"inputs": prompt, "targets": right[0], "references": right, "idx": (number,)}
        for number, (prompt, right) in enumerate(ANSWERS)
    ]
    told = Protocol("toy_text", "en", "validation", GENERATE, "same", stop=stop,
                    max_new_tokens=max_new_tokens)  # fmt: skip
    return add(name, examples, vocabulary, references, [share_same], told)


def add_text(name, vocabulary, language):
    """Plain text: no metrics, no `inputs`."""
    examples = [{"targets": text, "language": language} for text in TEXTS[language]]
    return add(name, examples, vocabulary, None, [])
