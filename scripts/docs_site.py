"""What the documentation site has beside docs/: README as its first page, and the reference.

A hook of mkdocs (`make docs`). Pages of modes come from `run.py`'s own help, the table of macros from
gin_configs, pages of rooms from their docstrings: none is written by hand.
"""

import ast
import html
import pathlib
import re
import sys

from mkdocs.structure.files import File

REPO = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO))

import run  # (found beside this folder, once it is on the path)
from polylm_jax.runtime import command_line

MACRO = re.compile(r"^([A-Z][A-Z0-9_]*) = (.*?)(?:  # (.*))?$")


def on_files(files, config):
    """Adds the pages that are made here."""
    pages = {"index.md": readme(), "reference/macros.md": macros()}
    pages |= {f"reference/modes/{mode}.md": mode_page(mode) for mode in run.MODES}
    pages |= {f"reference/rooms/{room}.md": room_page(room) for room in rooms()}
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_config(config):
    """A folder in the navigation stands for the pages that are made for it."""
    made = {
        "reference/modes/": [f"reference/modes/{mode}.md" for mode in run.MODES],
        "reference/rooms/": [f"reference/rooms/{room}.md" for room in rooms()],
    }
    for section in config.nav:
        for entry in next(iter(section.values())):
            if isinstance(entry, dict):
                title, value = next(iter(entry.items()))
                entry[title] = made.get(value, value)
    return config


def on_page_markdown(markdown, page, config, files):
    """Links to what is outside docs/ become names: a site has no such file."""
    return re.sub(r"\[([^\]]+)\]\(\.\./[^)]+\)", r"\1", markdown)


def readme() -> str:
    text = (REPO / "README.md").read_text(encoding="utf-8")
    return re.sub(r"\]\(docs/", "](", text)


def mode_page(mode: str) -> str:
    """The docstring, and a row for each parameter with its type and its default."""
    function = command_line.source(run.MODES[mode])
    kinds = {
        arg.arg: ast.unparse(arg.annotation) if arg.annotation else ""
        for arg in (*function.args.args, *function.args.kwonlyargs)
    }
    defaults = command_line.parameters(function)
    rows = [
        f"| `{name}` | {cell(kinds.get(name, ''))} | {cell(default)} |"
        for name, default in defaults.items()
        if name not in command_line.GIVEN
    ]
    head = ["| parameter | type | default |", "| --- | --- | --- |"]
    place = run.MODES[mode].partition(".")[2]
    return "\n".join(
        [f"# {mode}", "", "```", f"python run.py {mode} --gin_file=RECIPE", "```", "",
         listed(ast.get_docstring(function)), "", f"In gin: `{place}.PARAMETER`.", "", *head, *rows]
    )  # fmt: skip


def cell(text: str) -> str:
    return f"<code>{html.escape(text).replace('|', '&#124;')}</code>" if text else ""


def listed(docstring: str) -> str:
    """A docstring whose lines on parameters, `name, name: what they are`, are a list."""
    return re.sub(r"^(\w+(?:, \w+)*): ", r"- **\1**: ", docstring, flags=re.MULTILINE)


def macros() -> str:
    """Every macro that a file of gin_configs/runs or models sets: its default and what it says of it."""
    rows = []
    for path in sorted((REPO / "gin_configs").glob("runs/*.gin")):
        for line in path.read_text(encoding="utf-8").splitlines():
            if found := MACRO.match(line):
                name, value, comment = found.groups()
                default = "to be given" if value == "%gin.REQUIRED" else cell(value)
                rows.append(f"| `{name}` | {default} | {comment or ''} | runs/{path.name} |")
    head = ["| macro | default | | set in |", "| --- | --- | --- | --- |"]
    text = "A recipe sets a macro by its name, the command line by `--gin.NAME=VALUE`."
    return "\n".join(["# Macros", "", text, "", *head, *rows])


def rooms() -> list[str]:
    """The rooms, as CONTRIBUTING's table has them."""
    folders = (REPO / "polylm_jax").iterdir()
    return sorted(path.name for path in folders if (path / "__init__.py").exists())


def room_page(room: str) -> str:
    """The room's own docstring, then the modules that other rooms use."""
    text = (REPO / "CONTRIBUTING.md").read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith(f"| `{room}` |"))
    face = re.findall(r"`([\w.]+)`", line.rpartition("|")[0].rpartition("|")[2])
    init = (REPO / "polylm_jax" / room / "__init__.py").read_text(encoding="utf-8")
    said, _, rest = ast.get_docstring(ast.parse(init)).partition("\n\n")
    modules = [f"::: polylm_jax.{room}.{name}\n" for name in face]
    return "\n".join([f"# {room}", "", said, "", "```", rest, "```", "", *modules])
