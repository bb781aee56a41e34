"""FLORES+, SIB-200, XQuAD, MGSM and benchmarks of one's own: published files to what is asked."""

from decimal import Decimal

import pytest
import seqio
import toy_today
from reading import jsonl, vocabulary, write
from test_benchmark_files import forget, items, registry_of_each_test  # noqa: F401
from toy_benchmarks import squad

from polylm_jax.errors import InputError
from polylm_jax.evaluation import protocol
from tasks.benchmarks import own, today, tydiqa
from tasks.metrics.numbers import last, number


@pytest.fixture(scope="module", name="folder")
def today_folder(tmp_path_factory):
    folder = toy_today.write_all(tmp_path_factory.mktemp("today"))
    vocabulary(
        folder / "sp.model", [text for some in toy_today.SENTENCES.values() for text in some]
    )
    return folder


def asked(name):
    """What a task asks, as its preprocessor renders it."""
    task = seqio.TaskRegistry.get(name)
    split = protocol.find(name).split
    step = task.preprocessors[0]
    return [
        one
        for n, item in enumerate(task.source.items(split))
        for one in step.render({**item, "number": n})
    ]


def test_every_task_of_todays_benchmarks(folder):
    names = toy_today.register_all(folder, str(folder / "sp.model"))
    assert set(names) == {
        "xquad.en", "xquad.th", "xquad_bits.en", "xquad_bits.th", "mgsm.en", "mgsm.th",
        "mgsm_bits.en", "mgsm_bits.th", "sib200.en", "sib200.th", "flores.en_th.one_shot",
        "flores.th_en.one_shot", "flores_bits.en_th", "flores_bits.th_en",
    }  # fmt: skip
    first, second = toy_today.SENTENCES["th"]
    (one, _) = asked("xquad.th")
    assert one["inputs"] == f"{first}\n{second}\nAnswer:"
    assert one["references"] == ["7:45", "a quarter to eight"]
    (_, two) = asked("mgsm_bits.th")
    assert (two["inputs"], two["targets"]) == (f"Question: {second}\nAnswer:", " 1,024")
    assert two["size"] == (6, 6)
    topics = asked("sib200.th")
    assert [one["targets"] for one in topics if one["is_correct"]] == [" travel", " health"]
    assert len(topics) == 2 * 7
    (translated, _) = asked("flores_bits.en_th")
    english = toy_today.SENTENCES["en"][0]
    assert translated["inputs"] == f"{english}\nTranslate this sentence from English to Thai.\n"
    assert translated["targets"] == first and translated["size"] == (
        len(first.encode()),
        len(first),
    )
    (shown, _) = asked("flores.th_en.one_shot")
    assert shown["inputs"].startswith(second) and shown["inputs"].count("Translate") == 2


def test_flores_200_in_plain_lines_is_read_alike(folder):
    files = {"devtest": "flores200/{flores}.devtest"}
    names = today.flores(str(folder), str(folder / "sp.model"), ("en", "he"), files, shots=(0,))
    assert "flores.en_he" in names
    (one, _) = asked("flores_bits.he_en")
    assert one["inputs"].startswith(toy_today.SENTENCES["he"][0])


def test_tydi_qa_is_known_by_its_ids(folder, tmp_path):
    xquad = write(tmp_path / "xquad.json", squad([("56beb", "C", "Q", ["a"])]))
    with pytest.raises(InputError, match="'56beb' is none of TyDi QA's.*today.xquad"):
        items(tydiqa, folder, "ru", {"validation": xquad}, "validation")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("7 or 1,234.5", "1234.5"), ("๑๒", "12"), ("١٬٢٣٤", "1234"), ("1\u202f234", "1234"),
     ("0,5", "0.5"), ("-3.", "-3"), ("1.000", "1000"), ("18,00", "18.00"), ("none", None)],
)  # fmt: skip
def test_the_last_number_in_any_script(text, wanted):
    assert last(text) == (None if wanted is None else Decimal(wanted))


def test_a_number_is_right_in_any_writing():
    assert number([["18"], "1,024", ["7"]], ["It is 18.00", "১০২৪", "70"]) == {
        "number": pytest.approx(200 / 3)
    }


RECORDS = [{"q": "ไทย", "a": "x", "b": "y", "right": 2}, {"q": "ב", "a": "v", "b": "w", "right": 1}]


def test_a_benchmark_of_ones_own_is_one_call(tmp_path):
    write(tmp_path / "mine.he.jsonl", jsonl(RECORDS))
    given = (str(tmp_path), str(tmp_path / "sp.model"), ("he",), {"test": "mine.{language}.jsonl"})
    (name,) = own.chosen("mine", *given, "{q}?", ("{a}", "{b}"), "right", first=1)
    assert [one["targets"] for one in asked(name) if one["is_correct"]] == [" y", " v"]
    assert protocol.find(name).choices == 2
    with pytest.raises(InputError, match="another"):  # not in silence what was registered before
        own.chosen("mine", *given, "Another {q}?", ("{a}", "{b}"), "right", first=1)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"prompt": "{question}"}, "asks for 'question', and the record has q, a, b, right"),
        ({"first": 0}, "'right' is 2, and there are 2 choices"),
        ({"label": "q"}, "neither a choice nor its number"),
        ({"prompt": {"th": "{q}"}}, "prompt of mine has no template for 'he'"),
    ],
)
def test_what_is_wrong_with_ones_own_is_one_sentence(changes, sentence, tmp_path):
    write(tmp_path / "mine.jsonl", jsonl(RECORDS))
    given = {
        "name": "mine", "data_dir": str(tmp_path), "vocabulary": "sp.model", "languages": ("he",),
        "files": {"test": "mine.jsonl"}, "prompt": "{q}", "choices": ("{a}", "{b}"),
        "label": "right", "first": 1,
    }  # fmt: skip
    with pytest.raises(InputError, match=sentence) as error:
        (name,) = own.chosen(**given | changes)
        asked(name)
    assert len(str(error.value).splitlines()) == 1


def test_unknown_metrics_are_refused(tmp_path):
    with pytest.raises(InputError, match="Did you mean 'number'"):
        own.generated("mine", "", "", ("he",), {}, "{q}", "a", metric="numbr")
