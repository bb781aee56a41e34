"""JAX's store of keys and values that all processes of a run see: the one door to it."""

from typing import Any

from jax._src import distributed


def client() -> Any:
    """The store's client, of XLA. Of several processes each has one; a process alone has none."""
    found = distributed.global_state.client
    assert found is not None, "a process alone has no store to share"
    return found
