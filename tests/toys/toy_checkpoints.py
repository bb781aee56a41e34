"""What stands in a checkpoint, for tests that compare two."""

import numpy as np

from polylm_jax.checkpoints import param_store


def arrays(folder):
    """Name -> values of everything in an item of a checkpoint."""
    reader = param_store.Reader(str(folder))
    found = {}
    for name, shape in reader.shapes.items():
        values = np.empty(shape, reader.dtypes[name])
        for start, block in reader.blocks(name):
            stop = (s + n for s, n in zip(start, block.shape, strict=True))
            values[tuple(map(slice, start, stop))] = block
        found[name] = values
    return found
