"""The house rules: imports against CONTRIBUTING's arrows, README's tree against git, sizes, names."""

import ast
import pathlib
import re
import statistics
import subprocess

import pytest

REPO = pathlib.Path(__file__).resolve().parents[2]
HOUSE = ("polylm_jax", "tasks")
LIBRARY = [
    REPO / "run.py",
    REPO / "demo.py",
    *(path for folder in HOUSE for path in sorted((REPO / folder).rglob("*.py"))),
]
EVERYTHING = [*LIBRARY, *sorted((REPO / "tests").glob("*.py"))]


def module_of(path: pathlib.Path) -> str:
    """polylm_jax/training/run.py -> 'train', tasks/sources/source.py -> 'tasks.sources.source', run.py -> 'run.py'."""
    parts = path.relative_to(REPO).with_suffix("").parts
    if len(parts) == 1:
        return f"{parts[0]}.py"
    return ".".join(parts).removesuffix(".__init__").removeprefix("polylm_jax.")


def imports_of(path: pathlib.Path) -> set[str]:
    """Every module that a file imports anywhere, `from x import y` as 'x.y' for our own."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and is_package(node.module):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module)
    return found


def is_package(module: str) -> bool:
    """Whether it is a folder of ours: 'polylm_jax', 'polylm_jax.checkpoints.hf'."""
    return module.split(".")[0] in HOUSE and (REPO / module.replace(".", "/")).is_dir()


def house_imports(path: pathlib.Path) -> set[str]:
    """The house's own modules that a file imports, as `module_of` names them."""
    names = (name for name in imports_of(path) if name.split(".")[0] in HOUSE)
    return {name.removeprefix("polylm_jax.") for name in names} - {"polylm_jax"}


def arrows() -> list[tuple[set[str], set[str], set[str]]]:
    """CONTRIBUTING's rows: (modules, what they may import of the house, packages they must not)."""
    text = (REPO / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text.partition("## Arrows")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("|")]
    return [tuple(set(re.findall(r"`([\w.*]+)`", cell)) for cell in row) for row in rows[2:]]


def covers(names: set[str], module: str) -> bool:
    """Whether a row names the module itself, or its folder as 'tasks.*'."""
    return module in names or any(
        name.endswith(".*") and f"{module}.".startswith(name[:-1]) for name in names
    )


@pytest.mark.parametrize("path", LIBRARY, ids=module_of)
def test_imports_follow_the_arrows(path):
    module = module_of(path)
    rows = [row for row in arrows() if covers(row[0], module)]
    assert len(rows) == 1, f"CONTRIBUTING's arrows name {module} {len(rows)} times, not once"
    _, allowed, forbidden = rows[0]
    wrong = {name for name in house_imports(path) if not covers(allowed | {"errors"}, name)}
    assert not wrong, f"{module} imports {wrong}, which CONTRIBUTING's arrows don't allow"
    packages = {name.split(".")[0] for name in imports_of(path)}
    assert not packages & forbidden, f"{module} imports {packages & forbidden}"


def test_the_arrows_name_only_what_is_there():
    modules = {module_of(path) for path in LIBRARY}
    for named, allowed, _ in arrows():
        for name in named | allowed:
            assert any(covers({name}, module) for module in modules), f"{name} is no module"


def test_only_run_imports_gin():
    assert [p.name for p in LIBRARY if "gin" in {m.split(".")[0] for m in imports_of(p)}] == [
        "run.py"
    ]


def test_the_package_never_imports_tasks():
    package = [path for path in LIBRARY if path.is_relative_to(REPO / "polylm_jax")]
    assert not [p.name for p in package if any(m.startswith("tasks") for m in house_imports(p))]


def tree() -> tuple[set[str], set[str]]:
    """README's tree: (files, folders that stand for all below them)."""
    text = (REPO / "README.md").read_text(encoding="utf-8")
    block = text.partition("## The tree")[2].partition("```")[2].partition("```")[0]
    files, folders, above = set(), set(), {}
    for line in filter(str.strip, block.splitlines()):
        depth, name = len(line) - len(line.lstrip()), line.split()[0]
        above = {d: n for d, n in above.items() if d < depth}
        path = "".join(above.values()) + name
        if name.endswith("/"):
            above[depth] = name
            folders.add(path)
        else:
            files.add(path)
    parents = {
        folder
        for folder in folders
        if any(f != folder and f.startswith(folder) for f in files | folders)
    }
    return files, folders - parents


def tracked() -> set[str]:
    """What git tracks; skips where this is no checkout."""
    command = ["git", "-C", str(REPO), "ls-files"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("not a git checkout")
    return set(done.stdout.splitlines())


def test_the_tree_of_the_readme_is_what_git_tracks():
    files, folders = tree()
    there = tracked()
    missing = {f for f in there if f not in files and not f.startswith(tuple(folders))}
    assert not missing, f"README's tree leaves out {sorted(missing)}"
    gone = {f for f in files if f not in there}
    gone |= {d for d in folders if not any(f.startswith(d) for f in there)}
    assert not gone, f"README's tree names {sorted(gone)}, which git doesn't track"


@pytest.mark.parametrize("path", EVERYTHING, ids=lambda path: str(path.relative_to(REPO)))
def test_a_file_says_what_it_is_and_stays_short(path):
    source = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(source)), "no module docstring"
    assert len(source.splitlines()) <= 300
    assert path.name not in ("utils.py", "common.py", "helpers.py", "misc.py")


def test_functions_stay_short():
    lengths = {
        f"{module_of(path)}.{node.name}": node.end_lineno - node.lineno + 1
        for path in LIBRARY
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert statistics.median(lengths.values()) <= 15
    longest = max(lengths, key=lengths.get)
    assert lengths[longest] < 100, f"{longest} has {lengths[longest]} lines"


def test_tests_are_half_of_the_library():
    lines = {True: 0, False: 0}
    for path in EVERYTHING:
        lines[path in LIBRARY] += len(path.read_text(encoding="utf-8").splitlines())
    assert lines[False] >= lines[True] / 2


def test_files_are_utf8_with_unix_line_ends_and_no_path_of_a_machine():
    for name in tracked():
        if not (REPO / name).is_file():
            continue
        text = (REPO / name).read_bytes().decode("utf-8")
        assert "\r" not in text, f"{name} has a carriage return"
        paths = re.findall(r"/(?:home|root|Users)/\w+", text)
        assert not paths, f"{name} has a path of one machine: {paths}"


def test_the_sample_data_is_named_once():
    outside = "../" + "shared"
    naming = [
        n for n in tracked() if (REPO / n).is_file() and outside in (REPO / n).read_text("utf-8")
    ]
    assert naming == ["tests/conftest.py"]
