"""Gin at the edge: what `run.py` makes of files and overrides, and how it refuses each wrong name."""

import gcs_server
import gin
import pytest
import toy_modes

import run

RECIPE = """
from __gin__ import dynamic_registration
import toy_modes

MODEL_DIR = %gin.REQUIRED
WIDTH = 4
STEPS = 11
MODEL = @toy_modes.Model()
toy_modes.Model.width = %WIDTH
toy_modes.fit:
    model = %MODEL
    steps = %STEPS
    model_dir = %MODEL_DIR
    phases = [@stage1/toy_modes.Phase(), @stage2/toy_modes.Phase()]
stage1/toy_modes.Phase.name = 'one, with a name so long that gin has to break its line when it prints it back'
stage2/toy_modes.Phase.name = 'two\\\\n\\"quoted\\", ภาษา'
stage2/toy_modes.Phase.tokens = 9
toy_modes.look.model = %MODEL
"""
MODES = {"fit": "toy_modes.fit", "look": "toy_modes.look", "rest": "toy_modes.rest"}


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    monkeypatch.setattr(run, "MODES", MODES)
    toy_modes.CALLS.clear()
    gin.clear_config()
    yield
    gin.clear_config()


@pytest.fixture
def recipe(tmp_path):
    """Writes RECIPE with lines after it and returns the arguments that name it."""

    def write(*lines: str, text: str = RECIPE) -> str:
        path = tmp_path / "recipe.gin"
        path.write_text("\n".join([text, *lines]) + "\n", encoding="utf-8")
        return f"--gin_file={path}"

    return write


def refusal(capsys, *argv: str) -> str:
    """The one sentence on stderr of a run that exits with 2 and calls nothing."""
    assert run.main(list(argv)) == 2
    assert not toy_modes.CALLS
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_files_and_overrides_reach_the_function(recipe):
    argv = ["fit", recipe(), '--gin.MODEL_DIR="x"', "--gin.WIDTH=8", "--gin.fit.steps=3"]
    assert run.main([*argv, "--gin.stage2/toy_modes.Phase.tokens=5", "--shard=1/3"]) == 0
    (call,) = toy_modes.CALLS
    assert call["model"] == toy_modes.Model(width=8)
    assert (call["model_dir"], call["steps"], call["shard"]) == ("x", 3, "1/3")
    assert [phase.tokens for phase in call["phases"]] == [7, 5]


def test_the_last_file_wins(recipe, tmp_path):
    later = tmp_path / "later.gin"
    later.write_text("MODEL_DIR = 'later'\nSTEPS = 1\n")
    assert run.main(["fit", recipe(), f"--gin_file={later}"]) == 0
    assert (toy_modes.CALLS[0]["model_dir"], toy_modes.CALLS[0]["steps"]) == ("later", 1)


def test_includes_are_found_in_search_paths(recipe, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "base.gin").write_text(RECIPE)
    outer = recipe("MODEL_DIR = 'y'", text="include 'base.gin'")
    assert run.main(["fit", outer, f"--gin_search_paths={tmp_path / 'elsewhere'}"]) == 0


def test_a_gin_file_may_lie_on_gs():
    with gcs_server.GcsServer() as server:
        server.buckets["bucket"]["run/config.gin"] = (1, RECIPE.encode())
        argv = ["fit", "--gin_file=gs://bucket/run/config.gin", '--gin.MODEL_DIR="x"']
        assert run.main(argv) == 0


def test_the_resolved_text_loads_as_the_same_configuration(recipe, tmp_path):
    argv = ["fit", recipe(), '--gin.MODEL_DIR="x"', "--gin.fit.steps=3"]
    assert run.main([*argv, "--gin.fit.phases=[@stage1/Phase()]"]) == 0
    gin.clear_config()
    (first,) = toy_modes.CALLS
    resolved = tmp_path / "resolved.gin"
    resolved.write_text(first["recipe"], encoding="utf-8")
    assert run.main(["fit", f"--gin_file={resolved}"]) == 0
    assert toy_modes.CALLS[1] == first
    assert "from __gin__ import dynamic_registration" in first["recipe"]


def test_only_what_the_mode_reaches_is_required(recipe, capsys):
    assert run.main(["look", recipe()]) == 0
    toy_modes.CALLS.clear()
    gin.clear_config()
    assert refusal(capsys, "fit", recipe()) == (
        "fit needs MODEL_DIR: give it as --gin.MODEL_DIR=VALUE."
    )


