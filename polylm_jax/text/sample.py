"""A sample of text per language, drawn from tasks before tokenization: large languages flattened, small ones whole.

The same sample comes out whatever order the text is read in: each passage has a pseudo-random
number, a function of the seed, its task, its unit and its place there, and a pool keeps those with
the least numbers. So one pass is enough, and memory holds `characters_per_language`, not the corpus.
"""

import collections
import dataclasses
import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import seqio

from polylm_jax.errors import InputError
from polylm_jax.languages.registry import temperature
from polylm_jax.runtime.ranges import Count, Natural, NonNegative, Positive
from polylm_jax.text import task_text

PASSAGE = 10_000  # characters; longer documents are cut at line ends, or one book would be a sample
SPLITS = ("train", "validation")
MEASURED = 200_000  # characters of held-out text kept per language: its bytes per token to 1 %
_GAMMA, _MIX1, _MIX2 = (
    np.uint64(x) for x in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)

Progress = Callable[[str, int, int, int], None]


class Pool:
    """The first `capacity` characters of a stream of passages, in the order of their priorities."""

    def __init__(self, capacity: int):
        self.characters = 0  # of all that was added
        self._capacity = capacity
        self._kept: list[tuple[int, str]] = []
        self._held = 0
        self._bound = 1 << 64

    def add(self, priority: int, text: str) -> None:
        self.characters += len(text)
        if priority >= self._bound:
            return
        self._kept.append((priority, text[: self._capacity]))
        self._held += min(len(text), self._capacity)
        if self._held >= 2 * self._capacity:
            self._kept = _first(self._kept, self._capacity)
            self._held = self._capacity
            self._bound = self._kept[-1][0]

    def take(self, characters: int) -> list[str]:
        """Passages of so many characters in all (fewer where there are no more), the last one cut."""
        return [text for _, text in _first(self._kept, min(characters, self._capacity))]


def _first(kept: list[tuple[int, str]], characters: int) -> list[tuple[int, str]]:
    chosen = []
    for priority, text in sorted(kept):
        if characters <= 0:
            break
        chosen.append((priority, text[:characters]))
        characters -= len(text)
    return chosen


def head(texts: Sequence[str], characters: int = MEASURED) -> list[str]:
    """The first texts, of `characters` in all, the last one cut."""
    return [text for _, text in _first([*enumerate(texts)], characters)]


def priorities(key: int, start: int, count: int) -> list[int]:
    """Pseudo-random 64-bit numbers of the places start, start + 1, ... (SplitMix64 from `key`)."""
    x = np.arange(start + 1, start + count + 1, dtype=np.uint64) * _GAMMA + np.uint64(key)
    x = (x ^ (x >> np.uint64(30))) * _MIX1
    x = (x ^ (x >> np.uint64(27))) * _MIX2
    return (x ^ (x >> np.uint64(31))).tolist()


def passages(text: str, limit: int = PASSAGE) -> Iterator[str]:
    """`text` cut into groups of whole lines of at most `limit` characters; a longer line is one.

    >>> list(passages("a b\\nc d\\nef", limit=8))
    ['a b\\nc d\\n', 'ef']
    """
    start = 0
    while len(text) - start > limit:
        stop = text.rfind("\n", start, start + limit) + 1
        if stop <= start:
            stop = text.find("\n", start + limit) + 1 or len(text)
        yield text[start:stop]
        start = stop
    if start < len(text):
        yield text[start:]


@dataclasses.dataclass
class Pools:
    """The text of one language: what may be trained on, and what is held out."""

    train: Pool
    held_out: Pool
    estimated: float = 0.0  # characters to train on, also those in units that weren't read


@dataclasses.dataclass(frozen=True)
class Sample:
    """Text of one language. `available` estimates the characters that the tasks hold of it."""

    available: int
    train: list[str]
    held_out: list[str]


@dataclasses.dataclass(frozen=True)
class SampleSettings:
    """How much of each language is drawn.

    alpha: a language's share of the sample is its characters to this power (XLM-R's 0.3): 1 keeps
    the languages' shares, 0 makes them equal.
    characters: of the whole sample, at most.
    characters_per_language: of one language's part of it, at most.
    max_repeats: how often a small language's text may stand in the sample, to reach its share.
    read_characters: of a task, after which no further unit of it is read; units are taken in an order
    of the seed's, and a task's size is then estimated from those that were read.
    seed: another one draws another sample.
    """

    alpha: NonNegative = 0.3
    characters: Count = 500_000_000
    characters_per_language: Count = 100_000_000
    max_repeats: Positive = 10.0
    read_characters: Count = 1_000_000_000
    seed: Natural = 0


