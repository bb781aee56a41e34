"""Held-out instructions as evaluation tasks: an answer is generated, and its language is told.

In a recipe of instruction tuning:

    EVALUATION_TASKS = @answered.register()
    answered.register.conversations = {"es": "multialpaca/es.jsonl", "ja": "multialpaca/ja.jsonl"}
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import tensorflow as tf

from polylm_jax.evaluation import protocol
from polylm_jax.evaluation.protocol import GENERATE, Protocol
from polylm_jax.runtime.ranges import Count, Share
from polylm_jax.text.held_out import HELD_OUT_FRACTION
from tasks import monolingual, registry
from tasks.instructions.conversations import CONVERSATION, Conversations
from tasks.instructions.templates import Template, find
from tasks.instructions.tuning import spec_of
from tasks.metrics import in_language
from tasks.sources.source import RecordSource

SPLIT = "validation"


@dataclass(frozen=True)
class Asked:
    """A conversation up to where its last answer begins, and that answer.

    Asked(TEMPLATES["multialpaca"]):
        {"conversation": '[["user", "1 + 1?"], ["assistant", "2"]]', ...}
    ->  {"inputs": "1 + 1?\\n\\n", "targets": "2"}
    """

    template: Template

    def cut(self, conversation: bytes) -> tuple[bytes, bytes]:
        *before, (answer, _) = self.template.segments(json.loads(conversation))
        return "".join(text for text, _ in before).encode(), answer.encode()

    def __call__(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        def example(record: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
            inputs, targets = tf.numpy_function(
                self.cut, [record[CONVERSATION]], (tf.string, tf.string), stateful=False
            )
            return {"inputs": tf.ensure_shape(inputs, []), "targets": tf.ensure_shape(targets, [])}

        return dataset.map(example, num_parallel_calls=tf.data.AUTOTUNE)


def same(value: object, example: dict | None = None, is_target: bool = False) -> object:
    """SeqIO's postprocessor: text as it is."""
    del example, is_target
    return value


def register(
    data_dir: str,
    vocabulary: str,
    conversations: Mapping[str, object],
    name: str = "answers",
    template: str | Template = "multialpaca",
    held_out: Share = HELD_OUT_FRACTION,
    max_new_tokens: Count = 128,
) -> tuple[str, ...]:
    """Registers `answers.es` ... of the held-out conversations and returns the names.

    The arguments are those of `tuning.register`, and must be those of the run for nothing of it to be
    asked. max_new_tokens: of an answer; its beginning is enough to tell its language.

    Metric, in percent: `in_language`, see tasks.metrics.in_language. Raises InputError for a
    language that the identifier doesn't know.
    """
    names = []
    for key, given in conversations.items():
        language, _, label = str(key).partition(".")
        code = in_language.check(monolingual.component(language))
        task = f"{name}.{label}.{code}" if label else f"{name}.{code}"
        reader = Conversations(**spec_of(given, data_dir, f"conversations[{key!r}]"))
        registry.add_evaluation_task(
            task, RecordSource(reader, held_out), Asked(find(template)), vocabulary, same,
            [in_language.in_language(code)],
        )  # fmt: skip
        rules = Protocol(
            name, code, SPLIT, GENERATE, "in_language", stop=(), max_new_tokens=max_new_tokens,
        )  # fmt: skip
        protocol.add(task, rules)
        names.append(task)
    return tuple(names)
