"""Text of many kinds in 18 languages, cleaned whole: what is good comes out, what is bad doesn't."""

import ast
import json

import planted_corpus
import pytest
import toy_corpus

from polylm_jax.corpus import (
    cleaning,
    language_id,
    layout,
    limits,
    machine_text,
    measuring,
    rules,
    two_languages,
)
from polylm_jax.corpus.language_id import Identifier
from polylm_jax.errors import InputError
from polylm_jax.languages.registry import LANGUAGES, PAPER_CODES

LEAST = (
    0.9  # of good text kept, of bad text gone, and of each file's texts right, in every language
)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kinds")
    planted_corpus.write(folder)
    toy_corpus.clean(folder, {"crawl": "planted.jsonl"}, languages=PAPER_CODES)
    kept = {code: toy_corpus.read(folder / "out", code) for code in PAPER_CODES}
    return planted_corpus.judged(kept)


def test_there_are_enough_of_each():
    planted = planted_corpus.documents()
    assert len(planted) >= 300 and len({p.id for p in planted}) == len(planted)
    kinds = {p.kind for p in planted if p.right == planted_corpus.KEEP}
    assert kinds >= {"book", "news", "forum", "recipe", "dialogue", "table", "poem", "song"}


@pytest.mark.parametrize("group", ["good", "bad", "file"])
def test_nine_of_ten_come_out_right_in_every_language(group, outcomes):
    wrong = [(planted.id, outcome) for planted, outcome in outcomes if outcome != "right"]
    for code, (right, total) in planted_corpus.rates(outcomes)[group].items():
        assert right >= LEAST * total, (code, right, total, wrong)


@pytest.mark.parametrize("kind", sorted({p.kind for p in planted_corpus.documents()}))
def test_nine_of_ten_come_out_right_of_every_kind(kind, outcomes):
    told = [outcome for planted, outcome in outcomes if planted.kind == kind]
    assert told.count("right") >= LEAST * len(told), told


def test_a_judgement_sees_its_faults():
    """Nothing kept loses every good text; everything kept as it came keeps every bad one."""
    rates = planted_corpus.rates(planted_corpus.judged({}))
    assert not any(right for right, _ in rates["good"].values())
    everything = {"en": [{"id": p.id, "text": p.text} for p in planted_corpus.documents()]}
    rates = planted_corpus.rates(planted_corpus.judged(everything))
    assert not any(right for right, _ in rates["bad"].values())
    assert rates["file"]["en"][0] < 0.1 * rates["file"]["en"][1]


def test_a_source_and_a_language_have_limits_of_their_own(tmp_path):
    verse = "La la la, the river sings\nla la la, the river sings\n" * 6 + "and that is all of it."
    rows = [{"id": "song", "text": verse}, {"id": "long", "text": toy_corpus.document("en", 2)}]
    for name in ("songs", "crawl"):
        toy_corpus.write_jsonl(tmp_path / f"{name}.jsonl", rows)
    loose = dict.fromkeys(
        (name for name in limits.EVERYWHERE if name.startswith(("duplicate", "top"))), (None, 1)
    )
    sources = {"songs": {"files": "songs.jsonl", "limits": loose}, "crawl": "crawl.jsonl"}
    report = toy_corpus.clean(tmp_path, sources, languages=("en",))
    assert "song" in {row["id"] for row in toy_corpus.read(tmp_path / "out", "en")}
    assert report["sources"]["songs"]["dropped"].get("rules: duplicate_lines", 0) == 0
    own = {"Latn": {"characters": (1, None)}, "de": {"characters": (90, None)}}
    assert limits.limits_of("Latn", own, "en")["characters"] == (1, None)
    assert limits.limits_of("Latn", own, "de")["characters"] == (90, None)


@pytest.mark.parametrize(
    ("own", "said"),
    [
        (
            {"Latin": {"digits": (None, 1)}},
            "LIMITS has 'Latin', which is no script and no language",
        ),
        ({"Latn": {"digit": (None, 1)}}, "there is no rule 'digit'. Did you mean 'digits'"),
        ({"all": {"digits": 0.3}}, r"LIMITS\['all'\]\['digits'\] is 0.3: give \(lowest, highest\)"),
        ({"ja": {"digits": (0.9, 0.1)}}, "the lowest is above the highest"),
    ],
)
def test_limits_of_what_isnt_there_are_refused_at_the_start(own, said, tmp_path):
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(InputError, match=said):
        cleaning.clean(
            {"a": str(tmp_path / "a.txt")}, str(tmp_path / "out"), str(tmp_path / "w"), limits=own
        )


def test_shapes_are_told_apart():
    assert layout.is_table(
        ["Town Rain", "Harwick 812 29.4", "Dunley 768 30.1", "Marlow 1,024 27.8"]
    )
    assert not layout.is_table(["2024-01-05 10:00", "2024-01-06 11:30", "2024-01-07 09:15"])
    assert not layout.is_table(["In 1998 the firm grew.", "Nobody knew why.", "It had 12 shops."])
    assert layout.is_speech("— Wo bist du?") and layout.is_speech("- أين أنت؟")
    assert not layout.is_speech("- eggs") and not layout.is_speech("• Wo bist du?")
    english = "Home | About us | Contact | Log in | Search | Privacy policy"
    assert layout.menu_share(english, "en") > 0.5
    assert layout.menu_share(f"{english}\nThe shop is closed on Mondays and in August.", "en") == 0
    assert layout.menu_share("Milk\nEggs\nBread\nButter\nFlour\nSalt", "en") == 0


