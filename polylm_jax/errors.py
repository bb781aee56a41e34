"""What a user did wrong, said in one sentence: the field, the value and the remedy."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Bad input from the user. `run.py` prints the sentence and exits with code 2."""


class Refusal(str):
    """Why a rule of a source left a record out: counted apart from what can't be read."""


class Unread(str):
    """What a record that is read has and nobody reads, by name: counted, and nothing is left out."""


def nearest(name: str, names: Iterable[str]) -> str:
    """A sentence to append, " Did you mean 'x'?", for the closest of `names`; "" when none is close."""
    close = difflib.get_close_matches(str(name), [str(n) for n in names], n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else ""
