"""Every benchmark in its published format, two items a split and language, to be registered."""

import json

from reading import jsonl, vocabulary, write

from tasks.benchmarks import bits, mtg, pawsx, registration, tydiqa, wmt20, xcopa, xnli, xwinograd

TEXTS = [
    "The tap was opened. Water flowed.",
    "ผู้ชายเปิดก๊อกน้ำ",
    "那人打开水龙头。",
    "Adam musluğu açtı.",
]

# language -> premise, choice1, choice2, question, label
XCOPA = {
    "th": ("ผู้ชายเปิดก๊อกน้ำ", "น้ำไหลออกมา", "เขานอน", "effect", 0),
    "tr": ("Adam musluğu açtı.", "Irmak taştı.", "İştahı kaçtı.", "effect", 1),
    "zh": ("那人打开水龙头。", "水流了出来。", "他口渴。", "cause", 1),
    "it": ("L'uomo aprì il rubinetto.", "Era assetato.", "Dormì.", "cause", 0),
}
XCOPA_OTHER = ("The man opened the tap.", "He was thirsty.", "Ice melted.", "cause", 0)
XCOPA_SECOND = ("It rained!", "I got wet.", "The sun shone.", "effect", 0)
# language -> sentence with '_', option1, option2, answer
XWINOGRAD = {
    "zh": ("奖杯放不进箱子，因为_太大了。", "奖杯", "箱子", "1"),
    "ja": ("トロフィーは鞄に入らない。_が大きすぎる。", "トロフィー", "鞄", "1"),
}
XWINOGRAD_OTHER = ("The cup isn't in the case since _, too big, fell.", "the cup", "the case", "1")
XWINOGRAD_SECOND = ("Ann knows Bo and so _ waved.", "Ann", "Bo", "2")
LABELS = ("neutral", "contradiction")


def write_all(folder):
    """Writes the files where each benchmark's FILES look for them, and a vocabulary."""
    vocabulary(folder / "sp.model", TEXTS)
    for split in ("test", "dev"):
        write(folder / f"xnli/xnli.{split}.tsv", _xnli(split))
    for language in pawsx.WORDS:
        train = "train" if language == "en" else "translated_train"
        for name in ("test_2k", "dev_2k", train):
            rows = ["id\tsentence1\tsentence2\tlabel"]
            rows += [f'{n}\tA "{name} {n}" .\tB {n} .\t{n % 2}' for n in (1, 2)]
            write(folder / f"pawsx/{language}/{name}.tsv", "\n".join(rows) + "\n")
    for language in xcopa.CONNECTORS:
        for name in ("test", "val"):
            first = XCOPA.get(language, XCOPA_OTHER)
            keys = ("premise", "choice1", "choice2", "question", "label")
            records = [dict(zip(keys, one), idx=0) for one in (first, XCOPA_SECOND)]
            write(folder / f"xcopa/{name}.{language}.jsonl", jsonl(records))
    for language in xwinograd.ITEMS:
        code = "jp" if language == "ja" else language
        first = XWINOGRAD.get(language, XWINOGRAD_OTHER)
        keys = ("sentence", "option1", "option2", "answer")
        records = [dict(zip(keys, one)) for one in (first, XWINOGRAD_SECOND)]
        write(folder / f"xwinograd/{code}.jsonl", jsonl(records))
    _write_generation(folder)


def _xnli(split):
    rows = ["language\tgold_label\tsentence1\tsentence2\tpairID"]
    for number, label in enumerate(LABELS):
        rows += [f"{x}\t{label}\tIt {split} {number}.\tWet.\t{number}" for x in xnli.WORDS]
    return "\n".join(rows) + "\n"


def squad(records):
    """(id, context, question, answers) as SQuAD's JSON."""
    paragraphs = [
        {
            "context": context,
            "qas": [
                {
                    "id": key,
                    "question": question,
                    "answers": [{"text": text, "answer_start": 0} for text in found],
                }
            ],
        }
        for key, context, question, found in records
    ]
    return json.dumps({"version": "1.1", "data": [{"paragraphs": paragraphs}]})


def _write_generation(folder):
    train = []
    for language, name in tydiqa.NAMES.items():
        key = f"{name.lower()}-1"
        item = (key, f"Seoul ({language}) is a city.", "Which city?", ["Seoul", "Seoul city"])
        dev = folder / f"tydiqa/tydiqa-goldp-v1.1-dev/tydiqa-goldp-dev-{name.lower()}.json"
        write(dev, squad([item]))
        train.append((key, f"Rome ({language}) is old.", "What is old?", ["Rome"]))
    write(folder / "tydiqa/tydiqa-goldp-v1.1-train.json", squad(train))
    for task in mtg.TASKS:
        for language in mtg.LANGUAGES:
            for name in ("test", "train"):
                source = {"source": f"a {name} text in {language}", "target": "its answer"}
                records = [source | ({"answer": "text"} if task == "question" else {})]
                write(folder / f"mtg/{task}/{name}.{language}.json", json.dumps(records))
    for pair in wmt20.ITEMS:
        for side in pair.split("-"):
            lines = f"One in {side}.\nTwo\u2028in {side}.\n"
            write(folder / f"wmt20/wmt20.{pair}.{side}", lines)


def register_all(folder, shots=(0, 1)):
    """The names of all tasks over the files of `write_all`."""
    given = {"data_dir": str(folder), "vocabulary": str(folder / "sp.model"), "shots": shots}
    modules = (xnli, pawsx, xcopa, xwinograd, tydiqa, mtg, wmt20)
    return registration.merged([module.register(**given) for module in modules])


def register_bits(folder, languages):
    """`bits` over texts of its own."""
    for language in languages:
        write(folder / f"text/{language}.txt", "ไทย\n\nłódź\n")
    files = {"validation": "text/{language}.txt"}
    return bits.register(str(folder), str(folder / "sp.model"), files, languages)
