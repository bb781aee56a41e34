"""The numbers of a report against numbers counted by hand."""

import flax.linen as nn
import jax
import numpy as np
import pytest

from polylm_jax.model import cost
from polylm_jax.model.config import PolyLMConfig
from polylm_jax.model.lora import Lora
from polylm_jax.model.network import PolyLM
from polylm_jax.training import metrics


def step(nats, weight, **changes):
    values = {
        "loss": np.sum(nats) / np.sum(weight),
        "component_nats": np.array(nats, np.float32),
        "component_weight": np.array(weight, np.float32),
        "component_rows": np.ones(len(weight), np.int32),
        "z_loss": np.float32(0),
        "grad_norm": np.float32(2.0),
        "param_norm": np.float32(3.0),
        "learning_rate": np.float32(0.5),
    }
    return values | changes


def window(languages, flops=None):
    return metrics.Window(languages, 10.0, flops)


def test_loss_is_over_tokens_pooled_by_language():
    report = window(["th", "code", "th", "en-th"])
    report.add(1, step([2.0, 3.0, 10.0, 0.0], [1, 2, 4, 0]))
    report.add(2, step([1.0, 0.0, 0.0, 0.0], [1, 0, 0, 0], grad_norm=np.float32(4.0)))
    line = report.report()
    assert line["loss"] == pytest.approx(16 / 8)
    assert line["loss_by_language"] == pytest.approx({"th": 13 / 6, "code": 1.5})
    assert (line["grad_norm"], line["grad_norm_max"]) == (3.0, 4.0)
    assert line["learning_rate"] == 0.5


def test_a_report_begins_where_the_last_one_ended():
    report = window(["en"])
    report.add(1, step([5.0], [1]))
    report.report()
    report.add(2, step([2.0], [2]))
    assert report.report()["loss"] == pytest.approx(1.0)


def test_step_time_leaves_out_validation_and_saves(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(metrics.time, "perf_counter", lambda: now[0])
    report = window(["en"], flops=1000.0)
    for what, seconds in (("data", 1.0), ("checkpoint", 3.0), ("validation", 4.0)):
        with report.spending(what):
            now[0] += seconds
    now[0] += 1.0
    report.add(1, step([1.0], [40]))
    line = report.report()
    assert line["tokens_per_second"] == pytest.approx(40 / 2.0)
    assert line["mfu"] == pytest.approx(20 * 10.0 / 1000.0)
    assert line["seconds"] == pytest.approx(
        {"all": 9.0, "data": 1.0, "checkpoint": 3.0, "validation": 4.0}
    )


@pytest.mark.parametrize("field", ["loss", "grad_norm"])
def test_a_run_that_diverged_stops(field):
    with pytest.raises(FloatingPointError, match="step 7"):
        window(["en"]).add(7, step([1.0], [1], **{field: np.float32("nan")}))


def test_flops_per_token_counted_product_by_product():
    model = PolyLMConfig(
        num_layers=3, embed_dim=8, num_heads=2, mlp_dim=32, vocab_size=50, max_length=16
    )
    D, F, V, L = 8, 32, 50, 16
    products = 3 * (3 * D * D + D * D + 2 * D * F) + V * D  # multiplications a token, forward
    attention = 3 * sum(2 * D * (t + 1) for t in range(L)) / L  # keys up to one's own place
    small = 3 * (3 * D + D + F + D + 4 * D) + 2 * D  # biases and norms, counted as parameters
    expected = 3 * 2 * (products + attention + small)
    assert cost.flops_per_token(model, L) == pytest.approx(expected, rel=0.01)


def test_a_frozen_parameter_costs_two_thirds():
    """Forward, and the gradient that goes on to the layers below; none of its own."""
    model = PolyLMConfig(
        num_layers=3, embed_dim=8, num_heads=2, mlp_dim=32, vocab_size=50, max_length=16
    )
    lora = Lora(ranks={"attn.c_attn": 2, "mlp.c_proj": 3})
    base = jax.eval_shape(
        lambda: PolyLM(model).init(jax.random.key(0), np.zeros((1, 1), np.int32))["params"]
    )
    adapters = sum(x.size for x in jax.tree.leaves(nn.unbox(lora.boxed(base))))
    assert lora.num_params(model) == adapters
    whole, L = cost.flops_per_token(model, 16), 16
    attention = 6 * 3 * 8 * L
    trained = cost.flops_per_token(model, L, adapters)
    assert trained == pytest.approx((whole - attention) * 4 / 6 + 6 * adapters + attention)


@pytest.mark.parametrize(
    ("kind", "tflops"),
    [("TPU v5 lite", 197), ("TPU v5p", 459), ("TPU v4", 275), ("NVIDIA H200", 989), ("cpu", None)],
)
def test_peaks(kind, tflops):
    assert metrics.peak_flops(kind) == (tflops and tflops * 1e12)
