"""The report of `inspect` as tables in the terminal."""

from collections.abc import Iterator, Mapping, Sequence

import rich.console
import rich.table
from rich.markup import escape

from polylm_jax.checkpoints.space import shown
from polylm_jax.data.mixture import ledger
from polylm_jax.data.mixture.row_ranges import RowRanges
from polylm_jax.languages.labels import name_of, place
from polylm_jax.runtime.terminal import count, numbers_table

BLOCKS = "▁▂▃▄▅▆▇█"


def show(report: Mapping, max_epochs: float) -> None:
    """Prints all of it; epochs above `max_epochs` stand out."""
    console = rich.console.Console(highlight=False)
    if not console.is_terminal:
        console.width = 160  # a file or a pipe has no width; 80 columns would cut the tables
    for table in (
        _summary(report),
        _parameters(report["model"]),
        _memory(report["memory_per_device"]),
        _phases(report),
        _languages(report["phases"]),
        *ledger_tables(report["ledger"], report["phases"], max_epochs),
    ):
        console.print(table)
    for name, why in report["stale"].items():
        console.print(f"stale: {name}: {why}", style="bold red", markup=False, soft_wrap=True)
    said = (*_chosen(report), *_learning_rate(report), *_notes(report, max_epochs))
    for line in (*said, *report["seeds"]):
        console.print(line, markup=False, soft_wrap=True)


def _summary(report: Mapping) -> rich.table.Table:
    model, run = report["model"], report["run"]
    mesh = " x ".join(f"{axis} {size}" for axis, size in run["mesh"].items())
    rows = {
        "model": f"{model['num_layers']} layers, width {model['embed_dim']}, "
        f"{model['num_heads']} heads, MLP {model['mlp_dim']}, vocabulary {model['vocab_size']:,}, "
        f"{model['max_length']:,} positions",
        "batch": f"{' then '.join(f'{n:,}' for n in dict.fromkeys(run['batch_sizes']))} rows of {run['sequence_length']:,} tokens, "
        f"in {run['microbatches']} part(s)",
        "run": f"{run['steps']:,} steps, {run['tokens']:,} tokens, "
        f"{run['model_flops']:.3g} model FLOPs",
        "devices": f"{run['devices']:,} as {mesh}",
        "vocabulary": run["vocabulary"],
        "stores": run["cache_dir"],
        "checkpoint": _checkpoint(**report["checkpoint"]),
    }
    if tokens := run["repeat_as_tokens"]:
        rows["repetition"] = f"as over {tokens:,} tokens, so that much of each store isn't read"
    if ranges := run["skipped"]["ranges"]:
        rows["skipped"] = f"{RowRanges(ranges).text}, {run['skipped']['tokens']:,} tokens"
    table = rich.table.Table(box=None, show_header=False)
    for field, text in rows.items():
        table.add_row(f"[bold]{field}[/bold]", text)
    return table


def _checkpoint(bytes: int, free: int | None, newest: Mapping | None) -> str:
    text = f"{shown(bytes)} each; a run needs room for two"
    if newest:
        damaged = f" [bold red]is damaged ({escape(newest['flaw'])})[/]" if newest["flaw"] else ""
        text = f"the newest, step {newest['step']:,},{damaged or ' opens'}; {text}"
    if free is None:
        return text
    lacks = "" if free >= 2 * bytes else f", [bold red]{shown(2 * bytes - free)} short[/]"
    return f"{text}, and the disk has {shown(free)} free{lacks}"


def _parameters(model: Mapping) -> rich.table.Table:
    table = numbers_table("Parameters", "part", "parameters", "share")
    for part, number in model["parts"].items():
        table.add_row(part, f"{number:,}", f"{number / model['parameters']:.1%}")
    table.add_row("[bold]all", f"[bold]{model['parameters']:,}", "")
    return table


def _memory(memory: Mapping[str, int]) -> rich.table.Table:
    table = numbers_table("Memory per device", "what", "GiB", "")
    for what, number in memory.items():
        kind = "estimate" if what in ("activations", "logits") else "exact"
        table.add_row(what, f"{number / 2**30:.3f}", kind)
    table.add_row("[bold]all", f"[bold]{sum(memory.values()) / 2**30:.3f}", "estimate")
    return table


