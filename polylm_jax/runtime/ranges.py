"""Which numbers a parameter takes, said in its annotation: `steps: Count`, `share: Share | None`.

`parameter_types` holds a value against it before a mode is called. So what no mode could mean (a
negative size, NaN, 10^30 rows) is one sentence for every parameter, wherever its mode would look.
"""

import math
from typing import Annotated, NamedTuple

LARGEST = 2**63 - 1  # what a machine's integer holds


class Bounds(NamedTuple):
    """From `low` to `high`, both taken; `above`: not `low` itself; `below`: not `high`.

    Infinities and NaN never are.
    """

    low: float
    high: float = math.inf
    above: bool = False
    below: bool = False

    def take(self, value: float) -> bool:
        """Whether a number is one of these."""
        if not -LARGEST - 1 <= value <= LARGEST:  # NaN neither
            return False
        at_an_end = (self.above and value == self.low) or (self.below and value == self.high)
        return self.low <= value <= self.high and not at_an_end

    def __str__(self) -> str:
        if self.high < LARGEST:
            first = f"above {self.low:g}, up to" if self.above else f"from {self.low:g} to"
            return f"{first} {'below ' * self.below}{self.high:g}"
        if self.low <= -LARGEST:
            return "within 2^63"
        return f"above {self.low:g}" if self.above else f"{self.low:g} or more"


Count = Annotated[int, Bounds(1)]
Natural = Annotated[int, Bounds(0)]
Seed = Annotated[int, Bounds(-LARGEST - 1)]
Port = Annotated[int, Bounds(0, 65535)]
Axis = Annotated[int, Bounds(-1)]  # devices of a mesh's axis; -1: what is left
Positive = Annotated[float, Bounds(0, above=True)]
NonNegative = Annotated[float, Bounds(0)]
Share = Annotated[float, Bounds(0, 1)]
SomeShare = Annotated[float, Bounds(0, 1, above=True)]
Decay = Annotated[float, Bounds(0, 1, below=True)]  # what is kept of an average each time
Finite = Annotated[float, Bounds(-LARGEST - 1)]
