"""A wheel in an environment of its own: what `pip install .` gives, tried from another folder."""

import os
import pathlib
import subprocess
import sys
import sysconfig
import venv

import pytest

from polylm_jax.runtime import extras

REPO = pathlib.Path(__file__).resolve().parents[2]
TEXT = "".join(f'{{"text": "the {n} words of line {n * 7} are these"}}\n' for n in range(900))
SMALL = ("--gin.VOCAB_SIZE=330", "--gin.SAVE_EVERY_STEPS=2", "--gin.EVAL_EVERY_STEPS=0")


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    """The console script of the wheel, installed where nothing else of the project is."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    tree = folder / "tree"
    subprocess.run(["git", "-C", REPO, "checkout-index", "-a", f"--prefix={tree}/"], check=True)
    subprocess.run([*build, "--wheel-dir", folder, tree], check=True)
    venv.create(folder / "env", with_pip=False)
    site = next((folder / "env/lib").glob("python*")) / "site-packages"
    # What the project needs comes from here; the project itself isn't among it.
    (site / "needed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    wheel = next(folder.glob("*.whl"))
    python = folder / "env/bin/python"
    install = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--no-compile",
        wheel,
    ]
    subprocess.run(install, check=True)
    return folder / "env/bin/polylm-jax"


def run(script, folder, *arguments):
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": ""}
    return subprocess.run(
        [script, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_demos_modes_run_from_another_folder(script, tmp_path):
    (tmp_path / "text").mkdir()
    (tmp_path / "text/en.jsonl").write_text(TEXT)
    (tmp_path / "mine.gin").write_text(
        "include 'recipes/my_text.gin'\n"
        "DATA_DIR = 'text'\nMONOLINGUAL = {'en': 'en.jsonl'}\nSTEPS = 2\n"
        "from __gin__ import dynamic_registration\n"
        "from polylm_jax import training\n"
        "training.PhaseConfig.warmup_steps = 1\n"
    )
    for mode in ("train_tokenizer", "train", "inspect"):
        done = run(script, tmp_path, mode, "--gin_file=mine.gin", *SMALL)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs/mine/model/checkpoints/2").is_dir()


def test_nothing_of_the_project_lands_beside_the_package(script):
    site = next((script.parents[1] / "lib").glob("python*")) / "site-packages"
    names = {path.name.partition("-")[0] for path in site.iterdir()} - {"needed.pth", "__pycache__"}
    assert names == {"polylm_jax"}


def test_each_extra_is_what_its_file_brings():
    """A mode names the extra of the module it lacks: the table against the requirements files."""
    from importlib.metadata import packages_distributions

    brought = packages_distributions()
    for extra, modules in extras.EXTRAS.items():
        text = (REPO / f"requirements-{extra}.txt").read_text(encoding="utf-8").lower()
        for module in modules.split():
            names = brought.get(module, [module])
            spelt = {name.lower().replace("_", "-") for name in names} | {module}
            assert any(name in text.replace("_", "-") for name in spelt) or extra == "tpu", module


def test_a_missing_extra_is_one_sentence(monkeypatch, capsys):
    import run as program

    def lacking(*_):
        raise ModuleNotFoundError("No module named 'datatrove'", name="datatrove")

    monkeypatch.setattr(program, "call", lacking)
    assert program.main(["clean", "--gin_file=x.gin"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "requirements-clean.txt" in said and "[clean]" in said


def test_files_beside_the_modules_are_in_the_wheel(script):
    """Seed tasks, lists of words, pages, recipes: what code opens by its own place."""
    site = next((script.parents[1] / "lib").glob("python*")) / "site-packages"
    where = {"polylm_jax": site, "tasks": site / "polylm_jax/checkout"}
    where["gin_configs"] = where["tasks"]
    listed = ["git", "-C", REPO, "ls-files", *where]
    tracked = subprocess.run(listed, check=True, capture_output=True, text=True).stdout.split()
    names = [name for name in tracked if not name.endswith(".md")]
    missing = [n for n in names if not (where[n.partition("/")[0]] / n).is_file()]
    assert not missing and len(names) > 300
