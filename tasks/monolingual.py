"""Monolingual tasks: the documents of one source in one language, or code."""

from polylm_jax.languages import registry as languages
from polylm_jax.text.held_out import HELD_OUT_FRACTION
from tasks import registry
from tasks.preprocessors import Document
from tasks.sources import source as sources


def add(
    name: str,
    language: str,
    source: object,
    vocabulary: str,
    folder: str = "",
    held_out: float = HELD_OUT_FRACTION,
) -> str:
    """Registers the task `name.language` and returns its name.

    `monolingual.add("books", "th", "thai_books/*.jsonl.gz", VOCABULARY)` gives `books.th`.

    Args:
        name: what the source is called.
        language: its code, or 'code'.
        source: paths or a dict, as `sources.read` takes them.
        vocabulary: the path of a SentencePiece model; it's opened when the task is first used.
        folder: what relative paths are under.
        held_out: the fraction of documents kept for validation.
    """
    code = component(language)
    read = sources.read(source, {"text": "text"}, folder, held_out)
    task = registry.add_task(f"{name}.{code}", read, Document(code), vocabulary)
    return task.name


def component(language: str) -> str:
    """A language's code, or 'code' for code. Raises InputError for an unknown language."""
    return languages.CODE if language == languages.CODE else languages.find(language).code
