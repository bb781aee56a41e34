"""Updates that a step left out because its loss or gradients were no numbers: told, and not too many."""

from collections.abc import Mapping

import numpy as np

from polylm_jax.errors import Diverged


class Skipped:
    """Counts them. most: so many in a row end the run."""

    def __init__(self, most: int):
        self._most = most
        self._row = 0

    def note(self, step: int, rows: range, metrics: Mapping[str, np.ndarray]) -> str:
        """A sentence where the update of a step was left out, '' where it was made.

        rows: of the run, that the step read. Diverged when it is one too many in a row.
        """
        if not metrics.get("skipped"):
            self._row = 0
            return ""
        self._row += 1
        what = f"the loss is {metrics['loss']} and the gradient norm {metrics['grad_norm']}"
        line = f"step {step}: {what}; its update is left out, rows {rows.start} to {rows.stop - 1}"
        if self._row >= self._most:
            raise Diverged(
                f"{line}, the {self._row}. in a row, and skip_non_finite = {self._most}: go on from a "
                "checkpoint well before it (--resume_step=STEP) with a lower peak learning rate, or "
                "without these rows (SKIP_ROWS)."
            )
        return line
