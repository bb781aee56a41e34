"""The languages: who they are, what corpora call them, and their shares of tokens in both stages.

Adding one is one line: `register(Language("sw", "Swahili", "Kiswahili", "Latn"))`. It then has
aliases, names and scripts like the paper's 18; the paper's own shares stay what they are, and
`temperature` or `unimax` give shares for a mixture of one's own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum, isfinite

from polylm_jax.errors import InputError, nearest, one_of
from polylm_jax.languages import scripts
from polylm_jax.languages.shares import BY_HAND, Shares, listed
from polylm_jax.runtime.ranges import NonNegative, Positive

CODE = "code"
PARALLEL = "parallel"


@dataclass(frozen=True)
class Language:
    """One language.

    Attributes:
        code: ISO 639-1, the project's name for it ('he').
        name: in English, as prompts write it ('Hebrew').
        native_name: in itself ('עברית').
        script: ISO 15924 ('Hebr').
        paper_tokens_b: billions of tokens in the paper's corpus (Table 2); 0 where it has none.
        aliases: other codes for it: ISO 639-3, withdrawn ones ('iw'), corpora's own ('jp').
        corpora: (corpus, names in it) where it has names of its own; see `corpus_name`.
    """

    code: str
    name: str
    native_name: str
    script: str
    paper_tokens_b: float = 0.0
    aliases: tuple[str, ...] = ()
    corpora: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def rtl(self) -> bool:
        """Whether it's written from right to left."""
        return self.script in scripts.RIGHT_TO_LEFT

    @property
    def spaces(self) -> bool:
        """Whether spaces stand between its words (Vietnamese: between its syllables)."""
        return self.script not in scripts.UNSPACED


LANGUAGES: dict[str, Language] = {}
_BY_NAME: dict[str, str] = {}  # every normalised name -> code

# Corpora that `corpus_name` knows: what each calls a language that has no name of its own there.
CORPORA: dict[str, Callable[[Language], str]] = {
    **dict.fromkeys(
        ("mc4", "cc100", "wikipedia", "opus", "wmt", "ted_multi", "xwinograd"), lambda x: x.code
    ),
    "tydiqa": lambda x: x.name.lower(),
}


def register(language: Language) -> Language:
    """Adds a language to `LANGUAGES`.

    Raises InputError when a name of it is taken by another, or its script is none of ISO 15924.
    """
    scripts.check(language.script, f"language {language.code!r}")
    names = {_normal(n) for n in (language.code, language.name, *language.aliases)}
    for corpus, used in language.corpora:
        one_of("corpus", corpus, CORPORA)
        names |= {_normal(n) for n in used}
    for name in sorted(names):
        holder = _BY_NAME.get(name)
        if holder is not None and LANGUAGES[holder] != language:
            raise InputError(
                f"language {language.code!r}: the name {name!r} already means {holder!r}; "
                "leave it out of its aliases or choose another code."
            )
    LANGUAGES[language.code] = language
    _BY_NAME.update(dict.fromkeys(names, language.code))
    return language


def find(code: str) -> Language:
    """The language of a code, an alias, an English name or a BCP-47 tag, in any case.

    >>> find("zh-Hant-TW").code, find("iw").code, find("pt_BR").code, find("German").code
    ('zh', 'he', 'pt', 'de')

    Raises InputError for an unknown code, naming the nearest, and for a pair such as 'en-th'.
    """
    name = _normal(code)
    head, _, rest = name.partition("-")
    if name in _BY_NAME:
        return LANGUAGES[_BY_NAME[name]]
    if head in _BY_NAME and not _is_pair(str(code), head, rest):
        return LANGUAGES[_BY_NAME[head]]
    if head in _BY_NAME:
        raise InputError(
            f"language {code!r} is a pair of languages: give {head!r} or {rest!r}, "
            f"or write the region in capitals ({head}-{rest.upper()})."
        )
    hint = nearest(name, _BY_NAME)
    raise InputError(
        f"language {code!r} isn't known.{hint} Known: {', '.join(LANGUAGES)}; "
        "add one with polylm_jax.languages.registry.register."
    )


