"""What `cache` shows: progress in the terminal, lines where there is none, and a table at the end."""

import time
from collections import Counter
from collections.abc import Iterable
from typing import Self

import rich.console
import rich.progress
import rich.table

from polylm_jax.data.stores.build import Progress
from polylm_jax.data.stores.store import Manifest
from polylm_jax.languages.labels import in_order
from polylm_jax.runtime.terminal import LINE_SECONDS


class BuildProgress(Progress):
    """A bar of the tasks and one of the units of the task at hand, or lines."""

    def __init__(self, tasks: int):
        self._console = rich.console.Console(highlight=False)
        self._bars = rich.progress.Progress(
            rich.progress.TextColumn("{task.description}"),
            rich.progress.BarColumn(),
            rich.progress.MofNCompleteColumn(),
            rich.progress.TextColumn("{task.fields[numbers]}"),
            rich.progress.TimeRemainingColumn(elapsed_when_finished=True),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._all = self._bars.add_task("tasks", total=tasks, numbers="")
        self._one: rich.progress.TaskID | None = None

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bars.stop()

    def start(self, name: str, units: int, left: int) -> None:
        self._name, self._units, self._left = name, units, left
        self._documents = self._tokens = 0
        self._began = self._spoke = time.monotonic()
        self._one = self._bars.add_task(name, total=left, numbers="")
        if left < units:
            self._say(f"{name}: {units - left} of {units} units are done or others'")

    def batch(self, documents: int, tokens: int) -> None:
        self._documents += documents
        self._tokens += tokens
        millions = f"{self._tokens / 1e6:,.1f}M tokens, {self._rate() / 1e6:.1f}M/s"
        assert self._one is not None  # `start` came before
        self._bars.update(self._one, numbers=f"{self._documents:,} documents, {millions}")
        if not self._console.is_terminal and time.monotonic() - self._spoke > LINE_SECONDS:
            self._spoke = time.monotonic()
            self._say(f"{self._name}: {self._progress()}")

    def unit(self) -> None:
        assert self._one is not None
        self._bars.advance(self._one)

    def remark(self, sentence: str) -> None:
        self._say(sentence)

    def done(self, name: str, manifest: Manifest | None) -> None:
        """A store is complete, or has units that others will do (None)."""
        if self._one is None:
            summary = "complete already"
        else:
            summary = self._progress() + ("" if manifest else "; the rest is for other processes")
            self._bars.remove_task(self._one)
            self._one = None
        self._bars.advance(self._all)
        self._say(f"{name}: {summary}")

    def _say(self, line: str) -> None:
        self._console.print(line, soft_wrap=True)

    def _progress(self) -> str:
        tokens = f"{self._tokens:,} tokens, {self._rate():,.0f} tokens/s"
        return f"{self._documents:,} documents, {tokens}"

    def _rate(self) -> float:
        return self._tokens / max(time.monotonic() - self._began, 1e-9)


def show_summary(manifests: Iterable[Manifest]) -> None:
    """Tokens and bytes per token of each language over all stores, and the held-out share."""
    manifests = list(manifests)
    if not manifests:
        return
    tokens: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    held_out: Counter[str] = Counter()
    for manifest in manifests:
        for name, split in manifest.splits.items():
            if name == "train":
                tokens.update(split.tokens_by_language)
                sizes.update(split.bytes_by_language)
            else:
                held_out.update(split.tokens_by_language)
    table = rich.table.Table(title="Tokens by language, pairs counted per side", title_style="")
    for heading in ("language", "train tokens", "share", "bytes/token", "held-out tokens"):
        table.add_column(heading, justify="left" if heading == "language" else "right")
    for code in in_order({*tokens, *held_out}):
        share = tokens[code] / max(tokens.total(), 1)
        density = sizes[code] / max(tokens[code], 1)
        row = f"{tokens[code]:,}", f"{share:.2%}", f"{density:.2f}", f"{held_out[code]:,}"
        table.add_row(code, *row)
    console = rich.console.Console(highlight=False)
    console.print(table)
    console.print(_totals(manifests), soft_wrap=True)


def _totals(manifests: list[Manifest]) -> str:
    documents: Counter[str] = Counter()
    for manifest in manifests:
        for name, split in manifest.splits.items():
            documents["train" if name == "train" else "held out"] += split.documents
    bad = sum(manifest.bad_lines for manifest in manifests)
    marks = sum(manifest.space_marks for manifest in manifests)
    summary = f"{len(manifests)} stores: {documents['train']:,} documents, "
    summary += f"{documents['held out']:,} held out; {bad:,} bad lines in quarantine"
    refused = sum((Counter(manifest.refused) for manifest in manifests), Counter())
    summary += "".join(f"; {count:,} left out: {why}" for why, count in sorted(refused.items()))
    unread = sum((Counter(manifest.unread) for manifest in manifests), Counter())
    summary += "".join(
        f"; {count:,} have {what}, not read" for what, count in sorted(unread.items())
    )
    return summary + (f"; {marks:,} U+2581, which read back as spaces" if marks else "")
