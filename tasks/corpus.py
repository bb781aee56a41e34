"""A corpus of one's own: languages and pairs, one line each, and the mixtures of them.

In a recipe:

    TASKS = @corpus.register()
    corpus.register.name = "mine"
    corpus.register.monolingual = {"en": "text/en/*.jsonl.gz", "th": "text/th.txt"}
    corpus.register.bilingual = {"en-th": "pairs/en-th.tsv"}
    corpus.register.mixtures = {"mine.start": {"en": 0.7, "th": 0.2, "parallel": 0.1}}
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from math import fsum

import seqio

from polylm_jax.errors import InputError, nearest
from polylm_jax.languages import registry as languages
from polylm_jax.languages import shares as chosen_shares
from polylm_jax.runtime.ranges import NonNegative, Share
from polylm_jax.text.held_out import HELD_OUT_FRACTION
from tasks import bilingual as bilingual_tasks
from tasks import monolingual as monolingual_tasks
from tasks import registry
from tasks.sources import sizes as text_sizes
from tasks.sources import source as sources
from tasks.sources.pages import Pages

Components = dict[str, list[str]]  # language, 'code' or 'parallel' -> its tasks
_TOLERANCE = 1e-6  # how far from 1 the shares of a mixture may sum


def register(
    data_dir: str,
    vocabulary: str,
    monolingual: Mapping[str, object],
    bilingual: Mapping[str | tuple[str, str], object] | None = None,
    mixtures: Mapping[str, Mapping[str, float]] | None = None,
    name: str = "mine",
    held_out: Share = HELD_OUT_FRACTION,
    template: str = "prompt",
    both_directions: bool = True,
    cache_dir: str = "",
) -> tuple[str, ...]:
    """Registers a corpus and returns the names of its tasks. Files are looked for later.

    Args:
        data_dir: what relative paths are under; local or gs://.
        vocabulary: the path of a SentencePiece model; it's opened when a task is first used.
        monolingual: language (or 'code') -> source, which becomes the task `name.th`. A second
            source of a language is "th.news": the task `name.news.th`.
        bilingual: 'en-th' or ('en', 'th') -> source, which becomes the tasks `name.en_th` and
            `name.th_en`; a second source of a pair is "en-th.opus".
        mixtures: name of a SeqIO mixture -> shares of tokens, which sum to 1, by language,
            'code', 'parallel' or task. A share of several tasks is divided between them by the
            bytes of their sources, equally between the two directions of a pair.
        name: what the corpus is called.
        held_out: the fraction of documents and pairs kept for validation.
        template: how pairs are written; see `preprocessors.Pair`.
        both_directions: False writes a pair 'en-th' only from English to Thai.
        cache_dir: the folder of the token stores, which know the sizes of text that is gone.

    A source is a path, a glob, a list of them, or a dict of `format`, `paths` and the options of
    its format (tasks.sources.text_formats); for a pair also {'en': path, 'th': path}, two aligned files.
    """
    components: Components = {}
    for key, source in monolingual.items():
        language, label = _labelled(str(key), name)
        task = monolingual_tasks.add(label, language, source, vocabulary, data_dir, held_out)
        components.setdefault(monolingual_tasks.component(language), []).append(task)
    for sides, source in (bilingual or {}).items():
        pair, label = _labelled(sides if isinstance(sides, str) else "-".join(sides), name)
        both = bilingual_tasks.add(
            label, pair, source, vocabulary, data_dir, held_out,
            template=template,
            both_directions=both_directions,
            pages=_pages(pair, source, monolingual, data_dir),
        )  # fmt: skip
        components.setdefault(languages.PARALLEL, []).extend(both)
    for mixture, shares in (mixtures or {}).items():
        shared = rates(components, shares, f"mixtures[{mixture!r}]", cache_dir)
        registry.add_mixture(mixture, shared)
        chosen_shares.keep(mixture, shares)
    if mixtures:
        _tell_unused(components, mixtures)
    return tuple(task for tasks in components.values() for task in tasks)


def _tell_unused(components: Components, mixtures: Mapping[str, Mapping[str, float]]) -> None:
    """Says, on standard error, which components no mixture names: no run will be trained on them."""
    named = {name for given in mixtures.values() for name in given}
    for component, tasks in components.items():
        left = [task for task in tasks if component not in named and task not in named]
        if left:
            print(
                f"{component!r} ({', '.join(left)}) has no share in {' or '.join(mixtures)}, so it is "
                f"never trained on: add {component!r} to the shares, or give it 0.",
                file=sys.stderr,
            )


def rates(
    components: Components, shares: Mapping[str, float], field: str, cache_dir: str = ""
) -> dict[str, object]:
    """Task -> rate of a mixture, from shares by component or task.

    Where a share is divided by size the rate is a function of the task, as SeqIO takes it, so
    that registering needs no file.
    """
    check_shares(shares, field)
    tasks = [task for tasks in components.values() for task in tasks]
    result: dict[str, object] = {}
    for key, share in shares.items():
        if key in components:
            members = tuple(components[key])
        elif key in tasks:
            members = (key,)
        else:
            known = (*components, *tasks)
            raise InputError(
                f"{field}: {key!r} has no text.{nearest(key, known)} "
                f"Give a source for it, or shares of {', '.join(known)} only."
            )
        for task in members:
            if task in result:
                raise InputError(
                    f"{field}: {task!r} gets two shares; give the tasks of a component each its "
                    "own, or the component one."
                )
            result[task] = share if len(members) == 1 else SizeShare(share, members, cache_dir)
    return {task: rate for task, rate in result.items() if rate != 0}


@dataclass(frozen=True)
class SizeShare:
    """A rate for SeqIO: a share divided among tasks by the bytes of their sources.

    Compressed files count as they lie there, and filters don't count. Tasks that read the same
    source (the two directions of a pair) count half each, and for those alone no file is needed.
    Files that are gone count as the stores in `cache_dir` recorded them.
    """

    share: float
    tasks: tuple[str, ...]
    cache_dir: str = ""

    def __call__(self, task: seqio.Task) -> float:
        read = {name: seqio.TaskRegistry.get(name).source for name in self.tasks}
        if all(other.definition() == task.source.definition() for other in read.values()):
            return self.share / len(self.tasks)
        sizes = {n: text_sizes.size(source, n, self.cache_dir) for n, source in read.items()}
        return self.share * sizes[task.name] / sum(sizes.values())


def shares(
    counts: Mapping[str, NonNegative],
    non_english: Share,
    alpha: NonNegative = 0.5,
    parallel: Share = 0.0,
    code: Share = 0.0,
) -> chosen_shares.Shares:
    """Shares of a mixture with a given share of text that isn't English.

    The other languages divide non_english - parallel between them by counts**alpha, English gets
    what is left; as the paper counts, parallel text isn't English and code is below the line.

    >>> shares({"en": 400, "th": 1, "ko": 4}, non_english=0.6, alpha=0.5, parallel=0.06)
    {'en': 0.4, 'th': 0.18, 'ko': 0.36, 'parallel': 0.06}

    Args:
        counts: tokens, bytes or documents of each language; `en` and code may be left out.
        non_english: the share of languages other than English, parallel text included.
        alpha: 1 keeps the proportions of the counts, 0 makes all equal.
        parallel, code: shares of those components.
    """
    others = {x: count for x, count in counts.items() if x not in ("en", languages.CODE)}
    english = 1 - non_english - code
    rest = non_english - parallel
    if min(english, rest, parallel, code) < 0:
        raise InputError(
            f"shares: non_english {non_english}, parallel {parallel} and code {code} don't fit: "
            "parallel is a part of non_english, and non_english and code are at most 1 together."
        )
    spread = languages.temperature(others, alpha)
    result = {"en": english, **{x: rest * share for x, share in spread.items()}}
    result |= {languages.PARALLEL: parallel, languages.CODE: code}
    rounded = {component: round(share, 12) for component, share in result.items() if share}
    head = f"{non_english:.3%} not English, of it {parallel:.3%} parallel, and {code:.3%} code"
    return chosen_shares.Shares(rounded, f"{head}; the others by {spread.how}")


def sizes(
    data_dir: str, monolingual: Mapping[str, object], cache_dir: str = "", name: str = "mine"
) -> dict[str, float]:
    """Bytes of each language's sources, as `counts` of `shares`; looks at the files.

    Where they are gone, the complete stores in `cache_dir` say them; `name` is `register`'s.
    """
    total: dict[str, float] = {}
    for key, source in monolingual.items():
        language, label = _labelled(str(key), name)
        language = monolingual_tasks.component(language)
        found = sources.read(source, {"text": "text"}, data_dir)
        size = text_sizes.size(found, f"{label}.{language}", cache_dir)
        total[language] = total.get(language, 0.0) + size
    return total


def check_shares(given: Mapping[str, float], field: str) -> None:
    """Raises InputError for shares that are negative or don't sum to 1."""
    for key, share in given.items():
        if not 0 <= share <= 1:
            raise InputError(f"{field}: the share of {key!r} is {share}; give 0 to 1.")
    total = fsum(given.values())
    if abs(total - 1) > _TOLERANCE:
        raise InputError(f"{field}: the shares sum to {total:.6g}; change them to sum to 1.")


def _labelled(key: str, name: str) -> tuple[str, str]:
    """('th', 'mine') of the key 'th', ('th', 'mine.news') of the key 'th.news'."""
    language, _, label = key.partition(".")
    return language, f"{name}.{label}" if label else name


def _pages(
    pair: str, source: object, monolingual: Mapping[str, object], data_dir: str
) -> Pages | None:
    """The pages on which to look up pairs whose Indonesian took the place of their `id`.

    In {"id": "7", "en": "Hello.", "id": "Halo."} JSON keeps the second: Indonesian's trouble alone.
    """
    if not bilingual_tasks.id_is_displaced(pair, source, data_dir):
        return None
    sides = [monolingual_tasks.component(code) for code in bilingual_tasks.sides(pair)]
    readers = [
        sources.read(pages, {"text": "text"}, data_dir).reader
        for key, pages in monolingual.items()
        if monolingual_tasks.component(_labelled(str(key), "")[0]) in sides
    ]
    return Pages(tuple(readers)) if readers else None
