"""t5x's own train, eval and infer, configured by gin_configs/t5x and called in this process."""

import pathlib
import sys

import gin
import numpy as np
import tensorflow as tf

REPO = pathlib.Path(__file__).resolve().parents[2]
CONFIGS = REPO / "gin_configs/t5x"


def toy_config(folder):
    """A gin file with the toy run of toy_t5x: its path."""
    path = folder / "toy_pretrain.gin"
    path.write_text(f"""
from __gin__ import dynamic_registration

import __main__ as train_script
from polylm_jax import training
from polylm_jax import model
from tasks import corpus

include 'tiny.gin'
include 'pretrain.gin'
model.PolyLMConfig:
  num_layers = 1
  embed_dim = 16
  num_heads = 8
  mlp_dim = 32
  vocab_size = 320
  max_length = 64

VOCABULARY = '{folder}/toy.model'
CACHE_DIR = '{folder}/t5x_stores'
TASKS = @corpus.register()
corpus.register:
  data_dir = '{folder}'
  vocabulary = %VOCABULARY
  monolingual = {{'en': 'en.jsonl', 'th': 'th.jsonl', 'de': 'de.jsonl'}}
  bilingual = {{}}
  mixtures = {{}}
  name = 't5x'
PHASES = [@one/training.PhaseConfig(), @two/training.PhaseConfig()]
one/training.PhaseConfig:
  mixture = {{'t5x.en': 0.5, 't5x.th': 0.5}}
  steps = 20
  warmup_steps = 5
  peak_learning_rate = 1e-2
two/training.PhaseConfig:
  mixture = {{'t5x.en': 0.2, 't5x.th': 0.3, 't5x.de': 0.5}}
  steps = 30
  ramp_steps = 10
  rate = 'hold'
SEQUENCE_LENGTH = 16
BATCH_SIZE = 8
Z_LOSS = 1e-3
EVAL_STEPS = 2
EVAL_PERIOD = 10
CHECKPOINT_PERIOD = 10
train_script.train.stats_period = 1
""")
    return str(path)


def configured(monkeypatch, module, name, files, **macros):
    """The function of a t5x script as `python -m` would configure it."""
    import t5x

    gin.clear_config()
    monkeypatch.setitem(sys.modules, "__main__", module)
    gin.config._LOCATION_PREFIXES[:] = [""]
    for folder in (CONFIGS, REPO, pathlib.Path(next(iter(t5x.__path__))).parent):
        gin.add_config_file_search_path(str(folder))
    bindings = [f"{key} = {value!r}" for key, value in macros.items()]
    gin.parse_config_files_and_bindings(files, bindings)
    return gin.get_configurable(getattr(module, name))


def scalars(folder, tag):
    """step -> value of a summary that t5x wrote."""
    found = {}
    for path in sorted(pathlib.Path(folder).glob("events.*")):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                if value.tag == tag:
                    found[event.step] = float(np.asarray(tf.make_ndarray(value.tensor)))
    return found
