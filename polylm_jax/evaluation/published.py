"""The paper's numbers: appendix C of arXiv 2307.06018, every table of its benchmark.

Classification in accuracy, TyDi QA in F1, MTG in the mean of ROUGE-1, -2 and -L, WMT20 in
SacreBLEU; all in percent. Base models are zero-shot in classification and one-shot in generation,
tuned ones zero-shot throughout. Averages aren't kept: a table makes its own over what it shows.
"""

from collections.abc import Mapping

BASE = ("PolyLM-13B", "BLOOM-7.1B", "LLaMA-13B")
TUNED = ("PolyLM-MultiAlpaca-13B", "BLOOMZ-MT-7.1B", "LLaMA-Alpaca-13B")
_NAMES = {
    "B": "BLOOM-7.1B",
    "L": "LLaMA-13B",
    "P": "PolyLM-13B",
    "BZ": "BLOOMZ-MT-7.1B",
    "LA": "LLaMA-Alpaca-13B",
    "PM": "PolyLM-MultiAlpaca-13B",
}
UNCOVERED = ("pl", "nl", "he")  # languages of PolyLM that no benchmark of the paper has

_TABLES = {
    "xnli": """
    -  en   zh   ar   es   fr   ru   th   tr   vi   de   bg   el   hi   sw   ur
    B  53.9 35.5 33.8 48.7 49.8 42.6 34.9 34.9 47.4 39.6 39.3 35.5 46.7 37.9 41.9
    L  35.5 34.6 34.1 33.4 33.6 33.6 34.6 34.0 34.1 35.2 33.9 34.5 35.7 33.2 34.1
    P  54.6 35.9 33.6 50.0 52.1 49.0 44.6 44.5 46.7 50.2 36.3 33.8 34.9 34.4 33.5
    BZ 44.9 33.2 36.0 36.1 47.5 38.1 33.5 33.4 37.9 42.5 35.5 35.1 39.6 33.2 37.9
    LA 35.7 34.6 33.2 33.3 33.4 33.4 36.2 34.7 34.6 33.7 34.3 34.1 35.8 33.0 32.8
    PM 54.3 36.0 33.3 47.0 49.6 46.7 38.4 44.1 44.6 48.0 36.1 32.7 34.1 33.1 33.8
    """,
    "pawsx": """
    -  en   zh   es   fr   ja   ko   de
    B  61.3 47.3 59.4 50.9 45.5 45.1 52.9
    L  53.7 45.2 52.1 54.5 45.0 47.1 53.0
    P  60.9 56.0 59.7 56.6 51.0 46.8 60.3
    BZ 61.2 58.5 58.8 61.1 54.4 49.5 56.7
    LA 53.3 45.3 53.5 54.1 46.0 48.3 54.3
    PM 65.3 55.9 63.0 59.8 52.3 53.7 64.9
    """,
    "xwinograd": """
    -  en   zh   ja   pt   ru   fr
    B  82.2 74.4 58.5 76.8 56.8 71.1
    L  86.8 70.0 59.9 71.5 70.8 68.7
    P  84.6 76.6 65.7 74.9 65.1 73.5
    BZ 83.5 71.0 56.4 65.4 53.7 68.7
    LA 88.6 67.3 61.4 73.0 72.1 78.3
    PM 83.9 73.6 65.2 72.2 67.9 71.1
    """,
    "xcopa": """
    -  id   it   th   tr   vi   zh   et   ht   qu   sw   ta
    B  69.8 52.8 55.4 51.2 70.8 65.2 48.2 50.8 50.8 51.6 59.2
    L  57.8 67.2 54.6 53.0 53.8 58.4 48.2 52.8 50.2 51.2 54.4
    P  70.2 66.0 58.6 57.8 70.8 67.0 49.8 50.4 50.4 51.8 55.0
    BZ 58.6 51.8 53.6 53.2 58.8 62.2 49.6 53.8 49.4 53.0 58.2
    LA 55.4 70.8 54.6 53.0 53.0 60.0 47.2 53.0 51.8 51.0 56.0
    PM 71.6 66.8 60.2 58.8 71.8 75.6 48.4 52.0 50.4 50.8 55.4
    """,
    "tydiqa": """
    -  ar   en   id   ko   ru   bn   fi   sw   te
    B  42.6 51.6 48.7 8.6  33.8 55.1 17.5 56.8 40.9
    L  49.7 54.4 43.4 49.7 41.8 32.0 40.2 33.5 8.5
    P  44.9 58.0 48.6 53.8 39.5 2.9  20.9 22.0 3.7
    BZ 36.6 22.4 26.9 5.8  9.1  26.7 2.4  14.4 26.5
    LA 20.8 59.2 48.6 19.3 37.7 11.0 50.6 20.7 5.7
    PM 50.7 58.7 52.1 30.1 40.3 2.5  8.5  4.6  1.9
    """,
    "mtg_story_end": """
    -  zh   en   es   fr   de
    B  16.6 13.2 11.0 13.1 6.6
    L  16.5 12.5 2.0  8.1  0.7
    P  10.3 10.3 7.8  9.2  6.3
    BZ 12.1 12.6 9.8  12.1 5.6
    LA 3.8  10.0 4.8  5.7  5.6
    PM 13.9 9.5  9.6  11.5 8.0
    """,
    "mtg_title": """
    -  zh   en   es   fr   de
    B  12.4 14.2 10.1 10.9 5.7
    L  11.5 19.6 15.9 16.8 10.6
    P  16.8 16.5 14.2 14.3 10.1
    BZ 18.5 25.7 18.9 16.8 9.6
    LA 9.3  25.1 15.5 15.5 10.1
    PM 15.3 23.7 16.6 15.9 11.7
    """,
    "mtg_question": """
    -  zh   en   es   fr   de
    B  13.8 15.5 15.0 13.5 7.3
    L  20.2 16.3 14.6 13.1 4.5
    P  20.0 15.9 17.1 13.9 7.5
    BZ 23.8 31.9 29.6 26.4 9.2
    LA 4.7  27.5 27.3 19.2 18.1
    PM 21.8 25.7 27.2 19.3 16.3
    """,
    "mtg_summary": """
    -  zh   en   es   fr   de
    B  11.0 10.3 10.0 9.7  7.5
    L  14.6 18.1 8.1  10.3 7.6
    P  16.6 17.0 16.9 15.1 11.6
    BZ 16.5 18.4 19.7 18.4 11.0
    LA 2.6  22.0 16.9 15.2 13.4
    PM 15.4 21.5 18.1 15.2 13.0
    """,
    "wmt20": """
    -  de-en ja-en ru-en zh-en en-de en-ja en-ru en-zh
    B  23.9  6.5   17.7  16.3  3.7   2.1   1.4   8.3
    L  36.9  13.6  32.7  22.6  23.6  9.6   16.8  7.4
    P  33.9  10.2  32.4  22.0  24.8  17.0  17.8  19.0
    BZ 17.99 5.09  7.67  12.89 2.94  0.99  0.77  8.40
    LA 30.0  9.9   20.3  16.4  16.8  3.6   10.6  3.0
    PM 34.2  14.3  31.8  25.0  25.9  16.2  17.9  21.9
    """,
}


def scores(benchmark: str) -> Mapping[str, Mapping[str, float]]:
    """model -> language -> the paper's number; empty for a benchmark that the paper hasn't."""
    lines = [line.split() for line in _TABLES.get(benchmark, "").strip().splitlines()]
    if not lines:
        return {}
    (_, *languages), *rows = lines
    return {
        _NAMES[model]: dict(zip(languages, map(float, numbers), strict=True))
        for model, *numbers in rows
    }


def languages(benchmark: str) -> tuple[str, ...]:
    """The languages of a benchmark in the paper's order."""
    found = scores(benchmark)
    return tuple(found[BASE[0]]) if found else ()
