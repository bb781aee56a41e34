"""A recipe planned without its hardware: memory, work, traffic, time, money.

candidates      Which settings of a step a search compiles
chips           TPU generations: what the maker publishes of a chip
collectives     The collectives of a compiled step
compilation     A step compiled for a TPU slice that isn't there, by libtpu's own compiler
cycles          An expected time of a step
hlo             Optimized HLO as text -> its computations, and how often each one runs in a step
money           What a run takes at a given share of the hardware's peak
plan            `run.py plan`: a recipe's step compiled for its TPU slice without the TPU
plan_view       The plan of a step as tables in the terminal
replica_groups  Which devices a collective joins, from the ways in which HLO writes it
report          The plan of one step as nested names and numbers, from what the compiler made of it
roofline        An estimate of a step's time: each of its parts at the chip's published peak
work            What one device does in a compiled step
"""
