"""The loop waits for nothing but the metrics of the step before, and the run is written down by then."""

import jax
import toy_run

from polylm_jax.training import metrics, programs

pytest_plugins = ["toy_fixture"]

STEPS = 12
SHORT = {"phases": toy_run.halves(STEPS)}


def crash(*args):
    raise AssertionError("the loop waited for the devices")


def test_one_fetch_between_two_dispatches(
    toy_folder,
    tmp_path,
    monkeypatch,
):
    order, getting = [], []
    real_fetch, real_get = metrics.fetch, jax.device_get
    real_compile = programs.Programs.compile_step
    array = type(jax.numpy.zeros(()))
    real_value = array._value

    class Compiled:
        """The train step, telling when it is called."""

        def __init__(self, compiled):
            self._compiled = compiled

        def __call__(self, state, rate, tokens, component):
            assert (tmp_path / "config.gin").exists()
            order.append("dispatch")
            return self._compiled(state, rate, tokens, component)

    def get(x):
        order.append("get")
        getting.append(x)
        try:
            return real_get(x)
        finally:
            getting.pop()

    def value(x):
        """What `float`, `np.asarray` and printing ask of an array, too: they wait for it."""
        if not getting:
            order.append("read")
        return real_value.fget(x)

    monkeypatch.setattr(
        programs.Programs, "compile_step", lambda p, size: Compiled(real_compile(p, size))
    )
    monkeypatch.setattr(metrics, "fetch", lambda m: order.append("fetch") or real_fetch(m))
    monkeypatch.setattr(jax, "device_get", get)
    monkeypatch.setattr(array, "_value", property(value))
    monkeypatch.setattr(jax, "block_until_ready", crash)
    toy_run.run(toy_folder, tmp_path, SHORT, save_every_steps=100, recipe="SEED = 0")
    ahead = ["dispatch"] + ["dispatch", "fetch", "get"] * (STEPS - 1) + ["fetch", "get"]
    first = order.index("dispatch")
    assert order[first : first + len(ahead)] == ahead  # after them the last step is saved
