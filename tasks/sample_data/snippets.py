"""Code of our own: short pieces of Python, shell, C, JavaScript, SQL, Rust and Go, in many variants.

`snippets/*` hold them as they are written, with slots «item» that take the words and numbers of
`code.toml`; so each record is a whole file that reads like one someone wrote.
"""

import random
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

FOLDER = Path(__file__).parent
SLOT = re.compile("«([a-z]+)([CU]?)»")


def records(count: int, seed: int) -> Iterator[dict[str, str]]:
    """`count` records {"id", "text"}, no two of them equal; the same for the same seed."""
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
    """«item» becomes one word, the same in the whole file; «itemC» is Item, «itemU» is ITEM."""
    drawn: dict[str, str] = {}

    def word(match: re.Match) -> str:
        name, style = match.groups()
        if name not in drawn:
            drawn[name] = str(rng.choice(words[name]))
        plain = drawn[name]
        return {"": plain, "C": plain.capitalize(), "U": plain.upper()}[style]

    return SLOT.sub(word, source)
