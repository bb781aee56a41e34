"""Laws of mixtures: from the shares that runs were trained on to what any shares would give.

Plain arrays in, plain values out: no gin, no JAX, no folder. The same runs give the same bits, in
whatever order they come. Axes: R runs, K shares, M measures, Q mixtures asked for, F folds.

conformal    Intervals from held-out errors
constraints  What a proposal must keep: floors, ceilings, groups, sums, losses, nearness to a prior
differences  Intervals of an objective and of differences between mixtures
fitted       A law per measure, chosen by cross-validation, with its intervals
folds        Parts of the runs that are held out together: whole mixtures
forms        The laws by name, and what a law is
held_out     Cross-validation: every law, asked for mixtures that it wasn't fitted to; the choice
objective    What a proposal minimises
outside      How far a mixture lies from the runs
own_share    Loss as a power of the share of a measure's own components
peers        Laws that others use, for comparison: linear, exponential-linear, the mean
proposal     The shares with the smallest objective under the constraints
runs         What laws are fitted to
search       The search for the smallest objective
smooth       A Gaussian process on square roots of the shares, over what the own share leaves
"""
