"""A task from its examples to its numbers: what is known is read, the rest asked, then measured."""

import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from polylm_jax.errors import InputError
from polylm_jax.evaluation import examples, protocol, questions
from polylm_jax.evaluation.language_model import LanguageModel
from polylm_jax.evaluation.outputs import Outputs
from polylm_jax.evaluation.protocol import GENERATE
from polylm_jax.evaluation.questions import Questions
from polylm_jax.evaluation.result import ANSWER_BITS, TEXT, Result
from polylm_jax.runtime.storage import Folder
from polylm_jax.text import task_text

FLUSH_SECONDS = 1.0  # what a kill can cost


def ask(
    name: str,
    model: LanguageModel,
    *,
    split: str = "",
    limit: int | None = None,
    max_new_tokens: int | None = None,
) -> Questions:
    """What a task asks of this model.

    split: see `examples.protocol_of`. limit: items that are read at most. max_new_tokens: in place
    of the protocol's.

    Raises InputError for an unknown task and for malformed data.
    """
    task = task_text.find(name)
    rules = examples.protocol_of(task, split)
    if max_new_tokens is not None:
        rules = dataclasses.replace(rules, max_new_tokens=max_new_tokens)
    return questions.prepare(task, rules, model.tokenizer, model.max_length, limit)


def run(
    asked: Questions,
    model: LanguageModel,
    folder: Folder | None = None,
    *,
    stop: Callable[[], bool] = lambda: False,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> Result | None:
    """Answers what a task asks; None where `stop()` ended it early.

    folder: where outputs are kept and found again; None keeps nothing. Of several processes the
    first one has it, and its result is whole. advance(done, total) is called as requests are
    answered.
    """
    outputs = None
    if folder is not None:
        outputs = Outputs(folder, asked.task.name, asked.identity(model.config.numerics))
    done = dict(outputs.done) if outputs else {}
    missing = _agreed([number for number in asked.open if number not in done])
    total = len(asked.open)
    start = flushed = time.monotonic()
    advance(total - len(missing), total)
    try:
        for count, (number, line) in enumerate(_lines(model, asked, missing, stop), 1):
            done[number] = line
            if outputs:
                outputs.add(number, line)
                if time.monotonic() - flushed > FLUSH_SECONDS:
                    outputs.flush()
                    flushed = time.monotonic()
            advance(total - len(missing) + count, total)
    finally:
        if outputs:
            outputs.close()
    if any(number not in done for number in missing):
        return None
    return _result(asked, done, len(missing), time.monotonic() - start)


def _agreed(missing: list[int]) -> list[int]:
    """What the first process misses, on every process: all of them compute the same batches."""
    if jax.process_count() == 1:
        return missing
    size = multihost_utils.broadcast_one_to_all(np.array(len(missing)))
    mine = np.resize(np.array(missing or [0], np.int64), int(size))
    return multihost_utils.broadcast_one_to_all(mine).tolist()


def _lines(
    model: LanguageModel, asked: Questions, missing: list[int], stop: Callable[[], bool]
) -> Iterator[tuple[int, dict]]:
    """(number of what was asked, its answer as plain values), as batches end."""
    if not missing:
        return
    some = [asked.asked[number] for number in missing]
    if asked.kind == GENERATE:
        rules = asked.protocol
        for index, answer in model.answer(some, rules.max_new_tokens, rules.stop, stop):
            yield missing[index], answer._asdict()
        return
    for index, (log_p, tokens, greedy) in model.score(some, stop):
        if not math.isfinite(log_p):
            raise InputError(
                f"task {asked.task.name!r}: a log-likelihood is {log_p}: the checkpoint holds "
                "numbers that aren't finite; use an earlier one."
            )
        yield missing[index], {"log_p": log_p, "tokens": tokens, "greedy": greedy}


def _result(asked: Questions, done: dict[int, dict], computed: int, seconds: float) -> Result:
    rules = asked.protocol
    if asked.kind == TEXT:
        spoken = {example["language"] for example in asked.examples}
        if len(spoken) == 1:
            rules = dataclasses.replace(rules, language=spoken.pop())
    return Result(
        task=asked.task.name,
        protocol=rules,
        metrics=measure(asked, done),
        items=asked.items,
        too_long=asked.items_too_long,
        requests=len(asked.open),
        computed=computed,
        seconds=seconds,
    )


def measure(asked: Questions, done: dict[int, dict]) -> dict[str, float]:
    """The task's metrics over what was answered; nothing where nothing fitted the model.

    Nothing either on a process that wasn't given what was known before.
    """
    numbers = asked.open
    if not numbers or any(number not in done for number in numbers):
        return {}
    if asked.kind == TEXT:
        return bits([e["targets"] for e in asked.examples], [done[number] for number in numbers])
    task = asked.task
    kept = [e for number, e in enumerate(asked.examples) if number not in asked.too_long]
    targets = [task.postprocess_fn(e["targets"], example=e, is_target=True) for e in kept]
    found: dict[str, Any] = {}
    if asked.kind != GENERATE:
        scores = _scores(asked, done)
        found |= _right_answers(kept, scores)
        plain = task.name not in protocol.names()  # SeqIO's own evaluator gives a number each
        given = [log_p for log_p, _ in scores] if plain else scores
        for function in task.score_metric_fns:
            found |= function(targets, given)
    else:
        texts = [done[n]["text"] for n in numbers]
        predictions = [
            task.postprocess_fn(text, example=e, is_target=False)
            for text, e in zip(texts, kept, strict=True)
        ]
        for function in task.predict_metric_fns:
            found |= function(targets, predictions)
    return {key: float(getattr(value, "value", value)) for key, value in found.items()}


def _right_answers(kept: list[dict], scores: list[tuple[float, int]]) -> dict[str, float]:
    """Bits per byte of the right choices together: it moves where accuracy still guesses."""
    right = [
        (example["targets"], log_p)
        for example, (log_p, _) in zip(kept, scores, strict=True)
        if example.get("is_correct") and isinstance(example["targets"], str)
    ]
    if not right:
        return {}
    nats = -math.fsum(log_p for _, log_p in right)
    return {ANSWER_BITS: nats / math.log(2) / sum(len(text.encode()) for text, _ in right)}


def _scores(asked: Questions, done: dict[int, dict]) -> list[tuple[float, int]]:
    """(sum of log p, tokens) of each example that was asked, over its windows where it has several."""
    sums: dict[int, tuple[float, int]] = {}
    for number in asked.open:
        log_p, tokens = sums.get(owner := int(asked.owner[number]), (0.0, 0))
        sums[owner] = (log_p + done[number]["log_p"], tokens + done[number]["tokens"])
    return [sums[owner] for owner in sorted(sums)]


def bits(texts: list[str], lines: list[dict]) -> dict[str, float]:
    """Bits per UTF-8 byte and per code point of documents, EOS among the nats and not the bytes."""
    nats = -math.fsum(line["log_p"] for line in lines)
    size = sum(len(text.encode()) for text in texts)
    characters = sum(map(len, texts))
    return {
        "bits_per_byte": nats / math.log(2) / size,
        "bits_per_character": nats / math.log(2) / characters,
        "bytes": size,
        "characters": characters,
        "tokens": sum(line["tokens"] for line in lines),
    }
