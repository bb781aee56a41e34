"""Instruction data in many languages, written by a model, as MultiAlpaca was made.

answers    One answer as endpoints send it
card       The card of a pool: counts per language and round, why tasks were refused, what it cost
checks     What a task must be to come into the pool
endpoint   An endpoint that speaks OpenAI's chat protocol
headings   The headings of an answer
journal    The journal of a pool
likeness   How alike instructions are
parsing    An answer as tasks: each part a task or the reason why it is none
progress   What `self_instruct` shows while it works
prompts    What the model is asked
refusals   How models refuse, in the languages that they are asked in
rounds     The rounds: seeds into each language, then prompts of 2 seeds and 1 task of the pool
run        `run.py self_instruct`
screening  What no text may hold that a model has sent
spending   What requests cost, in requests and tokens, and the cap that no request may break
spoken     Which language a task and its output are in, as far as lingua is sure
state      What a pool knows of one language: its seeds, its tasks, and how far its rounds have come
task       A task: an instruction, an input that may be missing, and an output
transport  HTTP that can't be made to swallow more than it should
"""

from polylm_jax.runtime import names

names.hand_on(
    __name__,
    self_instruct="run",
    Endpoint="endpoint",
    Plan="rounds",
    Cap="spending",
    Limits="checks",
)
