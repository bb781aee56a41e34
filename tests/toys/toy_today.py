"""Benchmarks of after the paper in the formats that they are published in, a few items each."""

import json

from reading import jsonl, write
from toy_benchmarks import squad

from polylm_jax.languages import codes
from tasks.benchmarks import today

SENTENCES = {
    "en": ["The ferry leaves at 7:45.", "Bring bread and a warm coat."],
    "th": ["เรือข้ามฟากออกเวลา ๗:๔๕ น.", "โปรดนำขนมปังและเสื้อกันหนาวมาด้วย"],
    "he": ["המעבורת יוצאת ב־7:45.", "הביאו לחם ומעיל חם."],
}


def write_all(folder):
    """Files of XQuAD, MGSM, SIB-200 and FLORES+ where `today` looks for them; the folder."""
    for language, (first, second) in SENTENCES.items():
        code = codes.flores(language)
        questions = [("56beb4343aeaaa14008c925b", first, second, ["7:45", "a quarter to eight"]),
                     ("56beb4343aeaaa14008c925c", second, first, ["bread"])]  # fmt: skip
        write(folder / f"xquad/xquad.{language}.json", squad(questions))
        write(folder / f"mgsm/mgsm_{language}.tsv", f"{first}\t745\n{second}\t1,024\n")
        rows = ["index_id\tcategory\ttext", f"7\ttravel\t{first}", f"8\thealth\t{second}"]
        for split in ("test", "train"):
            write(folder / f"sib200/{code}/{split}.tsv", "\n".join(rows) + "\n")
        plus = codes.flores(language, plus=True)
        records = [
            {"id": n, "iso_639_3": code[:3], "text": text} for n, text in enumerate((first, second))
        ]
        write(folder / f"flores_plus/devtest/{plus}.jsonl", jsonl(records))
        write(folder / f"flores200/{code}.devtest", f"{first}\n{second}\n")
    return folder


def register_all(folder, vocabulary, languages=("en", "th")):
    """The names of all tasks over the files of `write_all`."""
    given = (str(folder), vocabulary, languages)
    return (*today.xquad(*given), *today.mgsm(*given), *today.sib200(*given), *today.flores(*given))


def rewrite_json(path, change):
    """A JSON file with a change made to what it holds."""
    found = json.loads(path.read_text(encoding="utf-8"))
    change(found)
    path.write_text(json.dumps(found, ensure_ascii=False), encoding="utf-8")
