"""Scores of tasks as what is to be made better: asked of the recipe before anything is trained."""

import re

from polylm_jax.ablation import records
from polylm_jax.ablation.mixing.proxies import MixProxy
from polylm_jax.ablation.mixing.question import MixQuestion
from polylm_jax.ablation.plans import EXPERIMENTS, Reconfigured
from polylm_jax.errors import InputError, nearest
from polylm_jax.text import registrations

EVALUATED = "polylm_jax.evaluation.TrainingTasks"
_LINE = re.compile(r"\btrain\.evaluation = *\\?\s*(\S+)")  # of a resolved config


def check(asked: MixQuestion, proxy: MixProxy, reconfigured: Reconfigured) -> None:
    """InputError where OBJECTIVE = 'scores' counts a task that the recipe doesn't evaluate."""
    if not asked.scores:
        return
    with registrations.for_a_time():
        _, text = reconfigured(proxy.lines, EXPERIMENTS["train"])
        found = _LINE.search(text)
        if found is None or found[1] == "None":
            raise InputError(
                "OBJECTIVE = 'scores', and the recipe evaluates no task: give it "
                "training.train.evaluation = @evaluation.TrainingTasks() and EVALUATION_TASKS."
            )
        if "/" in found[1]:  # in a scope of the recipe's own: said when the first runs are done
            return
        evaluation, _ = reconfigured(proxy.lines, EVALUATED)
        known = _tasks(evaluation.check().tasks)
    for name in asked.scores:
        task = records.task_of(name)
        if task not in known:
            raise InputError(
                f"MIX_WEIGHTS names {name!r}, a measure that no run has: the recipe evaluates "
                f"{', '.join(known)}; write 'evaluation/TASK/METRIC'.{nearest(task or name, known)}"
            )


def _tasks(names) -> tuple[str, ...]:
    from polylm_jax.text import mixtures  # brings SeqIO, 5 s, which only a mix of scores needs

    return mixtures.tasks_of(names)
