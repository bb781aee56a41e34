"""The house rules: arrows between rooms, their faces, README's tree against git, sizes, names."""

import ast
import collections
import fnmatch
import graphlib
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
TESTS = sorted((REPO / "tests").rglob("*.py"))
EVERYTHING = [*LIBRARY, *TESTS]


def module_of(path: pathlib.Path) -> str:
    """polylm_jax/training/run.py -> 'polylm_jax.training.run', run.py -> 'run.py'."""
    parts = path.relative_to(REPO).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__") if len(parts) > 1 else f"{parts[0]}.py"


def imports_of(path: pathlib.Path) -> set[str]:
    """Every module that a file imports anywhere, `from x import y` as 'x.y' for our own packages."""
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
    """The house's own modules that a file imports."""
    return {name for name in imports_of(path) if name.split(".")[0] in HOUSE} - {"polylm_jax"}


def room_of(module: str) -> str:
    """'polylm_jax.training.run' -> 'training'; 'tasks.corpus' -> 'tasks'; 'run.py' -> 'run.py'."""
    parts = module.split(".")
    return (
        parts[1] if parts[0] == "polylm_jax" and len(parts) > 1 else parts[0].replace("run", "run")
    )


def arrows() -> dict[str, tuple[set[str], set[str], set[str]]]:
    """CONTRIBUTING's rows: room -> (rooms it may import, packages it must not, its face)."""
    text = (REPO / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text.partition("## Arrows")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("|")][2:]
    cells = [[re.findall(r"`([\w./]+)`", cell) for cell in row] for row in rows]
    return {room: tuple(map(set, rest)) for rooms, *rest in cells for room in rooms}


ARROWS = arrows()
ROOMED = [path for path in LIBRARY if module_of(path) not in ("polylm_jax", "polylm_jax.errors")]


def owner(path: pathlib.Path) -> str:
    """The row that holds for a file: its room's, or its own where it stands at the top."""
    module = module_of(path)
    return module if module.endswith(".py") else room_of(module)


@pytest.mark.parametrize("path", ROOMED, ids=module_of)
def test_imports_follow_the_arrows(path):
    room = owner(path)
    assert room in ARROWS, f"CONTRIBUTING's arrows have no row for {room}"
    allowed, banned, _ = ARROWS[room]
    others = {name for name in house_imports(path) if room_of(name) not in (room, "errors")}
    for name in others:
        there = room_of(name)
        assert there in allowed, f"{module_of(path)} imports {name}, and {room} may not"
        inside = name.removeprefix("polylm_jax.").removeprefix("tasks.").removeprefix(f"{there}.")
        face = ARROWS.get(there, (0, 0, set()))[2]
        assert there == "tasks" or inside in face or inside == there, (
            f"{module_of(path)} imports {name}, which isn't in the face of {there}"
        )
    packages = {name.split(".")[0] for name in imports_of(path)}
    assert not packages & banned - EXEMPT.get(module_of(path).rpartition(".")[0], set())


# Stores are made from SeqIO's tasks; t5x brings SeqIO with it.
EXEMPT = {
    "polylm_jax.data.stores": {"seqio", "tensorflow"},
    "polylm_jax.training.t5x": {"seqio", "tensorflow"},
}


def test_the_stores_bring_no_jax():
    for path in (REPO / "polylm_jax/data/stores").glob("*.py"):
        assert "jax" not in {name.split(".")[0] for name in imports_of(path)}, path.name


def test_the_table_is_short_and_names_only_what_is_there():
    assert len(ARROWS) <= 14 + 1  # run.py and demo.py share a row
    rooms = {
        path.name for path in (REPO / "polylm_jax").iterdir() if (path / "__init__.py").exists()
    }
    assert set(ARROWS) == rooms | {"tasks", "run.py", "demo.py"}
    for room, (allowed, _, face) in ARROWS.items():
        assert allowed <= set(ARROWS), f"{room} may import what is no room"
        folder = REPO / "tasks" if room == "tasks" else REPO / "polylm_jax" / room
        gone = [name for name in face if not (folder / (name.replace(".", "/") + ".py")).exists()]
        assert not gone, f"the face of {room} names {gone}"


def test_a_face_has_no_more_than_others_use():
    used = collections.defaultdict(set)
    for path in LIBRARY:
        for name in house_imports(path):
            room = room_of(name)
            if room != room_of(module_of(path)):
                used[room].add(name.removeprefix("polylm_jax.").removeprefix(f"{room}."))
    for room, (_, _, face) in ARROWS.items():
        assert face <= used[room], f"nobody imports {face - used[room]} of {room}"