def test_a_parameter_without_default_or_binding_is_named(recipe, capsys):
    bare = RECIPE.replace("toy_modes.Model.width = %WIDTH", "").replace("WIDTH = 4", "")
    line = refusal(capsys, "look", recipe(text=bare))
    assert line == "look needs toy_modes.Model.width: give it as --gin.toy_modes.Model.width=VALUE."


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("MODEL_DRI='x'", ["'MODEL_DRI'", "'MODEL_DIR'"]),
        ("fit.step=3", ["'step'", "'steps'"]),
        ("fti.steps=3", ["'fti'", "'fit'"]),
        ("stgae1/toy_modes.Phase.tokens=3", ["'stgae1'", "'stage1'"]),
        ("MODEL_DIR=/tmp/x", ["MODEL_DIR=/tmp/x", "quotes"]),
        ("fit.phases=[@stage1/Phse()]", ["@Phse()", "'Phase'"]),
        ("WIDTH=%WIDHT", ["%WIDHT", "'WIDTH'"]),
    ],
)
def test_a_wrong_override_is_refused_by_name(recipe, capsys, override, words):
    name = override.partition("=")[0]
    given = [] if name == "MODEL_DIR" else ["--gin.MODEL_DIR='d'"]
    line = refusal(capsys, "fit", recipe(), *given, f"--gin.{override}")
    assert all(word in line for word in [name, *words]), line


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("WIDHT = 3", ["WIDHT", "'WIDTH'"]),
        ("toy_modes.fit.step = 3", ["'step'", "'steps'"]),
        ("toy_modes.fitt.steps = 3", ["toy_modes.fitt", "'fit'"]),
        ("toy_mods.fit.steps = 3", ["'toy_mods'", "toy_modes"]),
        ("satge2/toy_modes.Phase.tokens = 3", ["satge2", "'stage2'"]),
        ("toy_modes.fit.steps = %STEP", ["%STEP", "'STEPS'"]),
        ("toy_modes.fit.model = @toy_modes.Modl()", ["Modl", "'Model'"]),
        ("include 'models/tny.gin'", ["models/tny.gin", "line 20"]),
        (
            "from polylm_jax import languges",
            ["polylm_jax.languges", "'polylm_jax.languages'"],
        ),
        ("STEPS = = 3", ["'STEPS = = 3'", "recipe.gin"]),
        ("toy_modes.fit.steps = [3", ["multi-line"]),
    ],
)
def test_a_wrong_line_is_refused_by_name(recipe, capsys, lines, words):
    line = refusal(capsys, "fit", recipe(lines), "--gin.MODEL_DIR='d'")
    assert all(word in line for word in words), line


def test_a_missing_file_is_refused_with_the_nearest_one(capsys):
    line = refusal(capsys, "fit", "--gin_file=gin_configs/recipes/polylm_17b.gin")
    assert line == (
        "There is no gin file 'gin_configs/recipes/polylm_17b.gin'. "
        "Did you mean 'gin_configs/recipes/polylm_1_7b.gin'?"
    )


def test_a_recipe_without_the_mode_is_refused(recipe, capsys):
    line = refusal(capsys, "rest", recipe())
    assert line == (
        "The gin files do not configure rest: add --gin_file=gin_configs/runs/rest.gin."
    )


def test_what_the_mode_refuses_is_one_sentence(recipe, capsys):
    line = refusal(capsys, "fit", recipe("MODEL_DIR = 'd'"), "--gin.STEPS=-1")
    assert line == "steps is -1: give 0 or more."


def test_a_bug_keeps_its_traceback(recipe):
    with pytest.raises(RuntimeError, match="a bug"):
        run.main(["look", recipe("toy_modes.Model.depth = 0")])
    gin.clear_config()
    with pytest.raises(SystemExit) as exit_:
        run.main(["fit", recipe("MODEL_DIR = 'd'"), "--gin.STEPS=99"])
    assert exit_.value.code == 143


