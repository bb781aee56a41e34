"""How TPUs write things in HLO: products as convolutions, collectives in fusions, attention as kernels."""

import pytest

from polylm_jax.training.planning import collectives, hlo, work

MESH = {"data": 2, "fsdp": 4, "tensor": 1}
PROGRAM = """
%add (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %sum = f32[] add(%a, %b)
}

%all-reduce-scatter (p.0: f32[8,16]) -> f32[2,16] {
  %p.0 = f32[8,16]{1,0} parameter(0)
  %all-reduce.1 = f32[8,16]{1,0} all-reduce(%p.0), channel_id=3, replica_groups=[2,4]<=[8], to_apply=%add
  %zero = s32[] constant(0)
  ROOT %slice = f32[2,16]{1,0} dynamic-slice(%all-reduce.1, %zero, %zero), dynamic_slice_sizes={2,16}
}

%start (p.1: bf16[2,16]) -> (bf16[2,16], bf16[8,16]) {
  %p.1 = bf16[2,16]{1,0} parameter(0)
  %all-gather.1 = bf16[8,16]{1,0} all-gather(%p.1), channel_id=5, replica_groups=[2,4]<=[8], dimensions={0}, frontend_attributes={chain_id="0"}
  ROOT %pair.1 = (bf16[2,16]{1,0}, bf16[8,16]{1,0}) tuple(%p.1, %all-gather.1)
}

%beside (p.2: bf16[2,16], p.3: bf16[8,16], p.4: bf16[4,16]) -> (bf16[8,4], bf16[8,16]) {
  %p.2 = bf16[2,16]{1,0} parameter(0)
  %p.3 = bf16[8,16]{1,0} parameter(1)
  %p.4 = bf16[4,16]{1,0} parameter(2)
  %all-gather.2 = bf16[8,16]{1,0} all-gather(%p.2), channel_id=5, replica_groups=[2,4]<=[8], dimensions={0}, frontend_attributes={chain_id="0"}
  %product = bf16[8,4]{1,0} convolution(%p.3, %p.4), dim_labels=bf_oi->bf
  ROOT %pair.2 = (bf16[8,4]{1,0}, bf16[8,16]{1,0}) tuple(%product, %all-gather.2)
}

ENTRY %main (x: f32[8,16], w: bf16[2,16], y: bf16[8,16], v: bf16[4,16]) -> f32[2,16] {
  %x = f32[8,16]{1,0} parameter(0)
  %w = bf16[2,16]{1,0} parameter(1)
  %y = bf16[8,16]{1,0} parameter(2)
  %v = bf16[4,16]{1,0:S(1)} parameter(3)
  %begun = (bf16[2,16]{1,0}, bf16[8,16]{1,0}) fusion(%w), kind=kCustom, calls=%start
  %done = (bf16[8,4]{1,0}, bf16[8,16]{1,0}) fusion(%w, %y, %v), kind=kOutput, calls=%beside
  ROOT %reduced = f32[2,16]{1,0} fusion(%x), kind=kCustom, calls=%all-reduce-scatter
}
"""


@pytest.fixture(scope="module")
def found():
    return {one.kind: one for one in collectives.find(hlo.parse(PROGRAM), MESH)}


def test_a_sliced_all_reduce_is_a_reduce_scatter(found):
    one = found["reduce-scatter"]
    assert (one.axes, one.payload, one.sent) == (("fsdp",), 8 * 16 * 4, 8 * 16 * 4 * 3 / 4)
    assert not one.overlaps


def test_the_pieces_of_a_collective_beside_products_are_one(found):
    one = found["all-gather"]
    assert len(found) == 2
    assert (one.payload, one.runs, one.overlaps) == (8 * 16 * 2, 1, True)


BETWEEN = """
ENTRY %main (x: f32[640,8]) -> f32[640,8] {
  %x = f32[640,8]{1,0} parameter(0)
  %after = token[] after-all()
  %send.1 = (f32[640,8]{1,0}, u32[], token[]) send(%x, %after), channel_id=2, is_host_transfer=true, frontend_attributes={_xla_host_transfer_rendezvous="all-reduce.1_0",_xla_megascale_target="{1,2}x{0:3}",_xla_megascale_transfer_type="ALL_REDUCE"}
  %recv.1 = (f32[640,8]{1,0}, u32[], token[]) recv(%after), channel_id=1, is_host_transfer=true, frontend_attributes={_xla_host_transfer_rendezvous="all-reduce.1_0",_xla_megascale_target="{1,2}x{0:3}",_xla_megascale_transfer_type="ALL_REDUCE"}
  %done = token[] send-done(%send.1), channel_id=2
  %received = (f32[640,8]{1,0}, token[]) recv-done(%recv.1), channel_id=1
  ROOT %sum = f32[640,8]{1,0} get-tuple-element(%received), index=0
}
"""


def test_transfers_between_slices_are_collectives():
    module = hlo.parse(BETWEEN)
    (one,) = collectives.find(module, MESH, slices=2)
    assert (one.kind, one.axes, one.runs) == ("all-reduce", ("data",), 1)
    assert one.groups.tolist() == [[0, 4], [1, 5], [2, 6], [3, 7]]
    assert one.sent == one.payload == 640 * 8 * 4  # half of it out, the sum of the other half out
    assert work.hbm_bytes(module) == 2 * 640 * 8 * 4  # read once, written once