def _phases(report: Mapping) -> rich.table.Table:
    varies = ["batch"] if len(set(report["run"]["batch_sizes"])) > 1 else []
    columns = ("first step", "steps", *varies, "tokens", "ramp", "not English", "learning rate")
    table = numbers_table("Phases", "phase", *columns)
    for phase in report["phases"]:
        table.add_row(
            phase["name"],
            f"{phase['first_step']:,}",
            f"{phase['steps']:,}",
            *(f"{phase['batch_size']:,}" for _ in varies),
            count(phase["tokens"]),
            count(phase["ramp_tokens"]) if phase["ramp_tokens"] else "none",
            f"{phase['non_english_share']:.1%}",
            phase["learning_rate"] + _decay(**phase["decay"] or {}),
        )
    return table


def _decay(steps: int = 0, shape: str = "") -> str:
    return f", {shape} over the last {steps:,}" if steps else ""


def _languages(phases: list[Mapping]) -> rich.table.Table:
    table = numbers_table("Shares of tokens", "language", *(phase["name"] for phase in phases))
    labels = dict.fromkeys(label for phase in phases for label in phase["languages"])
    for label in sorted(labels, key=place):
        shares = [phase["languages"].get(label) for phase in phases]
        cells = ["" if share is None else f"{share:.3%}" for share in shares]
        table.add_row(name_of(label), *cells)
    return table


def _chosen(report: Mapping) -> Iterator[str]:
    """How each phase's shares were chosen, where their maker said it."""
    for phase in report["phases"]:
        if phase["chosen"]:
            yield f"Shares of {phase['name']}: {phase['chosen']}"


def ledger_tables(
    book: Mapping, phases: Sequence[Mapping], max_epochs: float
) -> list[rich.table.Table]:
    """A ledger (`Ledger.as_dict` and its "step") by component and by language.

    phases: those whose shares are shown: the "name" of each, its "components", name -> share.
    """
    return [_component_ledger(book, phases, max_epochs), *_language_ledger(book)]


def _component_ledger(
    book: Mapping, phases: Sequence[Mapping], max_epochs: float
) -> rich.table.Table:
    title = f"Tokens per component after step {book['step']:,}"
    names = [phase["name"] for phase in phases]
    read = ["read"] if book.get("repeats") else []
    skipped = ["skipped"] if any(line["skipped_tokens"] for line in book["components"]) else []
    columns = (*names, "planned", "trained", *skipped, "store", *read, "epochs")
    table = numbers_table(title, "component", "language", *columns)
    for line in sorted(book["components"], key=lambda line: place(line["language"])):
        shares = [phase["components"].get(line["component"]) for phase in phases]
        cached, epochs = line["stored_tokens"] is not None, line["epochs"]
        style = "bold red" if epochs and epochs > max_epochs else None
        table.add_row(
            line["component"],
            line["language"],
            *("" if share is None else f"{share:.3%}" for share in shares),
            count(line["planned_tokens"]),
            count(line["tokens"]),
            *(count(line["skipped_tokens"]) for _ in skipped),
            count(line["stored_tokens"]) if cached else "not cached",
            *(count(line["read_rows"] * book["length"]) if cached else "" for _ in read),
            "" if epochs is None else f"{epochs:.2f}",
            style=style,
        )
    return table


def _language_ledger(book: Mapping) -> list[rich.table.Table]:
    """Tokens per language, a pair's counted for each side; nothing as long as a store is missing."""
    if any(line["stored_tokens"] is None for line in book["components"]):
        return []
    columns = ("planned", "trained", "of it from pairs")
    table = numbers_table(f"Tokens per language after step {book['step']:,}", "language", *columns)
    for line in sorted(book["languages"], key=lambda line: place(line["language"])):
        numbers = (line["planned_tokens"], line["tokens"], line["from_pairs"])
        table.add_row(name_of(line["language"]), *(count(number) for number in numbers))
    return [table]


def _learning_rate(report: Mapping) -> list[str]:
    curve, steps = report["learning_rate"]["curve"], report["learning_rate"]["steps"]
    top = max(curve)
    bar = "".join(BLOCKS[round(rate / top * (len(BLOCKS) - 1))] for rate in curve)
    return [
        f"Learning rate  {bar}",
        *(f"  step {step:>9,}  {rate:.3e}" for step, rate in steps.items()),
    ]


def _notes(report: Mapping, max_epochs: float) -> Iterator[str]:
    schedule = report["schedule"]["phases"]
    rounding = max(phase["share_rounding"] for phase in schedule)
    distance = max(phase["distance_rows"] for phase in schedule)
    yield (
        f"Shares are whole numbers over 2^20: they differ from those given by {rounding:.1e} at "
        f"most, and a phase's rows from its line by {distance:.2f} at most."
    )
    epochs = {line["component"]: line["epochs"] for line in report["ledger"]["components"]}
    yield from ledger.warnings({name: n for name, n in epochs.items() if n}, max_epochs)
