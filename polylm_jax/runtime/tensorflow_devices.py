"""TensorFlow reads text and writes TensorBoard for us; the accelerators are JAX's."""

import contextlib
import sys


def leave_gpus() -> None:
    """Hides the GPUs from TensorFlow, where it has been imported: it would take all their memory."""
    if tensorflow := sys.modules.get("tensorflow"):
        with contextlib.suppress(RuntimeError):  # it has begun to compute: what it has, it keeps
            tensorflow.config.set_visible_devices([], "GPU")
