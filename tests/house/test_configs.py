"""Every gin file: it opens, its model has the parameters that its header says, its modes are whole."""

import importlib
import pathlib
import re

import gin
import jax
import pytest
from clean_gin import clean  # noqa: F401

import run
from polylm_jax.errors import InputError
from polylm_jax.model import parameters
from polylm_jax.model.config import PolyLMConfig
from polylm_jax.model.network import PolyLM
from tasks.sample_data import generate

CONFIGS = run.REPO / "gin_configs"
FILES = sorted(path for path in CONFIGS.rglob("*.gin") if path.parent.name != "t5x")
MODELS = [path for path in FILES if path.parent.name == "models"]
CORPORA = [path for path in FILES if path.name.endswith("_corpus.gin")]
POOLS = [path for path in FILES if path.name.endswith("_pool.gin")]
RECIPES = [
    path for path in FILES if path.parent.name == "recipes" and path not in [*CORPORA, *POOLS]
]


def name_of(path: pathlib.Path) -> str:
    return str(path.relative_to(CONFIGS))


def required() -> list[str]:
    """The macros that the user must give."""
    return [name for name, value in run.bindings().items() if repr(value) == "%gin.REQUIRED"]


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_every_file_is_opened(path):
    before = [CONFIGS / "models/tiny.gin"] if path.parent.name == "runs" else []
    if path.name in ("inspect.gin", "cache.gin", "plan.gin"):
        before.append(CONFIGS / "runs/train.gin")
    for folder in (CONFIGS, run.REPO):
        gin.add_config_file_search_path(str(folder))
    files = [str(file) for file in [*before, path]]
    gin.parse_config_files_and_bindings(files, None, finalize_config=False)
    assert run.bindings()


@pytest.mark.parametrize("path", [*MODELS, *RECIPES], ids=name_of)
def test_the_header_says_the_parameters_of_the_model(path):
    header = re.search(r"^# parameters: +([\d,]+)", path.read_text(), re.MULTILINE)
    run.configure([str(path)], [], [])
    if "# parameters: the checkpoint's" in path.read_text():
        assert not gin.get_bindings(PolyLMConfig)  # it has no model of its own
        return
    config = gin.get_configurable(PolyLMConfig)().check()
    shapes = jax.eval_shape(lambda: parameters.init_params(PolyLM(config), jax.random.key(0)))
    number = sum(leaf.size for leaf in jax.tree.leaves(shapes))
    assert header is not None, f"{path.name} lacks its '# parameters:' line"
    assert int(header[1].replace(",", "")) == number == config.num_params


@pytest.mark.parametrize("path", RECIPES, ids=name_of)
def test_a_recipe_is_a_receipt(path):
    head = path.read_text().partition("\nfrom __gin__")[0]
    assert all(f"# {field}: " in head for field in ("parameters", "hardware", "expected"))
    assert "python run.py" in head or "make demo" in head


@pytest.mark.parametrize("path", CORPORA, ids=name_of)
def test_a_recipe_of_a_corpus_is_a_receipt_and_cleans(path):
    head = path.read_text().partition("\nfrom __gin__")[0]
    assert all(f"# {field}: " in head for field in ("hardware", "expected"))
    run.configure(
        [str(path)], [f"{name} = 'given'" for name in ("DATA_DIR", "OUTPUT", "WORK_DIR")], []
    )
    demand("clean", function("clean"), [])


@pytest.mark.parametrize("path", POOLS, ids=name_of)
def test_a_recipe_of_a_pool_is_a_receipt_and_makes_one(path):
    head = path.read_text().partition("\nfrom __gin__")[0]
    assert all(f"# {field}: " in head for field in ("hardware", "expected"))
    run.configure(
        [str(path)], ["CHAT_MODEL = 'given'", "POOL = 'given'", "MAX_TOKENS_SPENT = 1"], []
    )
    demand("self_instruct", function("self_instruct"), [])


@pytest.mark.parametrize("path", RECIPES, ids=name_of)
def test_a_recipe_serves_its_modes(path):
    run.configure([str(path)], [], [])
    given = [f"{name} = 'given'" for name in required()]
    gin.clear_config()
    run.configure([str(path)], given, [])
    served = [mode for mode in run.MODES if configured(run.MODES[mode])]
    looks = {"inspect", "plan", "evaluate", "generate", "serve", "export", "verify"}
    whole = {"train_tokenizer", "cache", "train", "finetune", "ablate", *looks}
    if path.stem.startswith("evaluate"):
        whole = {"evaluate"}
    elif re.match(r"(multialpaca|instructions)(?!.*_base$)", path.stem) and "dpo" not in served:
        whole = {"cache", "finetune", *looks}
    elif "runs/dpo.gin" in path.read_text():
        whole = {"cache", "dpo", "evaluate", "export"}
    assert whole <= set(served)
    for mode in served:
        demand(mode, function(mode), ["recipe"])


def demand(mode: str, whole, given) -> None:
    """Refuses what the mode reaches and nobody has set."""
    assert [*run.reached(mode, whole, given)]


def configured(dotted: str) -> bool:
    """Whether the recipe says anything of a mode; gin knows only what some file has imported."""
    try:
        return bool(gin.get_bindings(dotted, resolve_references=False))
    except ValueError:
        return False


def function(mode: str):
    module, _, name = run.MODES[mode].rpartition(".")
    return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("size", ["1_7b", "13b"])
def test_the_papers_runs_need_no_more_than_a_place_to_write(size):
    run.configure([str(CONFIGS / f"recipes/polylm_{size}.gin")], [], [])
    for mode in ("train_tokenizer", "cache", "inspect"):
        demand(mode, function(mode), ["recipe"])
    with pytest.raises(InputError, match="train needs MODEL_DIR"):
        demand("train", function("train"), ["recipe"])


@pytest.mark.parametrize(
    ("size", "steps", "rate"), [("1_7b", 700_950, "1.000e-04"), ("13b", 175_237, "6.000e-05")]
)
def test_the_papers_runs_are_inspected_without_data(size, steps, rate, capsys):
    assert run.main(["inspect", f"--gin_file=gin_configs/recipes/polylm_{size}.gin"]) == 0
    out = capsys.readouterr().out
    for text in (f"{steps:,} steps", "32.2%", "60.5%", "hold", rate, "not cached"):
        assert text in out, text


def test_the_demo_has_the_papers_shares(tmp_path, capsys):
    generate.write(tmp_path, per_frame=2)
    recipe = "--gin_file=gin_configs/recipes/demo.gin"
    assert run.main(["inspect", recipe, f"--gin.DATA_DIR='{tmp_path}'"]) == 0
    out = capsys.readouterr().out
    assert "32.2%" in out and "60.5%" in out
