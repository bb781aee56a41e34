"""`train_tokenizer`: from tasks to a vocabulary, with a table of what it costs each language.

Beside NAME.model it writes NAME.json (options, thread count, seed, characters per language, lines
cut, the table), NAME.md (the table) and NAME.gin (the resolved config). A vocabulary that the limits
refuse is kept as NAME.refused.model, with the same files beside it.

Known of time and memory (SentencePiece 0.2.3, 2 cores, 2 threads): BPE of 87M characters in 17
languages takes 28 s and 0.95 GB for 256,000 pieces; unigram of 22M takes 83 s and 0.62 GB for
16,000. Both grow with the characters: reckon 10 bytes of memory a character for BPE and 30 for
unigram, beside 2 to 4 for the sample itself. All of the sample is trained on (SentencePiece's own
`input_sentence_size` stays 0), and `train_extremely_large_corpus` turns on above 2**31 characters.
"""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import rich.console
import rich.progress
import sentencepiece

from polylm_jax.errors import InputError, one_of
from polylm_jax.runtime import storage
from polylm_jax.runtime.ranges import NonNegative
from polylm_jax.runtime.spread import spread
from polylm_jax.text import sample as text_sample
from polylm_jax.text.sample import Sample, SampleSettings
from polylm_jax.tokenizer import fertility, sentencepiece_trainer
from polylm_jax.tokenizer.fertility import Row
from polylm_jax.tokenizer.sentencepiece_trainer import Pieces
from polylm_jax.tokenizer.tokenizer import Tokenizer

MODEL_TYPES = ("bpe", "unigram")
RANGES = {  # option: least, most, why
    "vocab_size": (sentencepiece_trainer.SMALLEST, 2**31 - 1, "bytes and digits alone take that"),
    "alpha": (0, 1, "0 makes languages equal, 1 leaves them as they are"),
    "characters": (1, 10**12, "the sample is held in memory"),
    "characters_per_language": (1, 10**12, "the sample is held in memory"),
    "max_repeats": (1, 10**6, "a text stands in the sample once, or more often"),
    "read_characters": (1, 10**18, "a task is read up to there"),
    "character_coverage": (0.98, 1, "SentencePiece takes no other share of the characters"),
    "num_threads": (1, 1024, "SentencePiece takes no other number"),
}
SEVERAL = 300  # characters of held-out text that a language's row needs, else it's of the sample


@dataclasses.dataclass(frozen=True)
class Limits:
    """Below what a vocabulary is refused.

    reference: another SentencePiece vocabulary, whose bytes per token the ratios are over.
    min_bytes_per_token: the least: a number, or {language: number}.
    min_ratio: the same of the ratio to the reference.
    """

    reference: str | None = None
    min_bytes_per_token: NonNegative | Mapping[str, NonNegative] | None = None
    min_ratio: NonNegative | Mapping[str, NonNegative] | None = None

    def check(self, samples: Collection[str] | None = None) -> None:
        """InputError for limits that can't be, or are of languages without a sample."""
        for field in ("min_bytes_per_token", "min_ratio"):
            fertility.check_limits(field, getattr(self, field), samples)
        if self.min_ratio is not None and not self.reference:
            raise InputError(
                f"min_ratio = {self.min_ratio!r} needs a reference: name another vocabulary as "
                "reference."
            )


@spread("pieces", "sampled", "limits")
def train_tokenizer(
    tasks: Sequence[str],
    output: str,
    *,
    pieces: Pieces,
    sampled: SampleSettings,
    limits: Limits,
    overwrite: bool = False,
    recipe: str = "",
) -> list[Row]:
    """Trains a vocabulary on the tasks' text, never on held-out text, and writes it to `output`.

    The same tasks, options and threads give the same bytes.

    tasks: names in SeqIO's registry; what they do before `tokenize` makes the text.
    output: the .model file to write, on local disk or gs://.
    overwrite: replace a vocabulary that is there already.
    recipe: the resolved config, kept beside the vocabulary.

    Raises InputError where an option is wrong, `output` exists, the sample is too small for
    `vocab_size`, or the vocabulary is below a limit.
    """
    tasks = (tasks,) if isinstance(tasks, str) else tuple(tasks)
    options = {"tasks": tasks, "output": output} | vars(pieces) | vars(sampled) | vars(limits)
    _check(options)
    limits.check()
    destination = _Destination(output, overwrite, recipe)
    compared = Tokenizer.load(limits.reference) if limits.reference else None
    console = rich.console.Console(highlight=False)

    samples = _draw(console, tasks, sampled)
    limits.check(samples)
    texts = [text for sample in samples.values() for text in sample.train]
    characters = f"{sum(map(len, texts)):,} characters"
    say = f"{pieces.vocab_size:,} pieces ({pieces.model_type}) of {characters}"
    with console.status(f"SentencePiece: {say}, {pieces.num_threads} threads"):
        content, feed = sentencepiece_trainer.train(texts, pieces)
    console.print(
        f"trained {say}; {feed.cut_lines} of {feed.lines:,} lines were cut", soft_wrap=True
    )

    tokenizer = Tokenizer.from_bytes(content, output)
    rows = [
        _measured(language, sample, tokenizer, compared, pieces.num_threads)
        for language, sample in samples.items()
    ]
    console.print(fertility.table(rows))
    refused = fertility.refusal(rows, limits.min_bytes_per_token, limits.min_ratio)
    report = {
        "sha256": tokenizer.fingerprint,
        "sentencepiece": sentencepiece.__version__,
        "options": options,
        "reference_sha256": compared.fingerprint if compared else None,
        "lines": feed.lines,
        "cut_lines": feed.cut_lines,
        "sample": {language: _counts(sample) for language, sample in samples.items()},
        "fertility": [row.as_dict() for row in rows],
        "refused": refused,
    }
    destination.write(content, report, fertility.markdown(rows))
    return rows


