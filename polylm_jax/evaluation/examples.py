"""The examples of a SeqIO evaluation task as text: what it does before it tokenizes.

What is asked of a task follows from its protocol, or else from its metric functions: those that
take (targets, scores) rank choices, those that take (targets, predictions) want text. A task of
plain text, without metrics and `inputs`, is measured in bits per byte.
"""

from collections.abc import Iterator
from typing import Any

import seqio
import tensorflow as tf

from polylm_jax.errors import InputError, nearest
from polylm_jax.evaluation import protocol
from polylm_jax.evaluation.protocol import GENERATE, RANK, Protocol
from polylm_jax.evaluation.result import TEXT
from polylm_jax.text import task_text

USUAL = ("validation", "test")
Example = dict[str, Any]  # feature -> str, list or number


def kind_of(task: seqio.Task) -> str:
    """RANK, GENERATE, ROLLING or TEXT; InputError for a task that none of them fits."""
    if task.name in protocol.names():
        return protocol.find(task.name).kind
    if task.score_metric_fns:
        return RANK
    if task.predict_metric_fns:
        return GENERATE
    if "inputs" not in task.output_features and task_text.is_text(task):
        return TEXT
    raise InputError(
        f"task {task.name!r} can't be evaluated: give it metric_fns that take (targets, scores) or "
        "(targets, predictions)."
    )


def protocol_of(task: seqio.Task, split: str = "") -> Protocol:
    """The task's protocol; without one, what SeqIO's own evaluator would do on `usual_split`.

    split: in place of the protocol's own, or of the usual one.
    """
    if task.name in protocol.names():
        rules = protocol.find(task.name)
        if split and split != rules.split:
            raise InputError(
                f"task {task.name!r} is scored on its {rules.split!r} split, not on {split!r}: "
                "register it for that one."
            )
        return rules
    kind = kind_of(task)
    functions = task.score_metric_fns or task.predict_metric_fns
    own = "" if kind == TEXT else functions[0].__name__
    return Protocol(
        task.name, task_text.UNKNOWN, split or usual_split(task), kind, own or "bits_per_byte",
        stop=(),
    )  # fmt: skip


def usual_split(task: seqio.Task) -> str:
    """The split that a task without a protocol is scored on: validation, test, or the first it has.

    Said, where it isn't validation.
    """
    held = list(task.splits)
    found = next((split for split in USUAL if split in held), held[0] if held else USUAL[0])
    if found != USUAL[0]:
        print(f"task {task.name!r} has no split 'validation': scored on its {found!r} split")
    return found


def read(task: seqio.Task, split: str, limit: int | None = None) -> list[Example]:
    """The examples of a split in order, at most `limit`, with text as str.

    `inputs_pretokenized` and `targets_pretokenized` stand beside the text, as SeqIO's postprocessors
    expect them.

    Raises InputError where the task can't be cut at `tokenize`, or its data is malformed.
    """
    steps = task_text.steps_before_tokenize(task)
    if steps is None:
        raise InputError(
            f"task {task.name!r} has no text to read: its preprocessors don't end in "
            "seqio.preprocessors.tokenize."
        )
    if split not in task.splits:
        raise InputError(
            f"task {task.name!r} has no split {split!r}.{nearest(split, task.splits)} It has "
            f"{', '.join(task.splits)}."
        )
    if hasattr(task.source, "items") and len(steps) == 1 and hasattr(steps[0], "render"):
        examples = _rendered(task.source, split, steps[0])
    else:
        examples = _through_tensorflow(task, split, steps)
    found = []
    for number, example in enumerate(examples):
        if number == limit:
            break
        found.append(_checked(task, number, example))
    if not found:
        raise InputError(f"task {task.name!r} has no examples in its split {split!r}.")
    return found


def _rendered(source, split: str, step) -> Iterator[Example]:
    """A source of items through a step that renders them: no TensorFlow, and errors as they are."""
    for number, item in enumerate(source.items(split)):
        yield from step.render({**item, "number": number})


def _through_tensorflow(task: seqio.Task, split: str, steps) -> Iterator[Example]:
    task.source.num_input_examples(split)  # a source that checks its files does so here
    data = task.source.get_dataset(split, shuffle=False)
    with seqio.utils.map_seed_manager(task_text.SEED):
        for step in steps:
            step = seqio.utils.add_kwargs_to_transform(
                step, sequence_length=None, output_features=task.output_features
            )
            data = step(data)
    try:
        for arrays in data.as_numpy_iterator():
            yield {name: _plain(value) for name, value in arrays.items()}
    except tf.errors.OpError as error:
        raise InputError(_sentence(task, split, error)) from error


def _sentence(task: seqio.Task, split: str, error: tf.errors.OpError) -> str:
    """What went wrong inside TensorFlow; an InputError of a Python step is its own last line."""
    lines = [line for line in str(error.message).splitlines() if "InputError: " in line]
    if lines:
        return lines[-1].partition("InputError: ")[2]
    reason = str(error.message).strip().splitlines()[0]
    return f"task {task.name!r} can't be read in its split {split!r} ({reason}): correct its data."


def _plain(value: object) -> object:
    """Bytes as str, arrays as lists; text that isn't UTF-8 as it is."""
    if hasattr(value, "to_list"):  # ragged
        return _plain(value.to_list())
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value
    return value


def _checked(task: seqio.Task, number: int, example: Example) -> Example:
    for name in ("inputs", "targets"):
        if name in example and not isinstance(example[name], str):
            raise InputError(
                f"task {task.name!r}, example {number}: {name} is {example[name]!r}, which is no "
                "text in UTF-8; correct its data."
            )
    if not example.get("targets") and not example.get("inputs"):
        raise InputError(f"task {task.name!r}, example {number}, has no text: correct its data.")
    copies = {f"{n}_pretokenized": example[n] for n in ("inputs", "targets") if n in example}
    return {**example, **copies}
