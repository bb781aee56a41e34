"""A run's saved state: written while training goes on, read whole or in pieces, carried to and from others.

averaging      `run.py average`: checkpoints of one run averaged into one
checkpoint     Checkpoints: saved while training goes on, committed at once, restored onto any mesh
damage         What a checkpoint says of itself, sealed
digests        Digests of arrays: what a checkpoint's numbers are, however they are laid out
hf/            Weights in and out
identity       Which parameters a checkpoint holds, told by their content
items          The arrays of one item of a checkpoint (`params`, `optimizer`, `average`)
layout         Where the checkpoints of a run lie
param_store    Parameters on disk, read and written in pieces
params_writer  Parameters from elsewhere become a checkpoint of ours, element ranges in any order
progress       What a checkpoint says of itself beside its arrays
space          Room on the disk for checkpoints, compared before it is used
t5x            Checkpoints from t5x to ours and back, bit by bit, a piece at a time
"""

from polylm_jax.runtime import names

names.hand_on(
    __name__,
    average="averaging",
    export="hf.exporting",
    import_hf="hf.importing",
    verify="hf.verifying",
    import_t5x="t5x",
    export_t5x="t5x",
)
