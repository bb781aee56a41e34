"""Which run a worker that has nothing to do takes next.

As they stand in the ablation, but for a run whose beginning another one does, now or before it: that
one comes after the others, and waits where going on from there ends sooner than starting at once. A
worker keeps to the seeds that it has had: runs of one start from the same parameters, which it has
validated then.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType

from polylm_jax.ablation import reuse
from polylm_jax.ablation.plans import Plan
from polylm_jax.ablation.variants import Run

_EVERY = re.compile(r"^\S*\.keep_every = (\S+)$", re.MULTILINE)
_AT = re.compile(r"^\S*\.keep_at = [\[(]([\d, ]*)[\])]$", re.MULTILINE)


class Order:
    """made: all plans. share: whether beginnings are shared at all.

    trunk, leaves: as for `ablate`; the trunk keeps a checkpoint where another variant leaves it.
    """

    def __init__(
        self,
        made: Mapping[Run, Plan],
        share: bool = True,
        trunk: str = "",
        leaves: Mapping[str, int] = MappingProxyType({}),
    ):
        self._made, self._share = made, share
        self._trunk, self._leaves = trunk, leaves
        self._saved: dict[tuple[Run, Run], int] = {}

    def next(
        self,
        pending: Sequence[Run],
        under_way: Collection[Run],
        done: Collection[Run],
        left: Callable[[Run], int],
    ) -> Run | None:
        """The run of `pending` to begin with; None where all had better wait for those under way.

        left: how many steps a run that is under way still has.
        """
        waiting = []
        for place, run in enumerate(pending):
            now = max((self.saved(other, run) for other in done), default=0)
            gains = {other: self.saved(other, run) - now for other in under_way}
            first = any(self.saved(other, run) > now for other in pending[:place])
            if not first and not any(gain > 0 for gain in gains.values()):
                return run
            if not first and not any(gain > left(other) for other, gain in gains.items()):
                waiting.append(run)
        return waiting[0] if waiting else None

    def saved(self, one: Run, run: Run) -> int:
        """How many steps of a run another one's checkpoints will save it."""
        if not self._share or one == run or one.seed != run.seed:
            return 0
        if (one, run) not in self._saved:
            a, b = self._made[one], self._made[run]
            shared = min(reuse.shared_steps(a, b), b.resolved.total_steps - 1)
            leaves = self._leaves.get(run.variant, 0) if one.variant == self._trunk else 0
            self._saved[one, run] = max(s for s in {0, leaves, *_kept(a)} if s <= max(shared, 0))
        return self._saved[one, run]


def by_seed(pending: Sequence[Run], own: Collection[int], others: Collection[int]) -> list[Run]:
    """For a worker: first the runs of seeds that it has had, then of those that no other has had."""
    return sorted(pending, key=lambda run: 0 if run.seed in own else 1 + (run.seed in others))


def _kept(plan: Plan) -> set[int]:
    """Steps whose checkpoints a run will have when it is done, as its recipe says."""
    total, found = plan.resolved.total_steps, {plan.resolved.total_steps}
    if every := _number(plan.text, _EVERY):
        found |= set(range(every, total, every))
    if at := _AT.search(plan.text):
        found |= {int(step) for step in at[1].split(",") if step.strip()}
    return found


def _number(text: str, pattern: re.Pattern) -> int | None:
    """A whole number in a resolved config, given as it is or by a macro."""
    found = pattern.search(text)
    if found and found[1].startswith("%"):
        found = re.search(rf"^{re.escape(found[1][1:])} = (\S+)$", text, re.MULTILINE)
    return int(found[1]) if found and found[1].isdigit() else None
