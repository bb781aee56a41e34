"""Code of our own: short functions in Python, shell, C, JavaScript and SQL, in many variants.

`snippets/*` hold them as they are written, with slots «thing» that take the words and numbers of
`code.toml`; so each record is a whole file that reads like one someone wrote.
"""

import random
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

FOLDER = Path(__file__).parent
SLOT = re.compile("«([a-z]+)([A-Z]*)»")


def records(count: int, seed: int) -> Iterator[dict[str, str]]:
    """`count` records {"id", "text"}, no two of them equal, equal for equal seeds."""
    words = tomllib.loads((FOLDER / "code.toml").read_text(encoding="utf-8"))
    sources = [path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("snippets/*"))]
    seen = set()
    for number in range(count):
        rng = random.Random(f"code {number} {seed}")
        while (text := _fill(sources[number % len(sources)], words, rng)) in seen:
            pass
        seen.add(text)
        yield {"id": f"code-{number:04d}", "text": text}


def _fill(source: str, words: Mapping[str, list], rng: random.Random) -> str:
    """Fills «thing» with a word, the same in the whole file; «thingC» with its capitalised form."""
    drawn: dict[str, str] = {}

    def word(match: re.Match) -> str:
        name, style = match.groups()
        if name not in drawn:
            drawn[name] = str(rng.choice([w for w in words[name] if str(w) not in drawn.values()]))
        return drawn[name].capitalize() if style else drawn[name]

    return SLOT.sub(word, source)