def graph() -> dict[str, set[str]]:
    """Module -> the house's modules that it imports."""
    return {module_of(path): house_imports(path) for path in LIBRARY}


def test_no_circle_between_modules_nor_folders():
    tuple(graphlib.TopologicalSorter(graph()).static_order())
    folders = collections.defaultdict(set)
    packages = {module_of(path) for path in LIBRARY if path.name == "__init__.py"}
    for module, names in graph().items():
        here = module.rpartition(".")[0] if module not in packages else module
        for name in names:
            there = name if name in packages else name.rpartition(".")[0]
            if (
                here != there
                and not here.startswith(f"{there}.")
                and not there.startswith(f"{here}.")
            ):
                folders[here].add(there)
    tuple(graphlib.TopologicalSorter(folders).static_order())


def test_only_run_imports_gin():
    importing = [p.name for p in LIBRARY if "gin" in {m.split(".")[0] for m in imports_of(p)}]
    assert importing == ["run.py"]


def test_the_package_never_imports_tasks():
    package = [path for path in LIBRARY if path.is_relative_to(REPO / "polylm_jax")]
    assert not [p.name for p in package if any(m.startswith("tasks") for m in house_imports(p))]


@pytest.mark.parametrize(
    "init",
    [p for p in LIBRARY if p.name == "__init__.py" and "polylm_jax/" in str(p)],
    ids=module_of,
)
def test_a_room_lists_its_modules(init):
    if init.parent.name == "polylm_jax":
        return
    there = {p.stem for p in init.parent.glob("*.py")} - {"__init__"}
    there |= {f"{p.parent.name}/" for p in init.parent.glob("*/__init__.py")}
    text = init.read_text(encoding="utf-8")
    listed = set(
        re.findall(r"^([a-z_0-9]+/?)  +\S", ast.get_docstring(ast.parse(text)), re.MULTILINE)
    )
    assert listed == there
    handed = set(re.findall(r'^        "(\w+)": "[\w.]+",$', text, re.MULTILINE))
    assert not handed & {name.rstrip("/") for name in there}


def tree() -> tuple[set[str], set[str]]:
    """README's tree: (files, folders that stand for all below them)."""
    text = (REPO / "README.md").read_text(encoding="utf-8")
    block = text.partition("## The tree")[2].partition("```")[2].partition("```")[0]
    lines = [line for line in block.splitlines() if line.strip()]
    assert len(lines) <= 40
    files, folders, above = set(), set(), {}
    for line in lines:
        depth, name = len(line) - len(line.lstrip()), line.split()[0]
        above = {d: n for d, n in above.items() if d < depth}
        path = "".join(above.values()) + name
        if name.endswith("/"):
            above[depth] = name
            folders.add(path)
        else:
            files.add(path)
    parents = {f for f in folders if any(g != f and g.startswith(f) for g in files | folders)}
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
    files |= {f for f in there for pattern in files if fnmatch.fnmatch(f, pattern)}
    files = {f for f in files if "*" not in f}
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


def test_functions_take_few_parameters():
    """A mode whose settings are fields of dataclasses has them in groups (runtime/spread.py)."""
    counts = {
        f"{module_of(path)}.{node.name}": len(parameters_of(node) - {"self", "cls"})
        for path in LIBRARY
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    most = max(counts, key=counts.get)
    assert counts[most] <= 10, f"{most} has {counts[most]} parameters"


def parameters_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    own = node.args
    return {one.arg for one in (*own.posonlyargs, *own.args, *own.kwonlyargs)}


def test_names_of_tests_are_short():
    names = [
        f"{path.name}: {node.name}"
        for path in TESTS
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
        if len(node.name) > 55
    ]
    assert not names, "say the property in 55 characters"


def test_tests_are_half_of_the_library():
    lines = {True: 0, False: 0}
    for path in EVERYTHING:
        lines[path in LIBRARY] += len(path.read_text(encoding="utf-8").splitlines())
    assert lines[False] >= lines[True] / 2


def test_files_are_utf8_without_paths_of_a_machine():
    for name in tracked():
        if not (REPO / name).is_file() or name.endswith(".tar.xz"):
            continue
        text = (REPO / name).read_bytes().decode("utf-8")
        assert "\r" not in text, f"{name} has a carriage return"
        paths = re.findall(r"/(?:home|root|Users)/\w+", text)
        assert not paths, f"{name} has a path of one machine: {paths}"


def test_the_sample_data_is_named_once():
    outside = "../" + "shared"
    naming = [
        n for n in tracked() if (REPO / n).is_file() and outside.encode() in (REPO / n).read_bytes()
    ]
    assert naming == ["tests/conftest.py"]
