"""The command line: help without heavy imports, unknown modes and flags refused."""

import subprocess
import sys

import gin
import pytest

import run
from polylm_jax.errors import InputError
from polylm_jax.runtime import command_line, extras

HEAVY = ("jax", "numpy", "tensorflow", "seqio", "gin", "flax", "rich")


@pytest.mark.parametrize("argv", [["--help"], [], *([mode, "--help"] for mode in run.MODES)])
def test_help_imports_nothing_heavy(argv):
    code = (
        "import sys, run; code = run.main(sys.argv[1:]); "
        f"print('heavy:', [m for m in {HEAVY} if m in sys.modules]); sys.exit(code)"
    )
    command = [sys.executable, "-c", code, *argv]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=run.REPO)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("heavy: []\n")


def test_help_names_every_mode_with_its_first_line(capsys):
    assert run.main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"  {mode} " in out for mode in run.MODES)


@pytest.mark.parametrize("mode", run.MODES)
def test_the_help_of_a_mode_lists_its_parameters(mode, capsys):
    assert run.main([mode, "--help"]) == 0
    out = capsys.readouterr().out
    wanted = command_line.parameters(command_line.source(run.MODES[mode]))
    assert all(f"  {name} " in out for name in wanted if name not in command_line.GIVEN)
    assert wanted, f"{mode} takes nothing"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["trian"], ["'trian'", "'train'"]),
        (["train", "--gin_fiel=x"], ["--gin_fiel=x", "--gin_file"]),
        (["train", "x.gin"], ["'x.gin'", "--gin.NAME=VALUE"]),
        (["cache", "--shrad=0/2"], ["--shrad=0/2", "--shard"]),
    ],
)
def test_a_wrong_argument_is_refused(argv, words, capsys):
    assert run.main(argv) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert all(word in line for word in words), line


def test_debug_shows_the_traceback():
    with pytest.raises(InputError):
        run.main(["trian", "--debug"])


def test_a_flag_argparse_itself_refuses_is_one_sentence(capsys):
    for argv in (["train", "--gin_file"], ["train", "--debug=no"]):
        assert run.main(argv) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert argv[1].partition("=")[0] in line


WITHOUT = """
import sys
import gin
from polylm_jax.runtime import extras

LACKING = {name for names in extras.EXTRAS.values() for name in names.split()} - {"sklearn"}

class Nowhere:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in LACKING:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Nowhere())
import run

recipe = "--gin_file=gin_configs/recipes/polylm_125m_v5e_8.gin"
codes = []
for mode in ("serve", "inspect"):
    codes.append(run.main([mode, recipe, "--gin.CHECKPOINT='none'"]))
    gin.clear_config()
sys.exit(0 if codes == [2, 0] else f"{codes}")
"""


def test_recipes_with_all_modes_need_no_extra():
    """What requirements.txt brings is enough to train and to look; a mode that needs more says so."""
    command = [sys.executable, "-c", WITHOUT]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=run.REPO)
    assert done.returncode == 0, done.stderr
    (said,) = [line for line in done.stderr.splitlines() if line.startswith("serve: ")]
    assert "'uvicorn'" in said and "requirements-serve.txt" in said


def test_a_package_that_a_mode_lacks_is_named_through_gin():
    @gin.configurable(name_or_fn="lacking_a_package")
    def lacking():
        raise ModuleNotFoundError("No module named 'datatrove'", name="datatrove.data")

    with pytest.raises(ModuleNotFoundError) as caught:
        lacking()
    assert "requirements-clean.txt" in (extras.missing(caught.value) or "")
