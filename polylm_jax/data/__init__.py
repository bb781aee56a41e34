"""From token stores to batches on the devices.

batches      Batches of a run's rows that wait on the devices before a step asks for them
mixture/     Which component each row of a run comes from, and how many tokens of what that makes
packed_rows  Rows of whole conversations: which example stands where, and what of it is learned
packing      Examples of any length into rows of one
permutation  A keyed permutation of row numbers
preference_rows  Rows of pairs, a chosen and a rejected answer each
rows         Rows of a run by their numbers
stores/      A task's tokens on disk
"""

from polylm_jax.runtime import names

names.hand_on(__name__, cache="stores.cache")
