"""Tasks of instruction data: a language's conversations, of which the answers are learned.

In a recipe:

    TASKS = @tuning.register()
    tuning.register.conversations = {"es": "multialpaca/es.jsonl", "ja": "multialpaca/ja.jsonl"}
    tuning.register.mixtures = {"multialpaca": {"es": 0.5, "ja": 0.5}}
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from polylm_jax.errors import InputError, nearest
from polylm_jax.runtime.paths import under
from polylm_jax.runtime.ranges import Share
from polylm_jax.text.held_out import HELD_OUT_FRACTION
from tasks import corpus, monolingual, registry
from tasks.instructions.conversations import CONVERSATION, Conversations
from tasks.instructions.templates import Template, find
from tasks.sources.source import RecordSource

OPTIONS = ("paths", "format", "columns", "where", "where_not", "id", "unit_bytes")


def spec_of(given: object, data_dir: str, field: str) -> dict[str, Any]:
    """The reader's options of files, or of a dict as tasks and `clean` take it.

    {"paths": "qa.parquet", "columns": {"instruction": "pregunta", "output": "respuesta"},
    "where": {"lang": "es"}}: `columns` says which field is read as what, of layouts.FIELDS.
    """
    spec: dict[str, Any] = dict(given) if isinstance(given, Mapping) else {"paths": given}
    for option in spec:
        if option not in OPTIONS:
            raise InputError(
                f"{field}: option {option!r} isn't known.{nearest(option, OPTIONS)} Known: "
                f"{', '.join(OPTIONS)}."
            )
    if "paths" not in spec:
        raise InputError(f"{field} = {given!r} has no 'paths': give a path, a glob or a list.")
    paths = spec["paths"]
    many = (paths,) if isinstance(paths, str) else tuple(paths)
    spec["paths"] = tuple(under(data_dir, path) for path in many)
    if "columns" in spec:
        spec["fields"] = spec.pop("columns")
    return spec


@dataclass(frozen=True)
class Written:
    """A conversation written as text.

    Written("en", TEMPLATES["multialpaca"]):
        {"conversation": '[["user", "1 + 1?"], ["assistant", "2"]]', "group": "7", "held_out": False}
    ->  {"targets": "1 + 1?\\n\\n2", "language": "en", "group": "7", "held_out": False,
         "segments": ["1 + 1?\\n\\n", "2"], "is_answer": [False, True]}

    `segments` and `is_answer` are for `render` alone; a tf.data client has the text as a whole.
    """

    language: str
    template: Template

    def render(self, record: Mapping[str, Any]) -> dict[str, object]:
        """One example from one record."""
        segments = self.template.segments(json.loads(record[CONVERSATION]))
        return {
            "targets": "".join(text for text, _ in segments),
            "segments": [text for text, _ in segments],
            "is_answer": [answer for _, answer in segments],
            **self._labels(record),
        }

    def __call__(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        def example(record: Mapping[str, tf.Tensor]) -> dict[str, object]:
            targets = tf.numpy_function(
                self.text, [record[CONVERSATION]], tf.string, stateful=False
            )
            return {"targets": tf.ensure_shape(targets, []), **self._labels(record)}

        return dataset.map(example, num_parallel_calls=tf.data.AUTOTUNE)

    def text(self, conversation: bytes) -> bytes:
        """A record's text as a whole, UTF-8."""
        segments = self.template.segments(json.loads(conversation))
        return "".join(text for text, _ in segments).encode()

    def _labels(self, record: Mapping) -> dict[str, object]:
        return {"language": self.language, "group": record["group"], "held_out": record["held_out"]}


def register(
    data_dir: str,
    vocabulary: str,
    conversations: Mapping[str, object],
    mixtures: Mapping[str, Mapping[str, float]] | None = None,
    name: str = "instructions",
    template: str | Template = "multialpaca",
    clean: bool = True,
    joint: str = "\n",
    held_out: Share = HELD_OUT_FRACTION,
) -> tuple[str, ...]:
    """Registers instruction data and returns the names of its tasks. Files are looked for later.

    Args:
        data_dir: what relative paths are under; local or gs://.
        vocabulary: the path of a SentencePiece model.
        conversations: language -> files (a path, a glob, a list), or a dict as `spec_of` takes it,
            which become the task `name.th`. A second source of a language is "th.chat": the task
            `name.chat.th`.
        mixtures: name of a SeqIO mixture -> shares of tokens by language or task, summing to 1.
        name: what the data is called.
        template: a name in templates.TEMPLATES, text with {content}, or a Template.
        clean: leaves out what `instruction_defects.reason` names.
        joint: what stands between an instruction and its input.
        held_out: the fraction of conversations kept for validation.
    """
    return registered(
        Conversations, Written, data_dir, vocabulary, conversations, "conversations", mixtures, name,
        template, held_out, clean=clean, joint=joint,
    )  # fmt: skip


def registered(
    reader: type[Conversations],
    writer: type[Written],
    data_dir: str,
    vocabulary: str,
    files: Mapping[str, object],
    field: str,
    mixtures: Mapping[str, Mapping[str, float]] | None,
    name: str,
    template: str | Template,
    held_out: float,
    **options: Any,
) -> tuple[str, ...]:
    """`register` of any reader and its writer. field: what a user calls `files`; options: the reader's."""
    if not files:
        raise InputError(f"{field} is empty: give the files of a language at least.")
    written = find(template)
    components: dict[str, list[str]] = {}
    for key, given in files.items():
        language, _, label = str(key).partition(".")
        code = monolingual.component(language)
        task = registry.add_task(
            f"{name}.{label}.{code}" if label else f"{name}.{code}",
            RecordSource(
                reader(**spec_of(given, data_dir, f"{field}[{key!r}]"), **options), held_out
            ),
            writer(code, written),
            vocabulary,
        )
        components.setdefault(code, []).append(task.name)
    for mixture, shares in (mixtures or {}).items():
        registry.add_mixture(mixture, corpus.rates(components, shares, f"mixtures[{mixture!r}]"))
    return tuple(task for tasks in components.values() for task in tasks)
