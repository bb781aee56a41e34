"""Which shares to train on: proxies, laws, a proposal, its check.

answer      From the runs of proxies to a proposal
components  What a mixture of a recipe is made of
cost        What a mix will take, told before anything starts
designs     What a mix will train, in one file
draws       The mixtures that are trained before anything is known
outcome     What the check's runs say of the law
pictures    The pictures of a mix's report
places      Where the second of two phases begins, as a part of a mixture
pool        What a law is fitted to: the runs of a design and compatible evidence
proposed    proposed.gin: the recipe with the proposed shares
proxies     The runs of a mix, trained by `ablate`'s machinery
question    What is asked of a proposal, by names
report      The report of a mix, from what its runs left
resized     The law asked at another size
run         `run.py mix`
scored      Scores of tasks as what is to be made better
sections    What the report says, section by section, in both forms
seed_effects  What a seed does to every mixture alike, taken out of every run
sentences   What the report says in sentences
"""
