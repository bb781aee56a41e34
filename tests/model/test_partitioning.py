"""The mesh, the rules, and that the model names nothing the rules don't know."""

import dataclasses
import os
import subprocess
import sys

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from polylm_jax.errors import InputError
from polylm_jax.model import parameters, partitioning, splash
from polylm_jax.model.config import PolyLMConfig
from polylm_jax.model.lora import TARGETS, Lora
from polylm_jax.model.loss import cross_entropy
from polylm_jax.model.network import PolyLM
from polylm_jax.model.partitioning import MeshConfig

TOY = PolyLMConfig(num_layers=2, embed_dim=16, num_heads=2, mlp_dim=32, vocab_size=16, max_length=8)
WIDE = PolyLMConfig(num_layers=40, embed_dim=5120, num_heads=40, mlp_dim=20480)


def check(config, devices, **change):
    """Whether a mesh fits PolyLM-13B, changed, and its rows."""
    rows = {"length": 2048, "batch_size": 512, "microbatches": 1}
    rows |= {name: change.pop(name) for name in rows.keys() & change}
    return partitioning.check_mesh(config, devices, dataclasses.replace(WIDE, **change), **rows)


@pytest.mark.parametrize(
    ("config", "devices", "shape"),
    [
        (MeshConfig(), 8, (8, 1, 1)),
        (MeshConfig(data=1, fsdp=-1, tensor=2), 8, (1, 4, 2)),
        (MeshConfig(data=2, fsdp=2, tensor=2), 8, (2, 2, 2)),
        (MeshConfig(data=-1, num_slices=2), 8, (8, 1, 1)),
    ],
)
def test_one_axis_takes_what_the_others_leave(config, devices, shape):
    assert config.shape(devices) == shape
    assert config.shape(devices) == check(config, devices)


@pytest.mark.parametrize(
    ("config", "change", "words"),
    [
        (MeshConfig(data=3), {}, "mesh 3x1x1 does not fit 8 devices"),
        (MeshConfig(fsdp=3), {}, "mesh -1x3x1 does not fit 8 devices"),
        (MeshConfig(data=-1, fsdp=-1), {}, "-1 may stand for one axis"),
        (MeshConfig(tensor=0), {}, "mesh axis tensor = 0"),
        (MeshConfig(data=1, fsdp=8, num_slices=2), {}, "num_slices = 2 does not divide data = 1"),
        (MeshConfig(num_slices=0), {}, "num_slices = 0"),
        (MeshConfig(tensor=8), {"num_heads": 12}, "num_heads = 12 does not divide over tensor = 8"),
        (MeshConfig(tensor=8), {"vocab_size": 50_257}, "vocab_size = 50257"),
        (MeshConfig(tensor=8), {"length": 100}, "sequence_length = 100"),
        (MeshConfig(fsdp=8), {"embed_dim": 100}, "embed_dim = 100 does not divide over fsdp = 8"),
        (MeshConfig(), {"batch_size": 12}, "batch_size = 12 .* data x fsdp = 8"),
        (MeshConfig(), {"batch_size": 8, "microbatches": 2}, "batch_size = 8 .* = 16"),
    ],
)
def test_a_mesh_that_does_not_fit_is_refused(config, change, words):
    with pytest.raises(InputError, match=words):
        check(config, 8, **change)


def test_the_mesh_holds_every_device_once():
    mesh = partitioning.make_mesh(MeshConfig(data=2, fsdp=2, tensor=2))
    assert dict(mesh.shape) == {"data": 2, "fsdp": 2, "tensor": 2}
    assert set(mesh.devices.flat) == set(jax.devices())
    part = partitioning.make_mesh(MeshConfig(), jax.devices()[:3])
    assert dict(part.shape) == {"data": 3, "fsdp": 1, "tensor": 1}


@dataclasses.dataclass(frozen=True)
class Chip:
    """As much of a TPU chip as its place in the mesh depends on."""

    id: int
    slice_index: int
    coords: tuple[int, int, int]
    process_index: int = 0
    platform: str = "tpu"
    device_kind: str = "TPU v5p"
    core_on_chip: int = 0


