"""Processes that train the runs of an ablation, one after another each, on a core or a chip of its own.

display      What is said of all of them: a bar each, or lines
fork_server  A process that has imported what a run needs, and is forked for each worker on a core
order        Which run a worker that has nothing to do takes next
places       What this machine has, and where each worker computes
pool         The processes: started, given runs, their replies read, asked to leave
sweep        The runs of an ablation, trained by workers
worker       A process that trains runs as they come, each as if it were alone
"""
