"""Benchmarks of after the paper, as tasks of ours: FLORES+, SIB-200, XQuAD, MGSM.

Each reads the files as they are published, from a folder; nothing is fetched. docs/paper_benchmarks.md says
where they come from and under which licence.
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from polylm_jax.languages import codes, registry
from polylm_jax.runtime.paths import is_remote, without_home
from tasks.benchmarks import own

XQUAD = ("en", "zh", "ru", "es", "de", "ar", "vi", "th", "tr", "el", "hi", "ro")
MGSM = ("en", "zh", "ru", "es", "de", "fr", "ja", "th", "bn", "sw", "te")
TOPICS = (
    "science/technology", "travel", "politics", "sports", "health", "entertainment", "geography",
)  # fmt: skip
TSV = {".tsv": "tsv without a header"}


def _there(
    name: str,
    data_dir: str,
    languages: Sequence[str],
    known: Sequence[str],
    files: Mapping[str, object],
) -> tuple[str, ...]:
    """The languages that a benchmark covers and whose scored file is there; the others are told.

    A bucket isn't looked into: there, all that it covers.
    """
    covered = [code for code in languages if code in known]
    if is_remote(data_dir):
        return tuple(covered)
    pattern = str(next(iter(files.values())))
    folder = pathlib.Path(without_home(data_dir, "data_dir"))
    found = [code for code in covered if (folder / own.path_of(pattern, code)).exists()]
    if missing := [code for code in covered if code not in found]:
        print(f"left out, without a file of {name} in {data_dir}: {', '.join(missing)}")
    return tuple(found)


def _both_ways(
    name: str, given: tuple, published: Mapping[str, Any], **asked: Any
) -> tuple[str, ...]:
    """NAME.LANGUAGE, whose answer is generated, and NAME_bits.LANGUAGE: its bits per byte."""
    generated = own.generated(name, *given, **published, **asked)
    return (*generated, *own.continued(f"{name}_bits", *given, **published))


def xquad(
    data_dir: str,
    vocabulary: str,
    languages: Sequence[str] = XQUAD,
    files: Mapping[str, object] | None = None,
    shots: Sequence[int] = (0,),
    stop: Sequence[str] = ("\n",),
    ending: str = "",
) -> tuple[str, ...]:
    """Registers `xquad.th` (F1) and `xquad_bits.th`: SQuAD's questions in 12 languages."""
    files = files or {"validation": "xquad/xquad.{language}.json"}
    languages = _there("XQuAD", data_dir, languages, XQUAD, files)
    prompt = "{context}\n{question}\nAnswer:"
    given = (data_dir, vocabulary, languages, files, prompt, "answers")
    published = {"split": next(iter(files)), "items": 1190}
    return _both_ways(
        "xquad", given, published, shots=shots, stop=stop, ending=ending, max_new_tokens=64
    )


def mgsm(
    data_dir: str,
    vocabulary: str,
    languages: Sequence[str] = MGSM,
    files: Mapping[str, object] | None = None,
    shots: Sequence[int] = (0,),
    stop: Sequence[str] = ("\n\n", "Question:"),
    ending: str = "",
) -> tuple[str, ...]:
    """Registers `mgsm.th` (the last number of the answer) and `mgsm_bits.th`: 250 sums in words."""
    files = files or {"test": "mgsm/mgsm_{language}.tsv"}
    languages = _there("MGSM", data_dir, languages, MGSM, files)
    prompt = "Question: {1}\nAnswer:"
    given = (data_dir, vocabulary, languages, files, prompt, "2")
    published = {"split": next(iter(files)), "items": 250, "formats": TSV}
    return _both_ways(
        "mgsm", given, published, metric="number", shots=shots, stop=stop, ending=ending
    )


def sib200(
    data_dir: str,
    vocabulary: str,
    languages: Sequence[str] = tuple(codes.FLORES),
    files: Mapping[str, object] | None = None,
    shots: Sequence[int] = (0,),
) -> tuple[str, ...]:
    """Registers `sib200.th`: which of seven topics a sentence has, by the likeliest name of one."""
    files = files or {split: f"sib200/{{flores}}/{split}.tsv" for split in ("test", "train")}
    languages = _there("SIB-200", data_dir, languages, tuple(codes.FLORES), files)
    return own.chosen(
        "sib200", data_dir, vocabulary, languages, files, "{text}\nThe topic of this text is",
        TOPICS, "category", shots=shots, items=204,
        demonstrations="train" if "train" in files else "",
    )  # fmt: skip


def flores(
    data_dir: str,
    vocabulary: str,
    languages: Sequence[str] = tuple(codes.FLORES),
    files: Mapping[str, object] | None = None,
    pivot: str = "en",
    shots: Sequence[int] = (1,),
    stop: Sequence[str] = ("\n",),
    ending: str = "",
    seed: int = 0,
) -> tuple[str, ...]:
    """Registers, to and from `pivot`, `flores.en_th` (chrF, BLEU) and `flores_bits.en_th`.

    files: split -> path of one language's sentences, in which {flores} and {flores_plus} stand: a
    sentence per line, or FLORES+'s JSON lines with `text`.
    """
    files = files or {"devtest": "flores_plus/devtest/{flores_plus}.jsonl"}
    split = next(iter(files))
    languages = _there("FLORES", data_dir, (pivot, *languages), tuple(codes.FLORES), files)
    languages = tuple(dict.fromkeys(languages)) if pivot in languages else ()
    others = [code for code in languages if code != pivot]
    names: list[str] = []
    for pair in [(pivot, one) for one in others] + [(one, pivot) for one in others]:
        source, target = pair
        sides = {
            split: {
                side: own.path_of(str(path), code)
                for side, code in (("source", source), ("target", target))
            }
            for split, path in files.items()
        }
        said = [registry.find(code).name for code in pair]
        prompt = f"{{source}}\nTranslate this sentence from {said[0]} to {said[1]}.\n"
        given = (data_dir, vocabulary, (f"{source}-{target}",), sides, prompt, "target")
        published = {"split": split, "items": 1012, "joint": ""}
        asked = {"metric": "chrf", "shots": shots, "stop": stop, "ending": ending, "seed": seed}
        names += _both_ways("flores", given, published, **asked)
    return tuple(names)