def test_slices_split_the_data_axis_only():
    chips = [Chip(8 * s + i, s, (i % 2, i // 2, 0)) for s in range(2) for i in range(8)]
    config = MeshConfig(data=4, fsdp=2, tensor=2, num_slices=2)
    grid = partitioning.device_grid(config, config.shape(16), chips)
    slices = np.vectorize(lambda chip: chip.slice_index)(grid)
    assert slices.shape == (4, 2, 2)
    assert [set(half.flat) for half in (slices[:2], slices[2:])] == [{0}, {1}]


def test_slices_that_are_not_there_are_refused():
    with pytest.raises(InputError, match="num_slices = 2"):
        partitioning.make_mesh(MeshConfig(num_slices=2))


def names_used(monkeypatch) -> set[tuple]:
    """Axis names of every parameter, adapter and activation, in all modes of the model and in the loss."""
    used = {splash.QUERY_AXES, splash.SEGMENT_AXES}

    def record(x, names, *_, **__):
        assert len(names) == x.ndim, f"{names} for an array of rank {x.ndim}"
        used.add(tuple(names))
        return x

    monkeypatch.setattr(nn, "with_logical_constraint", record)
    model, tokens = PolyLM(TOY), jnp.zeros((2, 8), jnp.int32)
    boxed = jax.eval_shape(lambda: parameters.init_params(model, jax.random.key(0)))
    is_box = lambda x: isinstance(x, nn.Partitioned)
    adapters = Lora(dict.fromkeys(TARGETS, 1)).boxed(boxed)
    used |= {tuple(box.names) for box in jax.tree.leaves((boxed, adapters), is_leaf=is_box)}

    def run():
        variables = {"params": nn.unbox(parameters.init_params(model, jax.random.key(0)))}
        x, cache = model.apply(variables, tokens, prefill=True, mutable=["cache"])
        model.apply(variables | cache, tokens[:, :1], decode=True, mutable=["cache"])
        model.apply(variables, x, method="logits")
        wte, ones = variables["params"]["wte"]["embedding"], jnp.ones(tokens.shape)
        for pieces in ({"num_chunks": 2}, {"vocab_blocks": 2}):
            loss = lambda x, w: cross_entropy(x, w, tokens, ones, **pieces)[0]  # noqa: B023
            jax.grad(loss, (0, 1))(x, wte)

    jax.eval_shape(run)
    return used


def test_every_axis_name_has_a_rule_and_none_collide(monkeypatch):
    used = names_used(monkeypatch)
    for names in used:
        partitioning.mesh_axes(names)
    named = {name for names in used for name in names} - {None}
    assert named == set(partitioning.RULES), "rules for names that nothing has"


def test_a_name_without_a_rule_raises():
    with pytest.raises(KeyError, match="colour"):
        partitioning.mesh_axes(("batch", "colour"))


def test_a_collision_raises():
    with pytest.raises(ValueError, match="collide"):
        partitioning.mesh_axes(("batch", "embed"))
    with pytest.raises(ValueError, match="collide"):
        partitioning.mesh_axes(("heads", "mlp"))


def test_rows_lie_over_data_and_fsdp():
    mesh = partitioning.make_mesh(MeshConfig(data=2, fsdp=2, tensor=2))
    rows = jax.device_put(jnp.arange(8), partitioning.batch_sharding(mesh))
    assert {shard.data.shape for shard in rows.addressable_shards} == {(2,)}
    assert len({int(shard.data[0]) for shard in rows.addressable_shards}) == 4


def test_model_and_rules_never_import_each_other():
    """In a fresh interpreter each, so that nothing else has brought the other."""
    for module, other in (("network", "partitioning"), ("partitioning", "network")):
        code = f"import sys, polylm_jax.model.{module} as m; sys.exit('polylm_jax.model.{other}' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_machine_that_is_no_cluster_stays_alone():
    """In a fresh interpreter: JAX takes the call before it has devices only."""
    code = "from polylm_jax.model import partitioning as p; raise SystemExit(p.initialize_distributed())"
    cluster = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
    environment = {name: value for name, value in os.environ.items() if name not in cluster}
    assert (
        subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
    )


@pytest.mark.parametrize("missing", ["JAX_NUM_PROCESSES", "JAX_PROCESS_ID"])
def test_half_a_cluster_is_refused(monkeypatch, missing):
    settings = {
        "JAX_COORDINATOR_ADDRESS": "localhost:1",
        "JAX_NUM_PROCESSES": "2",
        "JAX_PROCESS_ID": "0",
    }
    for name, value in (settings | {missing: "two"}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=f"{missing} = 'two'"):
        partitioning.initialize_distributed()
