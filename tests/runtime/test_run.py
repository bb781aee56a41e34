"""The command line: help without heavy imports, unknown modes and flags refused."""

import subprocess
import sys

import pytest

import run
from polylm_jax.errors import InputError
from polylm_jax.runtime import command_line

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
