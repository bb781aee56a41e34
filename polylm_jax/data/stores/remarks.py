"""What is odd about a task's documents and must not pass unsaid: filters, groups, splits without text."""

from collections import Counter
from collections.abc import Iterable, Iterator

import seqio

from polylm_jax.data.stores.manifest import Manifest
from polylm_jax.errors import InputError
from polylm_jax.text.task_text import Batch

LARGE = 0.1  # of all documents: a group of so many stands or falls with one toss of the hash
FEW = 20  # documents of which any share is chance
_CANDIDATE = 0.01  # of a batch: rarer groups in it can't be a tenth of all


class Groups:
    """Counts the groups that hold many documents, in little memory however many groups there are.

    A group of a tenth of all documents has a hundredth of most batches; only such are counted.
    """

    def __init__(self):
        self.documents = 0
        self._large: Counter[str] = Counter()
        self._held: dict[str, bool] = {}

    def watch(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The batches as they come."""
        for batch in batches:
            groups = batch["group"]
            self.documents += len(groups)
            for group, count in Counter(groups).most_common(10):
                if count > 1 and count >= _CANDIDATE * len(groups):
                    self._large[group] += count
                    self._held[group] = batch["split"][groups.index(group)] != "train"
            yield batch

    def remarks(self, task: str) -> Iterator[str]:
        """A sentence for each group with more than a tenth of the documents."""
        for group, count in self._large.most_common():
            if self.documents >= FEW and count > LARGE * self.documents:
                fate = "held out" if self._held[group] else "trained on"
                shown = group if len(group) <= 40 else f"{group[:37]}..."
                yield (
                    f"{task}: {count:,} of {self.documents:,} documents are one group ({shown!r}), "
                    f"so all of them are {fate}; where they aren't one document's parts, say "
                    "id = None or another field."
                )


def of_filters(task: seqio.Task) -> list[str]:
    """A sentence for each field of a filter that no record seems to have."""
    reader = getattr(task.source, "reader", None)
    unknown = getattr(reader, "unknown_filters", None)
    found = unknown() if unknown else []
    return [f"{task.name}: {sentence}" for sentence in found]


def of_splits(task: seqio.Task, manifest: Manifest | None) -> list[str]:
    """A sentence where no document is held out, or much more of the text than asked for.

    Raises InputError where none is left to train on, saying why.
    """
    reader = getattr(task.source, "reader", None)
    if manifest is None or reader is None:  # units are left to other processes; not ours
        return []
    trained, held_out = (
        manifest.splits[name].documents if name in manifest.splits else 0
        for name in ("train", "validation")
    )
    fraction, many = task.source.held_out, "documents" if trained + held_out != 1 else "document"
    if not trained:
        raise InputError(
            f"task {task.name!r} has {held_out:,} {many}, held out to the last, and nothing to "
            f"train on: {_remedy(task)}, and delete its store."
        )
    if fraction and not held_out:
        sentence = (
            f"{task.name}: none of its {trained:,} {many} is held out (about {fraction:.2%} of all "
            f"are), so it has no validation; {_remedy(task)}."
        )
        return [sentence]
    out, whole = _tokens(manifest, "validation"), _tokens(manifest, "train", "validation")
    if out > max(LARGE, 5 * fraction) * whole:  # no sample, or a large document
        sentence = (
            f"{task.name}: {out:,} of its {whole:,} tokens are held out and not trained on, in "
            f"{held_out:,} of {trained + held_out:,} documents (about {fraction:.2%} of all are); "
            f"{_remedy(task)}."
        )
        return [sentence]
    return []


def _tokens(manifest: Manifest, *splits: str) -> int:
    return sum(manifest.splits[name].tokens for name in splits if name in manifest.splits)


def _remedy(task: seqio.Task) -> str:
    """How a task gets more documents, or needs none to be held out."""
    reader = getattr(task.source, "reader", None)
    if getattr(reader, "documents", "") == "file":
        return (
            "each file is one document (documents = 'file'); say documents = 'blank_lines' or 'line' "
            "where a file holds many"
        )
    return "give it more documents, ids of their own, or another held_out"


def refuse_filtered(task: seqio.Task, store_dir: str) -> None:
    """Raises the InputError of a task whose filters left nothing; does nothing where it has none."""
    reader = getattr(task.source, "reader", None)
    filters = {
        n: getattr(reader, n, None) for n in ("where", "where_not") if getattr(reader, n, None)
    }
    if filters:
        said = " and ".join(f"{name} = {value!r}" for name, value in filters.items())
        unknown = "; ".join(sentence.rstrip(".") for sentence in of_filters(task))
        raise InputError(
            f"task {task.name!r} has no document, since {said} left nothing"
            f"{f' ({unknown})' if unknown else ''}: correct it and delete {store_dir!r}."
        )
