"""The same network, rows and curriculum under t5x's own train, eval and infer.

curriculum  The curriculum as a SeqIO mixture
model       PolyLM for t5x: the network as t5x calls it, its loss without logits, AdamW
rows        The rows of a run as t5x's training data
"""

from polylm_jax.runtime import names

names.hand_on(
    __name__,
    Model="model",
    Network="model",
    axis_rules="model",
    learning_rate="model",
    optimizer="model",
    registered="model",
    total_steps="model",
    register="curriculum",
    curriculum_dataset="curriculum",
    rows_dataset="rows",
)
