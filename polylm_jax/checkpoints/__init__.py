"""A run's saved state: written while training goes on, read whole or in pieces, carried to and from others.

checkpoint   Checkpoints: saved while training goes on, committed at once, restored onto any mesh
hf/          Weights in and out
param_store  Parameters on disk, read and written in pieces
t5x          Checkpoints from t5x to ours and back, bit by bit, a piece at a time
"""

from polylm_jax.runtime import names

names.hand_on(
    __name__,
    {
        "export": "hf.exporting",
        "import_hf": "hf.importing",
        "verify": "hf.verifying",
        "import_t5x": "t5x",
        "export_t5x": "t5x",
    },
)