def draw(tasks: Sequence[str], how: SampleSettings, progress: Progress) -> dict[str, Sample]:
    """Samples of the text of `tasks`, by language, in alphabetical order.

    The sample is no larger than the text there is: large languages are thinned out, small ones
    repeated. What a language lacks of its share at `max_repeats`, the others get. Aligned pairs count
    for the language of each side, and only for languages of which no other task has text:
    monolingual corpora hold most pairs already, and both directions hold each of them.

    Args:
      tasks: names in SeqIO's registry.
      progress: called with a task's name, the units of it that are read, how many there are, and
        the characters read since the last call.

    Raises:
      InputError: a task isn't registered, or none has text to train on.
    """
    most = how.characters_per_language
    pools: dict[tuple[str, bool], Pools] = collections.defaultdict(
        lambda: Pools(Pool(min(how.characters, most)), Pool(MEASURED))
    )
    for name in tasks:
        _read_task(task_text.find(name), how.read_characters, how.seed, pools, progress)
    chosen = {
        language: pools[language, is_pair]
        for language, is_pair in sorted(pools, reverse=True)  # monolingual text overwrites pairs
        if pools[language, is_pair].train.characters
    }
    if not chosen:
        raise InputError(f"tasks = {tuple(tasks)!r} have no text to train on: check their files.")
    held = {language: found.train.characters for language, found in sorted(chosen.items())}
    limits = {language: min(int(n * how.max_repeats), most) for language, n in held.items()}
    sizes = {language: chosen[language].estimated for language in limits}
    shared = quotas(sizes, limits, how.alpha, min(how.characters, sum(held.values())))
    return {
        language: Sample(
            available=round(sizes[language]),
            train=_repeated(chosen[language].train.take(quota), quota),
            held_out=chosen[language].held_out.take(MEASURED),
        )
        for language, quota in shared.items()
    }


def _repeated(texts: list[str], characters: int) -> list[str]:
    """`texts` again and again, up to `characters`."""
    times = -(-characters // sum(map(len, texts)))
    return head(texts * times, characters)


def _read_task(
    task: seqio.Task,
    limit: int,
    seed: int,
    pools: Mapping[tuple[str, bool], Pools],
    progress: Progress,
) -> None:
    """Adds the task's text to the pools, unit by unit in an order of the seed's, up to `limit`."""
    units = [unit for unit in task_text.units(task) if unit.split in ("all", *SPLITS)]
    keys = {unit: _key(seed, task.name, unit.split, unit.shard) for unit in units}
    found: collections.Counter[tuple[str, bool]] = collections.Counter()
    read = done = 0
    for unit in sorted(units, key=keys.__getitem__):
        if read >= limit:
            break
        start = 0
        for batch in task_text.text_batches(task, unit):
            texts = list(_texts(batch))
            of_batch = 0
            for priority, (key, split, text) in zip(
                priorities(keys[unit], start, len(texts)), texts, strict=True
            ):
                pool = pools[key].train if split == "train" else pools[key].held_out
                pool.add(priority, text)
                found[key] += len(text) * (split == "train")
                of_batch += len(text)
            start += len(texts)
            read += of_batch
            progress(task.name, done, len(units), of_batch)
        done += 1
        progress(task.name, done, len(units), 0)
    for key, characters in found.items():
        pools[key].estimated += characters * len(units) / done


def _key(seed: int, *place: str | int) -> int:
    name = "/".join(map(str, (seed, *place)))
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")


def _texts(batch: task_text.Batch) -> Iterator[tuple[tuple[str, bool], str, str]]:
    """Passages as ((language, whether it's a side of a pair), split, text).

    The sides of a pair are its text without what the template wrote around them.
    """
    for number, (text, split) in enumerate(zip(batch["targets"], batch["split"], strict=True)):
        if split not in SPLITS:
            continue
        if "side_languages" not in batch:
            key = (batch["language"][number], False)
            yield from ((key, split, passage) for passage in passages(text))
            continue
        data, start = text.encode(), 0
        sides = zip(batch["side_languages"][number], batch["side_bytes"][number], strict=True)
        for language, size in sides:
            if language:
                yield (language, True), split, data[start : start + size].decode()
            start += size


def quotas(
    sizes: Mapping[str, float], limits: Mapping[str, int], alpha: float, total: int
) -> dict[str, int]:
    """Characters per language: proportional to sizes**alpha, none above its limit, `total` in all.

    >>> quotas({"en": 1e6, "th": 1e4, "he": 1e2}, {"en": 10**6, "th": 10**4, "he": 100}, 0.5, 5045)
    {'en': 4545, 'th': 454, 'he': 45}
    """
    shares = temperature(sizes, alpha)
    full: set[str] = set()
    while True:
        left = total - sum(limits[language] for language in full)
        weight = math.fsum(shares[language] for language in shares if language not in full)
        wanted = {
            language: limits[language] if language in full else left * shares[language] / weight
            for language in shares
        }
        reached = {language for language in wanted if wanted[language] >= limits[language]}
        if reached == full:
            return {language: int(wanted[language]) for language in shares}
        full = reached
