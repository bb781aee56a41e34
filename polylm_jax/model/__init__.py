"""What the devices compute: network, loss, optimizer, how they lie on the mesh, what they cost.

attention     Causal attention
averaging     An average of the parameters, kept beside them while they are trained
axes          Where an activation lies on the mesh
config        Shapes and numerics of a model, checked before anything is made of them
cost          What a model weighs: parameters per part and bytes per device of a training step
devices       The start of a process that computes
layers_apart  The layers of a small model computed one by one, from parameters that lie in a stack
lora          LoRA (arXiv 2106.09685)
loss          Cross entropy over a large vocabulary that never holds the logits of a batch
network       PolyLM's GPT-2: learned positions, pre-LN, tanh GELU, tied embedding, scanned layers
optimizer     AdamW as PolyLM was trained with it, and the learning rate as a function of the step
parameters    Parameters before there are any: made, or their shapes alone
partitioning  The mesh, and the one table that maps the model's axis names to it
precision     How precisely a product is computed
preference    Direct preference optimisation (arXiv 2305.18290)
projection    A matrix with a bias: its start, its precision and the precision of its gradient
splash        The TPU's attention kernel
"""

from polylm_jax.runtime import names

names.hand_on(
    __name__,
    PolyLM="network",
    PolyLMConfig="config",
    SplashBlocks="splash",
    MeshConfig="partitioning",
    OptimizerConfig="optimizer",
    Lora="lora",
    Average="averaging",
)
