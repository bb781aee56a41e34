"""Compiled programs are kept where the setting says, on a bucket too."""

import warnings

import gcs_server
import jax
import jax.numpy as jnp
import pytest
from jax.experimental.compilation_cache import compilation_cache

from polylm_jax.model import devices

_HIT = "/jax/compilation_cache/cache_hits"


@pytest.fixture
def no_cache():
    """Nothing is kept yet; what JAX was set to comes back."""
    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = {name: getattr(jax.config, name) for name in names}
    jax.config.update("jax_compilation_cache_dir", None)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    compilation_cache.reset_cache()
    yield
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


def test_a_program_on_a_bucket_is_found_by_the_next_start(no_cache, monkeypatch):
    hits = []
    jax.monitoring.register_event_listener(lambda name, **_: hits.append(name == _HIT))

    def compiled():
        jax.clear_caches()
        return jax.jit(lambda x: jnp.sin(x) @ x.T + 41)(jnp.ones((8, 8)))

    with gcs_server.GcsServer(("b",)) as server, warnings.catch_warnings():
        warnings.simplefilter("error")  # of what can't be written or read JAX only warns
        gcs_server.python_clients(server, monkeypatch)
        devices.start("gs://b/programs")
        first, before = compiled(), sum(hits)
        kept = [key for key in server.buckets["b"] if key.startswith("programs/")]
        second = compiled()
    assert kept and not before
    assert sum(hits) == len(kept)
    assert (first == second).all()


@pytest.mark.parametrize("folder", ["programs", "gs://b/programs", ""])
@pytest.mark.parametrize("several", [True, False])
def test_of_several_processes_a_folder_of_one_host_is_told(
    no_cache, folder, several, monkeypatch, capsys, tmp_path
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(devices.xla_bridge, "backends_are_initialized", lambda: False)
    monkeypatch.setattr(devices.partitioning, "initialize_distributed", lambda: several)
    devices.start(folder)
    assert ("process 0 alone" in capsys.readouterr().err) == (several and folder == "programs")


def test_programs_of_other_numbers_of_cores_are_kept_apart(no_cache, monkeypatch, tmp_path):
    found = []
    monkeypatch.setattr(devices.cache_key, "custom_hook", devices.cache_key.custom_hook)
    devices.start(str(tmp_path))
    for cores in (1, 2, 1):
        monkeypatch.setattr(devices, "cores", lambda n=cores: range(n))
        jax.clear_caches()
        jax.jit(lambda x: jnp.cos(x) @ x.T + 43)(jnp.ones((8, 8)))
        found.append(len([*tmp_path.glob("*lambda*-cache")]))
    assert found == [1, 2, 2]


@pytest.mark.parametrize("own", ["", "own"])
def test_workers_without_a_setting_keep_programs_together(no_cache, own, monkeypatch, tmp_path):
    monkeypatch.setattr(devices.Several, "programs", str(tmp_path / "together"))
    devices.start(own and str(tmp_path / own))
    assert (own or "together") in jax.config.jax_compilation_cache_dir
    assert ("together" in jax.config.jax_compilation_cache_dir) == (not own)
