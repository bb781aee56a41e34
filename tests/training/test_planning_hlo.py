"""What is read out of optimized HLO, on a program of eight devices whose counts are known."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec

from polylm_jax.training.planning import collectives, hlo, replica_groups, work

LAYERS, ROWS, WIDTH = 5, 64, 32
MESH = {"data": 2, "fsdp": 2, "tensor": 2}


def layer(x, w):
    """A gather, a product and a sum of each layer, as a sharded model has them."""
    w = jax.lax.all_gather(w, "fsdp", axis=0, tiled=True)
    return jnp.tanh(jax.lax.psum(x @ w, "tensor")), None


def program(x, w):
    x, _ = jax.lax.scan(layer, x, w)
    x = jax.lax.psum(x, ("data", "fsdp"))
    x = jax.lax.psum_scatter(x, "tensor", scatter_dimension=1, tiled=True)
    x = jax.lax.all_to_all(x, "fsdp", 1, 0, tiled=True)
    return jax.lax.ppermute(x, "data", [(0, 1), (1, 0)])


@pytest.fixture(scope="module")
def module():
    mesh = Mesh(np.array(jax.devices()).reshape(tuple(MESH.values())), tuple(MESH))
    sharded = functools.partial(jax.shard_map, mesh=mesh, check_vma=False)
    function = sharded(
        program,
        in_specs=(PartitionSpec("data"), PartitionSpec(None, "fsdp")),
        out_specs=PartitionSpec("data"),
    )
    shapes = ((ROWS, WIDTH), (LAYERS, WIDTH, WIDTH))
    arguments = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    return hlo.parse(jax.jit(function).lower(*arguments).compile().as_text())


def test_a_loop_counts_as_often_as_it_runs(module):
    """2 FLOPs for each multiplication of 32 x 32 by 32 x 32, in each of the five layers."""
    assert work.flops(module) == LAYERS * 2 * (ROWS // 2) * WIDTH * WIDTH


def test_collectives_by_kind_and_axes(module):
    block = 4 * (ROWS // 2) * WIDTH  # bytes of a device's rows
    expected = {  # (kind, axes) -> runs, bytes in hand, bytes sent by each of n devices
        ("all-gather", "fsdp"): (
            LAYERS,
            LAYERS * 4 * WIDTH * WIDTH,
            LAYERS * 4 * WIDTH * WIDTH / 2,
        ),
        ("all-reduce", "tensor"): (LAYERS, LAYERS * block, LAYERS * block),  # 2 (n - 1) / n
        ("all-reduce", "data+fsdp"): (1, block, 2 * block * 3 / 4),
        ("reduce-scatter", "tensor"): (1, block, block / 2),
        ("all-to-all", "fsdp"): (1, block / 2, block / 4),
        ("collective-permute", "data"): (1, block / 2, block / 2),
    }
    rows = collectives.table(collectives.find(module, MESH))
    got = {(r["kind"], r["axes"]): (r["runs"], r["payload_bytes"], r["sent_bytes"]) for r in rows}
    assert got == expected


def test_a_collective_of_one_device_is_none(module):
    alone = {"data": 8, "fsdp": 1, "tensor": 1}
    assert all(one.axes == ("data",) for one in collectives.find(module, alone))


def test_bytes_count_the_slice_of_a_stack_not_the_stack(module):
    """Each layer reads its own matrix: all layers together read the stack once, not five times."""
    (read,) = [
        runs * work.instruction_bytes(instruction, computation, module)
        for instruction, computation, runs in module.instructions()
        if instruction.opcode == "fusion" and instruction.arrays[0].dims == (WIDTH // 2, WIDTH)
    ]
    stack = 4 * LAYERS * (WIDTH // 2) * WIDTH
    assert 2 * stack <= read <= 2 * stack + 4 * LAYERS  # read, written, and the layer's number


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("replica_groups={{0,1},{2,3}}", [[0, 1], [2, 3]]),
        ("replica_groups={}", [[0, 1, 2, 3]]),
        ("replica_groups=[2,2]<=[4], x", [[0, 1], [2, 3]]),
        ("replica_groups=[2,2]<=[2,2]T(1,0), x", [[0, 2], [1, 3]]),
        ("replica_groups=mesh['a'=2,'b'=2] {'b'}, x", [[0, 1], [2, 3]]),
        ("replica_groups=mesh['a'=2,'b'=2] {'a'}, x", [[0, 2], [1, 3]]),
        ("replica_groups=mesh['a'=4] {'a':(1)2}, x", [[0, 2], [1, 3]]),
        ("replica_groups=mesh['a'=4] {'a':(2)2}, x", [[0, 1], [2, 3]]),
        ("source_target_pairs={{0,1},{1,0}}, x", [[0, 1], [1, 0]]),
    ],
)
def test_every_way_to_write_groups(text, expected):
    assert replica_groups.groups(text, 4).tolist() == expected


def test_groups_of_an_unknown_form_are_an_error():
    with pytest.raises(ValueError, match="unknown form"):
        replica_groups.groups("replica_groups=@rows", 4)


@pytest.mark.parametrize(
    ("groups", "axes"),
    [([[0, 1], [2, 3]], ("tensor",)), ([[0, 6]], ("data", "fsdp")), ([[3]], ())],
)
def test_axes_are_those_along_which_a_group_differs(groups, axes):
    assert replica_groups.axes_of(np.array(groups), MESH) == axes


ENDLESS = """
%body (p: s32[]) -> s32[] {
  ROOT %p = s32[] parameter(0)
}
%condition (q: s32[]) -> pred[] {
  %q = s32[] parameter(0)
  ROOT %less = pred[] compare(%q, %q), direction=LT
}
ENTRY %main (a: s32[]) -> s32[] {
  %a = s32[] parameter(0)
  ROOT %while.1 = s32[] while(%a), condition=%condition, body=%body
}
"""


COUNTED = """
%body (p: (s32[], f32[2])) -> (s32[], f32[2]) {
  %p = (s32[], f32[2]) parameter(0)
  %turn = s32[] get-tuple-element(%p), index=0
  %x = f32[2] get-tuple-element(%p), index=1
  %several = s32[] constant(2)
  %next = s32[] add(%turn, %several)
  ROOT %both = (s32[], f32[2]) tuple(%next, %x)
}
%condition (q: (s32[], f32[2])) -> pred[] {
  %q = (s32[], f32[2]) parameter(0)
  %turns = s32[] get-tuple-element(%q), index=0
  %limit = s32[] constant(5)
  ROOT %less = pred[] compare(%turns, %limit), direction=LT
}
ENTRY %main (x: f32[2]) -> (s32[], f32[2]) {
  %x.1 = f32[2] parameter(0)
  %first = s32[] constant(START)
  %copied = s32[] copy(%first)
  %a = (s32[], f32[2]) tuple(%copied, %x.1)
  ROOT %while.1 = (s32[], f32[2]) while(%a), condition=%condition, body=%body
}
"""


@pytest.mark.parametrize(
    ("start", "stride", "runs"), [(0, 1, 5), (0, 2, 3), (0, 5, 1), (1, 1, 4), (1, 2, 2)]
)
def test_a_peeled_or_unrolled_loop_runs_less_often(start, stride, runs):
    text = COUNTED.replace("START", str(start)).replace("constant(2)", f"constant({stride})")
    assert hlo.parse(text).runs["body"] == runs


def test_a_loop_without_a_length_is_an_error():
    with pytest.raises(ValueError, match="while.1 has no length"):
        hlo.parse(ENDLESS)
