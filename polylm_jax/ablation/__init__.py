"""Variants of one recipe at one budget over seeds, each a run of its own; the report.

branches     Variants that leave a trunk: where each says that it does, held against what it is
claims       Claims: what is compared, from which difference on it matters
comparison   From the records of runs to what a report says
continued    Which checkpoints a finished run kept, and a run's folder made of one of them
evidence     A finished run in one record, kept for laws of mixtures
figures      The pictures of a report, narrow enough for a phone
laws/        Laws of mixtures: from the shares that runs were trained on to what any would give
forms        Both forms of a report that is made of sections: a page of HTML, and Markdown
launch       Which process trains a run of an ablation, and whether any of it is left to train
mixing/      `run.py mix`: proxies, laws, a proposal and its check
plans        What each run of an ablation will be
power        Which difference so many seeds can see, and which of many are real
records      What the logs of a run say, as far as it has come: curves, scores, tokens, cost
report       The report of an ablation, from its logs as they are
reuse        A run whose first steps another one has done goes on from there instead of doing them
run          `run.py ablate`: named variants of one recipe, at one budget, over seeds, to one report
sections     What the report says, section by section
seeds        What seeds can see, told by `inspect` before any money is spent
variants     The variants of an ablation
wording      What both forms of a report say in words
workers/     Processes that train the runs, one after another each, on a core or a chip of its own
"""

from polylm_jax.runtime import names

names.hand_on(
    __name__,
    ablate="run",
    Claim="claims",
    Seeds="seeds",
    work="workers.worker",
    begin="workers.fork_server",
    serve="workers.fork_server",
    mix="mixing.run",
    MixSizes="mixing.designs",
    MixProxy="mixing.proxies",
    MixQuestion="mixing.question",
)