def test_the_same_table_is_kept_in_every_script():
    for code in PAPER_CODES:
        texts = dict(planted_corpus.sections(planted_corpus.FOLDER / f"{code}.txt"))
        script = LANGUAGES[code].script
        for kind in ("table", "dialogue", "song", "questions"):
            found = rules.violations(
                texts[f"good {kind}"], LANGUAGES[code], limits.limits_of(script)
            )
            assert not list(found), (code, kind)


@pytest.mark.parametrize("code", ["ru", "ja", "th", "es"])
def test_lines_in_another_language_go_and_the_text_stays(code):
    texts = dict(planted_corpus.sections(planted_corpus.FOLDER / f"{code}.txt"))
    english = dict(planted_corpus.sections(planted_corpus.FOLDER / "en.txt"))
    identify = Identifier(PAPER_CODES)
    page = f"{english['good news']}\n{texts['good book']}"
    parted = two_languages.parted(page, PAPER_CODES, "und", identify)
    assert (parted.code, parted.text, parted.gone) == (code, texts["good book"], 1)
    assert two_languages.parted(texts["good book"], PAPER_CODES, "und", identify) is None


def test_code_in_a_page_and_a_heading_under_a_banner_stay():
    identify = Identifier(PAPER_CODES)
    texts = dict(planted_corpus.sections(planted_corpus.FOLDER / "th.txt"))
    own = texts["good book"]
    code = "from datetime import date, timedelta\nmogrify -path small -quality 85 *.jpg"
    banner = f"This website uses cookies\n{planted_corpus.BANNER}\nAccept all\nOK"
    page = f"{banner}\n\nPython 3\n{own}\n{code}\n{own}"
    parted = two_languages.parted(page, PAPER_CODES, "und", identify)
    assert (parted.code, parted.text, parted.gone) == ("th", f"Python 3\n{own}\n{code}\n{own}", 4)


def test_who_speaks_of_browsers_is_no_error_page():
    error = "Error 404. The page you want does not exist. Go back or contact the administrator."
    assert machine_text.notices(error, "en") > 4
    speech = (
        f"{error} So said the sign on the door of the bakery, where my cousin had hung it. " * 2
    )
    assert machine_text.notices(speech + toy_corpus.document("en", 1)[:700], "en") == 0
    assert machine_text.is_code("for line in f:") and not machine_text.is_code("Wait for it:")
    assert not machine_text.is_code("The --soft option leaves it alone, so all is there:")


def test_a_long_text_is_judged_by_all_of_it():
    identify = Identifier(PAPER_CODES)
    english = toy_corpus.document("en", 1)[:400]
    russian = "\n".join(toy_corpus.document("ru", n) for n in range(20))
    assert identify(f"{english} {russian}")[0] == "ru"
    rows = (
        "der Hafen – the harbour\ndie Möwe – the gull\ndas Licht am Steg – the light on the pier\n"
    )
    rows += (
        "das Wasser im Fluss – the water in the river\ndie Äpfel und Birnen – the apples and pears"
    )
    assert two_languages.parted(rows, PAPER_CODES, "und", identify).code == ""


def test_wanted_languages_decide_between_close_ones():
    malay = "Kerajaan berkata bahawa syarikat itu hendaklah membayar wang kerana lewat."
    assert Identifier(("en", "id"))(malay * 3)[0] == "ms"
    assert (
        Identifier(("en", "id"))("Saya suka makan nasi di rumah ibu saya yang lama itu.")[0] == "id"
    )


def test_a_fasttext_labels_script_counts():
    assert language_id._code_of("__label__eng_Latn") == "en"
    assert language_id._code_of("__label__cmn_Hani") == "zh"
    assert language_id._code_of("__label__rus_Latn") == "ru-Latn"
    assert language_id._code_of("__label__iw") == "he"


def test_the_corpus_is_one_json_line_each(tmp_path):
    planted_corpus.write(tmp_path)
    rows = (tmp_path / "planted.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
    assert len(rows) == len(planted_corpus.documents()) and all(
        json.loads(row)["text"] for row in rows
    )


def test_measuring_proposes_limits_that_keep_good_text(tmp_path, capsys):
    """Tables of numbers with a name each: too few letters for the usual limits, until measured."""
    rows = [f"Nr {n} " + " ".join(str(n * k) for k in range(2, 30)) for n in range(100, 130)]
    toy_corpus.write_jsonl(tmp_path / "own.jsonl", [{"text": row} for row in rows])
    sources = {"own": {"files": "own.jsonl", "language": "de"}}
    given = {"workers": 1, "data_dir": str(tmp_path), "languages": ("de",)}
    out, work = str(tmp_path / "out"), str(tmp_path / "work")
    cleaning.clean(sources, out, work, stage="measure", **given)
    said = capsys.readouterr().out
    assert "de: 30 texts, 100.0% dropped" in said and not (tmp_path / "out").exists()
    proposed = (tmp_path / "work" / "limits.gin").read_text(encoding="utf-8")
    found = ast.literal_eval(proposed.partition("LIMITS = ")[2])
    assert found["de"]["digits"][1] > 0.5 and "menu" not in found["de"]
    cleaning.clean(sources, out, work, stage="measure", limits=found, **given)
    assert "0.0% dropped" in capsys.readouterr().out
    with pytest.raises(InputError, match="stage is 'mesure'"):
        cleaning.clean(sources, out, work, stage="mesure", **given)


def test_measuring_leaves_limits_that_drop_nothing_alone():
    ranges = limits.limits_of("Latn")
    fine = {"digits": [(0.1, False)] * 500 + [(0.3, True)]}
    assert measuring.proposals(fine, ranges) == {}
    often = {"digits": [(0.1, False)] * 90 + [(0.31, True)] * 10}
    assert measuring.proposals(often, ranges) == {"digits": (None, 0.31)}