def _check(options: Mapping[str, Any]) -> None:
    """Refuses, before any text is read, what SentencePiece would refuse after it, or never."""
    if not options["tasks"]:
        raise InputError("tasks is empty: give the names of the tasks to take text from.")
    one_of("model_type", options["model_type"], MODEL_TYPES)
    for name, (least, most, why) in RANGES.items():
        if not least <= options[name] <= most:
            raise InputError(
                f"{name} = {options[name]!r} must lie between {least} and {most}: {why}."
            )


class _Destination:
    """Where a vocabulary and its reports go. Its `.gin` is written at once: a place that can't be
    written is refused before hours of training."""

    def __init__(self, output: str, overwrite: bool, recipe: str):
        place, _, name = str(output).rpartition("/")
        self._stem, suffix = name.removesuffix(".model"), name[-6:]
        if suffix != ".model" or not self._stem:
            raise InputError(f"output = {output!r} must end in NAME.model: add the ending.")
        self._output, self._overwrite, self._recipe = output, overwrite, recipe
        self._folder = storage.Folder(place or ("/" if str(output)[0] == "/" else "."), "output")
        if self._folder.peek(name) is not None and not overwrite:
            raise self._exists()
        self._folder.write(f"{self._stem}.gin", recipe.encode())

    def _exists(self) -> InputError:
        return InputError(
            f"output = {self._output!r} exists and vocabularies are never replaced: give another "
            "name, or overwrite = True when no store or checkpoint needs it."
        )

    def write(self, content: bytes, report: Mapping, table: str) -> None:
        """The reports, then the model; a refused one under another name, and InputError."""
        refused = report["refused"]
        stem = f"{self._stem}.refused" if refused else self._stem
        self._folder.write(f"{stem}.json", storage.to_json(report))
        self._folder.write(f"{stem}.md", table.encode())
        if refused:
            self._folder.write(f"{stem}.model", content)
            raise InputError(
                f"the vocabulary is below a limit: {refused}; it's kept as {stem}.model: train on "
                "more of these languages' text, raise vocab_size, or lower the limit."
            )
        if self._overwrite:
            self._folder.write(f"{stem}.model", content)
        elif not self._folder.claim(f"{stem}.model", content):
            raise self._exists()


def _draw(
    console: rich.console.Console, tasks: Sequence[str], sampled: SampleSettings
) -> dict[str, Sample]:
    """The samples, with a line of progress."""
    columns = (
        "{task.description}",
        rich.progress.BarColumn(),
        "{task.completed}/{task.total}",
        "units, {task.fields[read]:,} characters",
        rich.progress.TimeElapsedColumn(),
    )
    with rich.progress.Progress(*columns, console=console) as bar:
        line = bar.add_task("", total=None, read=0)
        read = 0

        def progress(task: str, done: int, units: int, characters: int) -> None:
            nonlocal read
            read += characters
            bar.update(line, description=task, completed=done, total=units, read=read)

        return text_sample.draw(tasks, sampled, progress)


def _measured(
    language: str, sample: Sample, tokenizer: Tokenizer, reference: Tokenizer | None, threads: int
) -> Row:
    """The row of a language: on held-out text where there is enough, else on what it trained on."""
    enough = sum(map(len, sample.held_out)) >= SEVERAL
    documents = sample.held_out if enough else text_sample.head(sample.train)
    text = "held-out" if enough else "sample"
    return fertility.measure(language, text, documents, tokenizer, reference, threads)


def _counts(sample: Sample) -> dict[str, int]:
    return {
        "available_characters": sample.available,
        "train_characters": sum(map(len, sample.train)),
        "train_bytes": sum(len(text.encode()) for text in sample.train),
        "held_out_characters": sum(map(len, sample.held_out)),
    }
