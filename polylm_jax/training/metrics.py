"""What a run reports: loss per language, tokens a second, the share of the hardware's peak.

Shapes: C components of the mixture.
"""

import contextlib
import math
import time
from collections.abc import Iterator, Mapping, Sequence

import jax
import numpy as np

from polylm_jax.errors import Diverged

# Dense bfloat16 TFLOP/s of what JAX calls one device, from the makers' data sheets. One device is
# half a chip on v2, v3 and TPU7x. The longest name that the device's kind begins with counts.
PEAK_TFLOPS = {
    "TPU v2": 22.5,
    "TPU v3": 61.5,
    "TPU v4": 275.0,
    "TPU v4 lite": 138.0,
    "TPU v5": 459.0,
    "TPU v5 lite": 197.0,
    "TPU v5e": 197.0,
    "TPU v5p": 459.0,
    "TPU v6 lite": 918.0,
    "TPU v6e": 918.0,
    "TPU7x": 1153.5,
    "NVIDIA A100": 312.0,
    "NVIDIA H100": 989.0,
    "NVIDIA H200": 989.0,
}


def peak_flops(device_kind: str) -> float | None:
    """FLOP/s of one device, or None for a kind that the table doesn't have (a CPU)."""
    names = [name for name in PEAK_TFLOPS if device_kind.startswith(name)]
    return PEAK_TFLOPS[max(names, key=len)] * 1e12 if names else None


def fetch(device_metrics: Mapping[str, jax.Array]) -> dict[str, np.ndarray]:
    """The only place where the training loop waits for the devices."""
    return jax.device_get(device_metrics)


def window(resolved, also: Sequence[str] = ()) -> "Window":
    """The window of a run; resolved: its `experiment.Resolved`. also: its objective's own metrics."""
    experiment, schedule, languages = resolved.experiment, resolved.schedule, resolved.languages
    peak = peak_flops(jax.devices()[0].device_kind)
    return Window(
        [languages.get(name, name) for name in schedule.components],
        resolved.flops_per_token,
        peak * jax.device_count() if peak else None,
        experiment.sequence_length,
        also=("param_norm", *(["z_loss"] if experiment.z_loss else []), *also),
    )


# No step is believed, and nothing is saved after it, where one of these is not a number. The norm of
# the parameters is of the updated ones: the very state that would be saved.
GUARDED = ("loss", "grad_norm", "param_norm")


class Window:
    """Sums the steps between two reports.

    languages: the label of each component [C]; components with the same one are pooled.
    device_flops: peak FLOP/s of all devices together, None where unknown. length: tokens of a row,
    so that all of them are counted, also those that aren't learned; 0 counts the learned ones.
    also: metrics whose newest value is reported besides.
    """

    def __init__(
        self,
        languages: Sequence[str],
        flops_per_token: float,
        device_flops: float | None,
        length: int = 0,
        also: Sequence[str] = (),
    ):
        self._also = tuple(also)
        self._length = length
        self._languages = tuple(languages)
        self._flops_per_token = flops_per_token
        self._device_flops = device_flops
        self._seconds: dict[str, float] = {}
        self._start()

    @contextlib.contextmanager
    def spending(self, what: str) -> Iterator[None]:
        """Counts the time inside towards `seconds` of the next report."""
        start = time.perf_counter()
        yield
        self._seconds[what] = self._seconds.get(what, 0.0) + time.perf_counter() - start

    @property
    def unreported(self) -> dict[str, float]:
        """Seconds of `spending` since the last report."""
        return dict(self._seconds)

    def _start(self) -> None:
        self._nats = np.zeros(len(self._languages))
        self._weight = np.zeros(len(self._languages))
        self._tokens = 0.0
        self._grad_norms: list[float] = []
        self._last: Mapping[str, np.ndarray] = {}
        self._seconds.clear()
        self._since = time.perf_counter()

    def add(self, step: int, metrics: Mapping[str, np.ndarray]) -> None:
        """Takes the fetched metrics of a step; Diverged when they are not numbers."""
        seen = {name: metrics[name] for name in GUARDED if name in metrics}
        if not all(math.isfinite(value) for value in seen.values()):
            values = ", ".join(f"{name} is {value}" for name, value in seen.items())
            raise Diverged(
                f"step {step}: {values}; the same steps would do so again, so go on from a "
                "checkpoint well before it (--resume_step=STEP) with a lower peak learning rate, and "
                "keep residual_dtype = 'float32'."
            )
        self._nats += metrics["component_nats"]
        self._weight += metrics["component_weight"]
        rows = (
            metrics["component_rows"] * self._length
            if self._length
            else metrics["component_weight"]
        )
        self._tokens += float(rows.sum())
        self._grad_norms.append(float(metrics["grad_norm"]))
        self._last = metrics

    def report(self) -> dict:
        """The numbers since the last report, and starts the next one.

        Losses are nats per token; `loss_by_language` has the languages that had tokens. Tokens a
        second leave out the time for checkpoints and validation, which `seconds` tells.
        """
        elapsed = time.perf_counter() - self._since
        other = dict(self._seconds)
        busy = elapsed - other.get("checkpoint", 0.0) - other.get("validation", 0.0)
        learned = float(self._weight.sum())
        rate = self._tokens / max(busy, 1e-9)
        line = {
            "loss": float(self._nats.sum() / learned),
            "loss_by_language": self._by_language(),
            "learning_rate": float(self._last["learning_rate"]),
            "grad_norm": float(np.mean(self._grad_norms)),
            "grad_norm_max": max(self._grad_norms),
            **{name: float(self._last[name]) for name in self._also},
            "tokens_per_second": rate,
            "seconds_per_step": busy / len(self._grad_norms),
            "seconds": {"all": elapsed} | other,
        }
        if learned < self._tokens:
            line["learned_share"] = learned / self._tokens
        if self._device_flops:
            line["mfu"] = rate * self._flops_per_token / self._device_flops
        self._start()
        return line

    def _by_language(self) -> dict[str, float]:
        nats: dict[str, float] = {}
        weight: dict[str, float] = {}
        for label, component_nats, component_weight in zip(
            self._languages, self._nats, self._weight, strict=True
        ):
            nats[label] = nats.get(label, 0.0) + component_nats
            weight[label] = weight.get(label, 0.0) + component_weight
        return {label: float(nats[label] / weight[label]) for label in nats if weight[label]}
