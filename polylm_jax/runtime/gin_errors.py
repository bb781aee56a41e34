"""What gin has against a config, as one sentence with the nearest right name. Imports no gin itself."""

import contextlib
import difflib
import re
import tokenize
from collections.abc import Callable, Iterable, Iterator

from polylm_jax.errors import InputError, nearest
from polylm_jax.runtime import extras
from polylm_jax.runtime.home import home

REPO = home()
AT_FAULT = (ValueError, NameError, AttributeError, ImportError, OSError, tokenize.TokenError)


def misspelt(name: str, used: Iterable[str]) -> str | None:
    """The used name that `name` misses by a letter or two; 'stage2' is no misspelling of 'stage1'."""

    def missed(other: str) -> int:
        blocks = difflib.SequenceMatcher(None, name, other).get_matching_blocks()
        return max(len(name), len(other)) - sum(block.size for block in blocks)

    words = re.sub(r"\d", "", name)
    close = min((o for o in used if re.sub(r"\d", "", o) != words), key=missed, default="")
    return close if close and missed(close) <= min(2, len(name) // 3) else None


def explain(error: Exception, names: Callable[[], set[str]]) -> str | None:
    """One sentence for an exception of gin's parser; None where the config is not at fault."""
    message, _, place = str(error).partition("\n  In ")
    where = f" (In {place.splitlines()[0].rstrip(',')}.)" if place.startswith("file") else ""
    if isinstance(error, tokenize.TokenError | IndentationError):
        return f"Gin cannot read a file to its end: {error.args[0]}."
    if isinstance(error, SyntaxError) and not str(error.filename).endswith(".py"):
        line = (error.text or "").strip()
        reason = "" if "malformed node" in message else f"{message}; "
        return f'Gin cannot read {line!r}: {reason}a string needs quotes (in a shell: \\"text\\").'
    if not isinstance(error, AT_FAULT):
        return None
    if missing := re.match(r"Unable to open file: (.*)\. Searched", message):
        files = [str(path.relative_to(REPO)) for path in REPO.glob("gin_configs/**/*.gin")]
        hint = nearest(missing[1], [*files, *(name.partition("/")[2] for name in files)])
        return f"There is no gin file {missing[1]!r}.{hint}{where}"
    if not (words := re.findall(r"'@?([\w./]+)(?:\(\))?'|attribute (\w+)\.", message)):
        return None
    short = re.sub(r" from '[^']*'(?=>)", "", message).rstrip(".")
    return f"{short}.{_hint(max(words[-1]), names())}{where}"


def _hint(word: str, names: set[str]) -> str:
    """The name that comes nearest; of a word that is right somewhere else, the place where it is."""
    owners = {
        name[: -len(word) - 1].rpartition("/")[2] for name in names if name.endswith(f".{word}")
    }
    if not owners:
        return nearest(word, names - {word})
    owner = max(sorted(owners), key=lambda name: name.count("."))
    whole = min((name for name in names if name.endswith(f".{owner}")), key=len, default=owner)
    return f" Did you mean '{whole}.{word}'?"


@contextlib.contextmanager
def explained(prefix: str, names: Callable[[], set[str]]) -> Iterator[None]:
    """Turns what gin raises over a config into an `InputError`."""
    try:
        yield
    except Exception as error:
        if sentence := extras.missing(error):
            raise InputError(prefix + sentence) from error
        sentence = None if isinstance(error, InputError) else explain(error, names)
        if sentence is None:
            raise
        raise InputError(prefix + sentence) from error