def corpus_name(code: str, corpus: str) -> tuple[str, ...]:
    """What a corpus calls a language: ('he', 'mc4') -> ('iw',).

    A tuple, since one language can be several there: ('zh', 'cc100') -> ('zh-Hans', 'zh-Hant').
    """
    one_of("corpus", corpus, CORPORA)
    language = find(code)
    own = dict(language.corpora)
    return own[corpus] if corpus in own else (CORPORA[corpus](language),)


def _normal(name: str) -> str:
    return str(name).strip().replace("_", "-").casefold()


def _is_pair(written: str, head: str, rest: str) -> bool:
    """'en-th' is English with Thai; 'en-TH' (a region, so in capitals) and 'de-de' are tags."""
    in_capitals = written.strip()[-len(rest) :].isupper()
    return rest in _BY_NAME and _BY_NAME[rest] != _BY_NAME[head] and not in_capitals


_ZH_CORPORA = (("cc100", ("zh-Hans", "zh-Hant")), ("ted_multi", ("zh-cn", "zh-tw")))
_PAPER = (  # in the order and with the billions of tokens of Table 2
    Language("en", "English", "English", "Latn", 424.96, ("eng",)),
    Language("zh", "Chinese", "中文", "Hans", 139.29, ("zho", "cmn", "chi"), _ZH_CORPORA),
    Language("ru", "Russian", "русский", "Cyrl", 7.61, ("rus",)),
    Language("es", "Spanish", "español", "Latn", 5.62, ("spa",)),
    Language("de", "German", "Deutsch", "Latn", 5.56, ("deu", "ger")),
    Language("fr", "French", "français", "Latn", 5.10, ("fra", "fre")),
    Language("it", "Italian", "italiano", "Latn", 4.31, ("ita",)),
    Language("pt", "Portuguese", "português", "Latn", 4.27, ("por",)),
    Language("ja", "Japanese", "日本語", "Jpan", 4.19, ("jpn",), (("xwinograd", ("jp",)),)),
    Language("vi", "Vietnamese", "Tiếng Việt", "Latn", 4.13, ("vie",)),
    Language("id", "Indonesian", "Bahasa Indonesia", "Latn", 3.91, ("ind", "in")),
    Language("pl", "Polish", "polski", "Latn", 3.84, ("pol",)),
    Language("nl", "Dutch", "Nederlands", "Latn", 3.52, ("nld", "dut")),
    Language("ar", "Arabic", "العربية", "Arab", 3.48, ("ara", "arb")),
    Language("tr", "Turkish", "Türkçe", "Latn", 3.42, ("tur",)),
    Language("th", "Thai", "ไทย", "Thai", 2.89, ("tha",)),
    Language("he", "Hebrew", "עברית", "Hebr", 2.10, ("heb",), (("mc4", ("iw",)),)),
    Language("ko", "Korean", "한국어", "Kore", 0.84, ("kor",)),
)
for _language in _PAPER:
    register(_language)
PAPER_CODES = tuple(language.code for language in _PAPER)


def temperature(counts: Mapping[str, NonNegative], alpha: NonNegative) -> Shares:
    """Shares proportional to counts**alpha: 1 keeps the proportions, 0 makes them equal.

    What has a count of 0 gets a share of 0, whatever alpha is. XLM-R: alpha 0.3.
    """
    _check_counts(counts)
    if not (isfinite(alpha) and alpha >= 0):
        raise InputError(f"alpha is {alpha}: give a number that is 0 or more (XLM-R's is 0.3).")
    spread = _normalised({k: c**alpha if c else 0.0 for k, c in counts.items()})
    return Shares(spread, f"temperature, alpha {alpha:g}, of {listed(counts)}")


def unimax(counts: Mapping[str, NonNegative], budget: Positive, max_epochs: Positive) -> Shares:
    """Shares as equal as they can be with nothing read more than `max_epochs` times.

    UniMax (arXiv 2304.09151): from the smallest count up, each takes an equal part of what is
    left of the budget (in the unit of the counts), or max_epochs x its count if that is less.
    Raises InputError when all of it, read max_epochs times, is less than the budget.
    """
    _check_counts(counts)
    if not (budget > 0 and max_epochs > 0):
        raise InputError(f"budget is {budget} and max_epochs {max_epochs}: both must be above 0.")
    most = max_epochs * fsum(counts.values())
    if budget > most:
        raise InputError(
            f"budget {budget:g} is more than {max_epochs:g} epochs of all counts ({most:g}): "
            "lower the budget or raise max_epochs."
        )
    taken, left = {}, budget
    for waiting, name in zip(range(len(counts), 0, -1), sorted(counts, key=counts.__getitem__)):
        taken[name] = min(left / waiting, max_epochs * counts[name])
        left -= taken[name]
    spread = _normalised({name: taken[name] for name in counts})
    return Shares(
        spread, f"UniMax, budget {budget:.3g}, at most {max_epochs:g} epochs, of {listed(counts)}"
    )


