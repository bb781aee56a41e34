"""The plan of a step as tables in the terminal."""

from collections.abc import Mapping, Sequence

import rich.console
import rich.table

from polylm_jax.runtime.terminal import count, numbers_table

GIB = 2**30
WIDTH = 160  # of the widest table


def _console() -> rich.console.Console:
    console = rich.console.Console(highlight=False)
    console.width = max(console.width, WIDTH)  # a narrower place wraps a line, and loses nothing
    return console


def line(text: str) -> None:
    _console().print(text, markup=False, soft_wrap=True)


def progress(number: int, total: int, setting: Mapping) -> None:
    """Told before each compile, which takes a minute or two."""
    place = f"{number}/{total}: " if total > 1 else ""
    line(f"compiling {place}{_setting(setting)} ...")


def show(plan: Mapping) -> None:
    """The whole plan of one step."""
    slices = f"{plan['slices']} x " if plan["slices"] > 1 else ""
    line(f"{slices}{plan['topology']}, {plan['chips']} chips: {_setting(plan['setting'])}")
    line(f"compiled in {plan['compile_seconds']:.0f} s; nothing below was measured")
    console = _console()
    console.print(_memory(plan))
    if "roofline" in plan:
        for table in (_work(plan), _collectives(plan), _roofline(plan)):
            console.print(table)
        if plan["expected"]:
            console.print(_expected(plan))
    elif plan["refusal"]:
        line(f"the compiler says: {plan['refusal']}")
    console.print(_run(plan))


def show_search(plans: Sequence[Mapping]) -> None:
    """What fits, best first, then what doesn't; what all of them share stands above the table."""
    columns = ["micro-\nbatches", "rows\nat once", "remat", "\nGiB", "of\nHBM", "FLOPs\n/ model"]
    columns += ("step, s\nat least", "expected", "MFU\nat most", "expected", "binds")
    setting = plans[0]["setting"]
    title = f"Search: {_rows(setting)}, loss in {_loss(setting)}; best first"
    table = numbers_table(title, " x ".join(setting["mesh"]), *columns)
    for plan in plans:
        table.add_row(*_searched(plan))
    _console().print(table)


def _searched(plan: Mapping) -> list[str]:
    setting, memory = plan["setting"], plan["memory"]
    cells = [
        " x ".join(str(size) for size in setting["mesh"].values()),
        f"{setting['microbatches']}",
        f"{setting['rows_at_once']:g}",
        setting["remat"],
        _gib(memory["total"]),
        "" if memory["total"] is None else f"{memory['total'] / memory['hbm']:.0%}",
    ]
    if not plan["fits"]:
        return [*cells, "", "", "", "", "", "does not fit"]
    work, time, expected = plan["work"], plan["roofline"], plan["expected"]
    return [
        *cells,
        f"{work['hardware_flops'] / work['model_flops']:.2f}",
        f"{time['seconds']:.3g}",
        f"{expected['seconds']:.3g}" if expected else "",
        f"{time['mfu_bound']:.1%}",
        f"{expected['mfu']:.1%}" if expected else "",
        time["binds"],
    ]


def _setting(setting: Mapping) -> str:
    parts = setting["microbatches"]
    split = f" in {parts} microbatches" if parts > 1 else ""
    return (
        f"{_mesh(setting['mesh'])}, {_rows(setting)}{split}, {setting['rows_at_once']:g} a chip at "
        f"once, remat {setting['remat']}, loss in {_loss(setting)}"
    )


def _mesh(mesh: Mapping) -> str:
    return " x ".join(f"{axis} {size}" for axis, size in mesh.items())


def _rows(setting: Mapping) -> str:
    sizes = dict.fromkeys(setting["batch_sizes"])
    of = f", the largest of its batches ({', '.join(map(str, sizes))})" if len(sizes) > 1 else ""
    return f"{setting['batch_size']:,} rows of {setting['sequence_length']:,}{of}"


def _loss(setting: Mapping) -> str:
    blocks = setting["vocab_blocks"]
    return f"{blocks} blocks of vocabulary" if blocks > 1 else f"{setting['num_chunks']} chunks"


def _memory(plan: Mapping) -> rich.table.Table:
    memory = plan["memory"]
    table = numbers_table("Memory per chip", "what", "GiB")
    for what in ("arguments", "temporaries", "outputs", "reused", "code"):
        if memory[what] is not None:
            table.add_row(what, f"{memory[what] / GIB:.2f}")
        if what == "arguments" and memory.get("average"):
            table.add_row("  of them the average", f"{memory['average'] / GIB:.2f}")
    table.add_row("[bold]needed", f"[bold]{_gib(memory['total'])}")
    if memory["peak"] is not None:
        table.add_row("alive at the peak", f"{memory['peak'] / GIB:.2f}")
    table.add_row("HBM", f"{memory['hbm'] / GIB:.2f}")
    left = None if memory["total"] is None else abs(memory["hbm"] - memory["total"])
    verdict = "[green]fits, left over" if plan["fits"] else "[red]does not fit, too much by"
    table.add_row(verdict, _gib(left))
    return table


