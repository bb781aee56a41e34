"""What a checkpoint writes: texts to files, a chat, a server.

generation/  Prompts to token ids to text, sampled, greedy or by beams
serving/     A checkpoint behind OpenAI's protocol, and a page to talk in
"""

from polylm_jax.runtime import names

names.hand_on(
    __name__,
    generate="generation.generate",
    Options="generation.prompts",
    serve="serving.serve",
)