@pytest.mark.parametrize("line", ["WIDTHS = 3", "LEARNING_RATE = 0.5", "stage9/WIDTH = 3"])
def test_an_unused_macro_is_refused(recipe, capsys, line):
    said = refusal(capsys, "fit", recipe(line), "--gin.MODEL_DIR='d'")
    assert line.partition(" ")[0] in said and "nothing uses it" in said
    assert "recipe.gin, line" in said or "Did you mean" in said


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("stage9/toy_modes.Phase.tokens = 3", "toy_modes.Phase as stage9 here"),
        ("toy_modes.Idle.width = 3", "toy_modes.Idle here"),
        ("toy_modes.rest.model = %MODEL", ""),
        ("CHOICES = ['toy_modes.fit.model = @stage9/toy_modes.Idle()']", ""),
    ],
)
def test_a_parameter_of_what_nothing_calls_is_named(recipe, capsys, line, told):
    """Unless it is a mode's, or a text, such as a variant of an ablation, calls it."""
    lines = [line, "toy_modes.fit.shard = %CHOICES", "stage9/toy_modes.Idle.width = 3"]
    lines = lines if line.startswith("CHOICES") else [line]
    assert run.main(["fit", recipe(*lines), "--gin.MODEL_DIR='d'", "--gin.fit.shard='0/1'"]) == 0
    said = capsys.readouterr().err
    assert said.count("\n") == bool(told)
    if told:
        assert f"recipe.gin, line 20) changes nothing: nothing calls {told}" in said


def test_an_unused_macro_gets_the_nearest_parameter(recipe, capsys):
    said = refusal(capsys, "fit", recipe("DIR = 'x'", "toy_modes.fit.model_dir = 'y'"))
    assert "nothing uses it. Did you mean 'toy_modes.fit.model_dir'?" in said


def test_an_overridden_or_quoted_macro_counts_as_used(recipe):
    lines = ["OTHER = 3", "VARIANTS = ('WIDTH = %OTHER',)", "toy_modes.fit.shard = %VARIANTS"]
    argv = ["fit", recipe(*lines), "--gin.fit.shard='0/1'", "--gin.fit.steps=3"]
    assert run.main([*argv, "--gin.MODEL_DIR='d'"]) == 0


def test_a_printed_configuration_keeps_overridden_macros(recipe, tmp_path):
    assert run.main(["fit", recipe("MODEL_DIR = 'd'"), "--gin.fit.steps=3"]) == 0
    gin.clear_config()
    (tmp_path / "config.gin").write_text(toy_modes.CALLS[0]["recipe"])
    assert "STEPS = 11" in toy_modes.CALLS[0]["recipe"]
    assert run.main(["fit", f"--gin_file={tmp_path / 'config.gin'}"]) == 0


def test_a_value_that_a_later_include_replaces_is_named(recipe, tmp_path, capsys):
    (tmp_path / "base.gin").write_text(RECIPE)
    lines = ["STEPS = 5", "WIDTH = 4", "MODEL_DIR = 'd'", "include 'base.gin'", "MODEL_DIR = 'e'"]
    assert run.main(["fit", recipe(text="\n".join(lines))]) == 0
    said = sorted(capsys.readouterr().err.splitlines(), reverse=True)
    assert [line.partition(" ")[0] for line in said] == ["STEPS", "MODEL_DIR"]
    assert "STEPS = 5" in said[0] and "recipe.gin, line 1)" in said[0]
    assert "base.gin, line 7 sets it again" in said[0]
    assert toy_modes.CALLS[0]["steps"] == 11


def test_modules_and_includes_are_found_beside_the_gin_file(recipe, tmp_path):
    (tmp_path / "languages_of_a_test.py").write_text("")
    (tmp_path / "base.gin").write_text(RECIPE)
    text = "import languages_of_a_test\ninclude 'base.gin'\nMODEL_DIR = 'd'"
    assert run.main(["fit", recipe(text=text)]) == 0


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("MODEL_DIR=3", "MODEL_DIR = 3: give text, in quotes."),
        ("MODEL_DIR=no", "MODEL_DIR = False: give text, in quotes."),
        ("STEPS=(1, 2)", "STEPS = (1, 2): give a whole number."),
        ("WIDTH='wide'", "WIDTH = 'wide': give a whole number."),
        ("stage2/toy_modes.Phase.tokens=2.5", "stage2/toy_modes.Phase.tokens = 2.5: give a"),
        ("fit.model=@stage1/Phase()", "toy_modes.fit.model = @Phase(): give @toy_modes.Model()"),
        ("fit.phases=[@stage1/Phase(), 3]", "in which toy_modes.fit.phases[1] is 3: give a list"),
    ],
)
def test_a_value_of_another_type_is_refused_before_the_call(recipe, capsys, override, sentence):
    given = [] if override.startswith("MODEL_DIR") else ["--gin.MODEL_DIR='d'"]
    assert sentence in refusal(capsys, "fit", recipe(), *given, f"--gin.{override}")


def test_whole_numbers_may_be_written_as_floats(recipe):
    assert run.main(["fit", recipe("MODEL_DIR = 'd'"), "--gin.STEPS=1e1"]) == 0
    assert toy_modes.CALLS[0]["steps"] == 10 and type(toy_modes.CALLS[0]["steps"]) is int
