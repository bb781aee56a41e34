"""What a run says in the terminal: a bar with the newest numbers, or plain lines in a log file."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Self

import rich.box
import rich.console
import rich.progress
import rich.table

LINE_SECONDS = 30.0  # between lines, where no terminal shows a bar
# Called with each report of a run: its step, of how many, its numbers as text.
listeners: list[Callable[[int, int, str], None]] = []


def count(number: float) -> str:
    """1234567 -> '1.23M', 950 -> '950'."""
    for size, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e4, "k")):
        if abs(number) >= size:
            return f"{number / (1e3 if unit == 'k' else size):.3g}{unit}"
    return f"{number:.0f}"


def where_time_goes(seconds: Mapping[str, float]) -> str:
    """{'all': 10, 'data': 0.1, 'checkpoint': 1} -> '  time: step 89.0%, data 1.0%, checkpoint 10.0%'.

    The step is what is left: the devices at work, and the host giving it to them.
    """
    if not seconds:
        return ""
    parts = {name: value for name, value in seconds.items() if name != "all"}
    shares = {"step": seconds["all"] - sum(parts.values()), "data": 0.0} | parts
    return "  time: " + ", ".join(f"{name} {v / seconds['all']:.1%}" for name, v in shares.items())


def bar(what: str, console: rich.console.Console, disable: bool = False) -> rich.progress.Progress:
    """A bar for each task: `what` it is, how many of how many, its field `numbers`, the time so far and left."""
    return rich.progress.Progress(
        what,
        rich.progress.MofNCompleteColumn(),
        rich.progress.BarColumn(),
        "{task.fields[numbers]}",
        rich.progress.TimeElapsedColumn(),
        rich.progress.TimeRemainingColumn(),
        console=console,
        disable=disable,
    )


class Terminal:
    """Lines on stdout, and a progress bar where stdout is a terminal; silent unless `enabled`."""

    def __init__(self, total_steps: int, step: int, enabled: bool = True):
        self._console = rich.console.Console(
            file=sys.stdout, quiet=not enabled, highlight=False, soft_wrap=True
        )
        self._total = total_steps
        self._bar = None
        if enabled and self._console.is_terminal:
            self._bar = bar("step", self._console)
            self._task = self._bar.add_task(
                "", start=False, total=total_steps, completed=step, numbers=""
            )

    def line(self, text: str) -> None:
        self._console.print(text, markup=False)

    def show(self, table: rich.table.Table) -> None:
        self._console.print(table)

    @contextlib.contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """'what ... 3.2 s': told when it starts and when it ends."""
        start = time.perf_counter()
        if not self._console.is_terminal:
            self.line(f"{what} ...")
        with self._console.status(f"{what} ..."):
            yield
        self.line(f"{what}: {time.perf_counter() - start:.1f} s")

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """The bar stands as long as this lasts."""
        if self._bar:
            self._bar.start_task(self._task)
        with self._bar or contextlib.nullcontext():
            yield

    def step(self, step: int, report: Mapping) -> None:
        """One report of `metrics.Window`."""
        numbers = (
            f"loss {report['loss']:.4f}  lr {report['learning_rate']:.2e}  "
            f"norm {report['grad_norm']:.2f}  {count(report['tokens_per_second'])} tokens/s"
        )
        if "mfu" in report:
            numbers += f"  MFU {report['mfu']:.1%}"
        for listener in listeners:
            listener(step, self._total, numbers)
        if self._bar:
            self._bar.update(self._task, completed=step, numbers=numbers)
        else:
            times = where_time_goes(report.get("seconds", {}))
            self.line(f"step {step}/{self._total}  {report['phase']}  {numbers}{times}")


def numbers_table(title: str, *columns: str) -> rich.table.Table:
    """A table for a terminal: the first column is text, the others are numbers."""
    table = rich.table.Table(title=title, title_justify="left", box=rich.box.SIMPLE_HEAD)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    return table


class CountedBar:
    """A bar of what is done of a total, on stderr; where that is no terminal, a line now and then.

    what: the things counted. done: of them already. enabled: False says nothing at all.
    """

    def __init__(self, what: str, total: int, done: int = 0, enabled: bool = True):
        self._console = rich.console.Console(stderr=True, highlight=False, quiet=not enabled)
        self._bar = bar(what, self._console, disable=not (enabled and self._console.is_terminal))
        self._task = self._bar.add_task("", total=total, completed=done, numbers="")
        self._total, self._done = total, done
        self._began = self._spoke = time.monotonic()

    def __enter__(self) -> Self:
        self._began = self._spoke = time.monotonic()
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

    def line(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)

    def _show(self, done: int, numbers: str, line: str) -> None:
        """So many are done: `numbers` stand beside the bar, `line` where there is none."""
        self._done = done
        self._bar.update(self._task, completed=done, numbers=numbers)
        if self._bar.disable and time.monotonic() - self._spoke > LINE_SECONDS:
            self._spoke = time.monotonic()
            self.line(line)