def _gib(number: float | None) -> str:
    return "unknown" if number is None else f"{number / GIB:.2f}"


def _work(plan: Mapping) -> rich.table.Table:
    work, chips = plan["work"], plan["chips"]
    table = numbers_table("Work of a step", "what", "all chips", "a chip")
    for what in ("model", "hardware"):
        flops = work[f"{what}_flops"]
        table.add_row(f"{what} FLOPs", _large(flops), _large(flops / chips))
    ratio = work["hardware_flops"] / work["model_flops"]
    table.add_row("hardware / model", f"{ratio:.3f}", "")
    moved = {"hbm": "to and from HBM", "collective": "sent to other chips"}
    if plan["slices"] > 1:
        moved["crossing"] = "of it, sent to other slices"
    for what, name in moved.items():
        number = work[f"{what}_bytes_per_chip"]
        table.add_row(name, f"{_large(number * chips)}B", f"{_large(number)}B")
    return table


def _large(number: float) -> str:
    """1.234e15 -> '1.23 P', the name of the unit to follow."""
    size, letter = next(
        (s, p) for s, p in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (0, "M")) if number >= s
    )
    return f"{number / (size or 1e6):.3g} {letter}"


def _collectives(plan: Mapping) -> rich.table.Table:
    columns = ("mesh axes", "runs", "GB held", "GB sent", "beside other work")
    table = numbers_table("Collectives of a step, each chip", "kind", *columns)
    for row in plan["collectives"]:
        sent = row["sent_bytes"]
        table.add_row(
            row["kind"],
            row["axes"],
            f"{row['runs']:,}",
            f"{row['payload_bytes'] / 1e9:.3f}",
            f"{sent / 1e9:.3f}",
            f"{row['overlapped_bytes'] / sent:.0%}",
        )
    return table


def _roofline(plan: Mapping) -> rich.table.Table:
    time = plan["roofline"]
    table = numbers_table("Bound: each part at the chip's peak", "part", "seconds")
    names = {"matrix_units": "matrix units", "hbm": "HBM", "interconnect": "interconnect"}
    if plan["slices"] > 1:
        names["between_slices"] = "of it, between slices"
    names["waited"] = "of it, nothing runs beside"
    for field, name in names.items():
        table.add_row(name, f"{time[field]:.3g}")
    table.add_row("[bold]step, at the least", f"[bold]{time['seconds']:.3g}")
    table.add_row("MFU, at the most", f"{time['mfu_bound']:.1%}")
    table.add_row("binds", time["binds"])
    return table


def _expected(plan: Mapping) -> rich.table.Table:
    expected = plan["expected"]
    counted, (best, worst) = expected["cycles"], expected["seconds_range"]
    table = numbers_table(
        "Expected: libtpu's cycles, as published runs kept to them", "part", "seconds"
    )
    table.add_row("what libtpu gives cycles for", f"{counted['noted']:.3g}")
    table.add_row("the rest, at peak", f"{counted['unnoted']:.3g}")
    table.add_row("links that nothing runs beside", f"{counted['waited']:.3g}")
    table.add_row("[bold]step, expected", f"[bold]{expected['seconds']:.3g}")
    table.add_row("between", f"{best:.3g} and {worst:.3g}")
    low, high = expected["mfu_range"]
    table.add_row("MFU, expected", f"{expected['mfu']:.1%}")
    table.add_row("between", f"{low:.1%} and {high:.1%}")
    return table


def _run(plan: Mapping) -> rich.table.Table:
    price = plan["price_per_chip_hour"]
    paid = "" if price is None else f", {price:g} a chip-hour"
    title = f"The whole run, {count(plan['run_tokens'])} tokens{paid}"
    money = ["money"] if "money" in plan["run"][0] else []
    table = numbers_table(title, "MFU", "tokens/s", "days", "chip-hours", *money)
    expected = (plan.get("expected") or {}).get("run")
    rows: list[Mapping] = [expected, *plan["run"]] if expected else plan["run"]
    for row in rows:
        cells = [
            f"expected {row['mfu']:.0%}" if row is expected else f"{row['mfu']:.0%}",
            f"{row['tokens_per_second']:,.0f}",
            f"{row['days']:,.1f}",
            f"{row['chip_hours']:,.0f}",
        ]
        table.add_row(*cells, *([f"{row['money']:,.0f}"] if money else []))
    return table