def by_hand(shares: Mapping[str, float]) -> Shares:
    """The shares as they are, which sum to 1 (1e-6); InputError says what they sum to."""
    for name, share in shares.items():
        if not (isfinite(share) and 0 <= share <= 1):
            raise InputError(f"the share of {name!r} is {share}: give 0 to 1.")
    if abs(fsum(shares.values()) - 1) > 1e-6:
        total = fsum(shares.values())
        raise InputError(f"the shares by hand sum to {total:.6g}: change them to sum to 1.")
    return Shares(shares, BY_HAND)


def average(shares: Sequence[Mapping[str, float]], weights: Sequence[float]) -> Shares:
    """The shares of a whole run whose stretches have these shares and these lengths."""
    if len(shares) != len(weights) or not weights or min(weights) < 0 or not sum(weights):
        raise InputError(
            f"average of {len(shares)} mixtures has the weights {list(weights)}: give each its "
            "length, 0 or more."
        )
    parts = [part / fsum(weights) for part in weights]
    names = dict.fromkeys(name for one in shares for name in one)
    mixed = {n: fsum(p * one.get(n, 0.0) for p, one in zip(parts, shares)) for n in names}
    ways = "; ".join(
        f"{part:.1%} of ({getattr(one, 'how', BY_HAND)})" for part, one in zip(parts, shares)
    )
    return Shares(mixed, f"average: {ways}")


def non_english_share(shares: Mapping[str, float]) -> float:
    """(Languages other than English + parallel text) / everything, code counted below the line.

    So the paper's 30 % -> 60 % read 32.2 % in `STAGE1` and 60.5 % in `STAGE2`.
    """
    total = fsum(shares.values())
    return fsum(v for k, v in shares.items() if k not in ("en", CODE)) / total


def _check_counts(counts: Mapping[str, float]) -> None:
    for name, count in counts.items():
        if not (isfinite(count) and count >= 0):
            raise InputError(f"the count of {name!r} is {count}: give a number that is 0 or more.")
    if not any(counts.values()):
        raise InputError(f"counts {dict(counts)} hold nothing above 0: give what there is of each.")


def _normalised(amounts: Mapping[str, float]) -> dict[str, float]:
    total = fsum(amounts.values())
    return {name: amount / total for name, amount in amounts.items()}


def _stage1() -> dict[str, float]:
    """Table 2's tokens with Table 1's code (GitHub, 7.5B) and parallel text (OPUS, 1.0B)."""
    tokens_b = {language.code: language.paper_tokens_b for language in _PAPER}
    return _normalised({**tokens_b, CODE: 7.5, PARALLEL: 1.0})


def _stage2() -> dict[str, float]:
    """Stage 2 as far as the paper tells it (Figure 5), its languages reconstructed.

    English is Arxiv 14.79 + StackExchange 12.31 + Books 4.65 %, code GitHub, parallel OPUS. The
    figures per language are lost (Figure 4 has bars only). The 17 others share the rest by the
    square root of their tokens, which lowers Chinese (21.8 -> 15.2 %) and raises the other 16.
    """
    fixed = {"en": 0.3175, CODE: 0.0776, PARALLEL: 0.0476}
    others = {x.code: x.paper_tokens_b for x in _PAPER if x.code != "en"}
    rest = 1.0 - fsum(fixed.values())
    spread = {code: rest * share for code, share in temperature(others, 0.5).items()}
    return {"en": fixed["en"], **spread, CODE: fixed[CODE], PARALLEL: fixed[PARALLEL]}


STAGE1: dict[str, float] = _stage1()
STAGE2: dict[str, float] = _stage2()