def instruction(line, *operands):
    """One instruction in a computation of its own, after its operands."""
    text = "\n".join(["ENTRY %main () -> f32[] {", *operands, f"  ROOT {line}", "}"])
    computation = hlo.parse(text).computations["main"]
    return next(i for i in computation.values() if i.root), computation


def test_a_product_written_as_a_convolution():
    one = instruction(
        "%c = f32[4,16]{1,0} convolution(%x, %w), dim_labels=bf_io->bf",
        "  %x = f32[4,8]{1,0} parameter(0)",
        "  %w = f32[8,16]{1,0} parameter(1)",
    )
    assert work.instruction_flops(*one) == 2 * 4 * 8 * 16


def test_the_padding_of_a_convolution_is_no_work():
    """Three matrices side by side, as one convolution of three taps over a padded place."""
    one = instruction(
        "%c = f32[3,4,16]{2,1,0} convolution(%x, %w), window={size=3 pad=2_2 rhs_reversal=1}, "
        "dim_labels=0bf_0io->0bf",
        "  %x = f32[1,4,8]{2,1,0} parameter(0)",
        "  %w = f32[3,8,16]{2,1,0} parameter(1)",
    )
    assert work.instruction_flops(*one) == 3 * 2 * 4 * 8 * 16


@pytest.mark.parametrize(
    ("kernel", "products"),
    [
        ("splash_mha_fwd_residuals.3", 2),
        ("splash_mha_dq_no_residuals.1", 3),
        ("splash_mha_dkv.1", 4),
    ],
)
def test_the_attention_kernel_counts_unmasked_blocks(kernel, products):
    one = instruction(
        f"%{kernel} = bf16[2,5,512,128]{{3,2,1,0}} custom-call(%mask, %q), "
        'custom_call_target="tpu_custom_call"',
        "  %mask = s8[1,4,4]{2,1,0} parameter(0)",
        "  %q = bf16[2,5,512,128]{3,2,1,0} parameter(1)",
    )
    whole = 2 * 2 * 5 * 512 * 512 * 128
    assert work.instruction_flops(*one) == products * whole * 10 / 16


def test_one_kernel_for_all_gradients_has_five_products():
    """Two blocks of queries by four of keys: the first sees two of them, the second all."""
    one = instruction(
        "%splash_mha_dkv.1 = (f32[128,128]{1,0}, bf16[2,4,5,512,128]{4,3,2,1,0}, "
        "bf16[2,5,512,128]{3,2,1,0}, bf16[2,5,512,128]{3,2,1,0}) custom-call(%mask, %q), "
        'custom_call_target="tpu_custom_call"',
        "  %mask = s8[1,2,4]{2,1,0} parameter(0)",
        "  %q = bf16[2,5,512,128]{3,2,1,0} parameter(1)",
    )
    whole = 2 * 2 * 5 * 512 * 512 * 128
    assert work.instruction_flops(*one) == 5 * whole * 6 / 8


def test_one_row_at_once_has_no_axis_of_rows_in_the_kernel():
    one = instruction(
        "%splash_mha_dq.1 = bf16[5,512,128]{2,1,0} custom-call(%mask, %partial, %q, %lse), "
        'custom_call_target="tpu_custom_call"',
        "  %mask = s8[1,4,4]{2,1,0} parameter(0)",
        "  %partial = s8[1,1,128,128]{3,2,1,0} parameter(1)",
        "  %q = bf16[5,512,128]{2,1,0} parameter(2)",
        "  %lse = f32[5,512]{1,0} parameter(3)",
    )
    whole = 2 * 5 * 512 * 512 * 128
    assert work.instruction_flops(*one) == 3 * whole * 10 / 16


def test_what_lies_in_vmem_is_no_traffic_of_main_memory():
    one = instruction(
        "%c = f32[4,16]{1,0:S(1)} add(%x, %y)",
        "  %x = f32[4,16]{1,0} parameter(0)",
        "  %y = f32[4,16]{1,0:T(8,128)S(1)} parameter(1)",
    )
    assert work.instruction_bytes(*one, None) == 4 * 4 * 16


@pytest.mark.parametrize(
    ("source", "made", "sides"),
    [("", "", 2), ("", "S(1)", 1), ("S(1)", "", 1), ("S(1)", "S(1)", 0)],
)
@pytest.mark.parametrize("started", [False, True])
def test_a_slice_moves_only_its_own_bytes(source, made, sides, started):
    """A matrix that is brought into VMEM piece by piece is read once, not once for each piece."""
    whole, piece = f"s8[64]{{0:T(128){source}}}", f"s8[16]{{0:T(128){made}}}"
    line = f"%s = {piece} slice(%x), slice={{[0:16]}}"
    if started:
        line = f"%s = (({whole}), {piece}, s32[]{{:S(2)}}) slice-start(%x), slice={{[0:16]}}"
    one = instruction(line, f"  %x = {whole} parameter(0)")
    assert work.instruction_bytes(*one, None) == sides * 16


@pytest.mark.parametrize("target", ["AllocateBuffer", "AssumeGatherIndicesInBound"])
def test_a_place_that_is_set_aside_is_no_traffic(target):
    line = f'%c = f32[4,16]{{1,0}} custom-call(%x), custom_call_target="{target}", metadata={{}}'
    one = instruction(line, "  %x = f32[4,16]{1,0} parameter(0)")
    assert work.instruction_bytes(*one, None) == 0
    other = instruction(line.replace(target, "Other"), "  %x = f32[4,16]{1,0} parameter(0)")
    assert work.instruction_bytes(*other, None) == 2 * 4 * 4 * 16
