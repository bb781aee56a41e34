"""What a user did wrong, said in one sentence: the field, the value and the remedy; exit codes.

What ends with 0, 2, 3 or 4 ends the same way when it is started again; the other codes are worth a
new start (scripts/keep_running.sh, scripts/gke_job.yaml).
"""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Bad input from the user. `run.py` prints the sentence and exits with code 2."""

    exit_code = 2


class Diverged(FloatingPointError):
    """Training left the numbers: the same steps would do so again. `run.py` exits with code 3."""

    exit_code = 3


class CorruptReplica(RuntimeError):
    """Devices hold different values of what are copies of one array. `run.py` exits with code 4."""

    exit_code = 4


LEFT = 143  # exit code: told to leave (SIGTERM), and all that was done is saved
LEFT_UNSAVED = 75  # told to leave, and what was done since the newest checkpoint is lost


def exit_code(error: BaseException) -> int:
    """What a process that ends by an error ends with; 1 for what may go better the next time."""
    return getattr(error, "exit_code", 1)


class Refusal(str):
    """Why a rule of a source left a record out: counted apart from what can't be read."""


class Unread(str):
    """Fields of a record that is read whose content is not used, by name: counted, and nothing is left out."""


def one_of(field: str, value: str, known: Iterable[str]) -> str:
    """The value, if it is one of the known names; InputError with the nearest that is."""
    names = [*known]
    if value not in names:
        listed = ", ".join(map(str, names))
        raise InputError(f"{field} = {value!r} is not one of {listed}.{nearest(value, names)}")
    return value


def nearest(name: str, names: Iterable[str]) -> str:
    """A sentence to append, " Did you mean 'x'?", for the closest of `names`; "" when none is close."""
    close = difflib.get_close_matches(str(name), [str(n) for n in names], n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else ""
