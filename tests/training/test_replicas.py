"""Copies of one array on several devices are compared before they are saved."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy_run
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from polylm_jax.errors import CorruptReplica
from polylm_jax.training import replicas
from polylm_jax.training.programs import Programs

pytest_plugins = ["toy_fixture"]

MESH = Mesh(np.array(jax.devices()[:8]).reshape(4, 2), ("data", "fsdp"))
VALUES = np.arange(48.0, dtype=np.float32).reshape(6, 8)


def placed(spec, damage=None, dtype=np.float32):
    """VALUES on the mesh; damage: (device, change of its own copy)."""
    sharding = NamedSharding(MESH, PartitionSpec(*spec))
    pieces = []
    for device, index in sharding.devices_indices_map(VALUES.shape).items():
        piece = VALUES[index].astype(dtype).copy()
        if damage and device.id == damage[0]:
            piece = damage[1](piece)
        pieces.append(jax.device_put(piece, device))
    return jax.make_array_from_single_device_arrays(VALUES.shape, sharding, pieces)


def flip_lowest_bit(piece):
    words = piece.view(np.uint16 if piece.dtype.itemsize == 2 else np.uint32)
    words[-1, -1] ^= 1
    return piece


def exchange(piece):
    piece[0, 0], piece[0, 1] = piece[0, 1], piece[0, 0]
    return piece


@pytest.mark.parametrize("spec", [(), ("fsdp",), (None, "fsdp"), ("data", "fsdp")])
def test_equal_copies_pass(spec):
    if spec == ("data", "fsdp"):
        spec = ("fsdp", "data")
    replicas.check({"a": placed(spec), "b": placed(())}, 7)


@pytest.mark.parametrize("dtype", [np.float32, jnp.bfloat16, np.int32])
@pytest.mark.parametrize("spec", [(), ("fsdp",)])
@pytest.mark.parametrize("change", [flip_lowest_bit, exchange])
def test_a_device_that_differs_is_named(spec, change, dtype):
    state = {"good": placed(()), "bad": placed(spec, (5, change), dtype)}
    with pytest.raises(
        CorruptReplica, match="step 7: bad is not the same .* device 5 of process 0"
    ):
        replicas.check(state, 7)


def test_what_has_no_copy_cannot_differ():
    replicas.check({"a": placed(("fsdp", "data"), (5, flip_lowest_bit))}, 7)


def test_a_run_saves_nothing_then(toy_folder, tmp_path, monkeypatch):
    """The layer norm of one device begins with another value: it stays so, and nothing else sees it."""
    real = Programs.fresh_state

    def damaged(programs):
        state = real(programs)
        scale = state.params["ln_f"]["scale"]
        pieces = [shard.data for shard in scale.addressable_shards]
        pieces[3] = jax.device_put(pieces[3] * 1.25, pieces[3].device)
        bad = jax.make_array_from_single_device_arrays(scale.shape, scale.sharding, pieces)
        return state.replace(params=state.params | {"ln_f": state.params["ln_f"] | {"scale": bad}})

    monkeypatch.setattr(Programs, "fresh_state", damaged)
    with pytest.raises(CorruptReplica, match="params/ln_f/scale"):
        toy_run.run(toy_folder, tmp_path, {"phases": toy_run.halves(6)}, save_every_steps=3)
    assert not list((tmp_path / "checkpoints").iterdir())
