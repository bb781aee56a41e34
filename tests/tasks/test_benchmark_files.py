"""Benchmark files: what's malformed, missing or unknown is refused in one sentence."""

import json

import pytest
import seqio
import tensorflow_datasets as tfds
from reading import jsonl, write
from toy_benchmarks import squad, write_all

from polylm_jax.errors import InputError
from polylm_jax.evaluation import protocol
from tasks import registry
from tasks.benchmarks import mtg, pawsx, tydiqa, wmt20, xcopa, xnli, xwinograd

GOOD = {"premise": "P.", "choice1": "A.", "choice2": "B.", "question": "cause", "label": 0}


@pytest.fixture(scope="module", name="folder")
def benchmark_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("benchmarks")
    write_all(folder)
    return folder


@pytest.fixture(autouse=True)
def registry_of_each_test():
    """Every test registers the same names, for other files."""
    before = {*seqio.TaskRegistry.names()}
    yield
    for name in {*seqio.TaskRegistry.names()} - before:
        forget(name)


def forget(name):
    seqio.TaskRegistry.remove(name)
    registry._DEFINITIONS.pop(name)
    protocol.remove(name)


def items(module, folder, language, files, split, **options):
    """The items of a file as one benchmark's source reads them."""
    key = "pairs" if module is wmt20 else "languages"
    given = {key: [language], "files": files, "split": split, "shots": (0,), **options}
    names = module.register(str(folder), str(folder / "sp.model"), **given)
    source = seqio.TaskRegistry.get(names[0]).source
    for name in names:
        forget(name)
    return source.items(split)


XCOPA = (xcopa, "th", "xcopa.jsonl")
XNLI = (xnli, "th", "xnli.tsv")
PAWSX = (pawsx, "ja", "pawsx.tsv")
TSV = (xwinograd, "fr", "xwinograd.tsv")
LINES = (xwinograd, "fr", "xwinograd.jsonl")
TYDI = (tydiqa, "ko", "tydi.json")
MTG = (mtg, "de", "mtg.json")
HEAD = "id\tsentence1\tsentence2\tlabel\n"
ROW = 'fr\tx\t?\tUn mot.\t["Un", "mot", "."]\t["mot", [1, 2], ["mot"]]\t'
BLANK = {"sentence": "No blank", "option1": "a", "option2": "b", "answer": "1"}


@pytest.mark.parametrize(
    "benchmark, written, said",
    [
        (XCOPA, "{}\n{", r"line 1, is malformed: there is no text in 'premise'"),
        (XCOPA, jsonl([GOOD]) + b"{\n", r"line 2 is not JSON"),
        (XCOPA, jsonl([GOOD, GOOD | {"label": 2}]), r"line 2, .*'label' is 2, not one of 0, 1"),
        (XCOPA, jsonl([GOOD | {"label": True}]), r"'label' is True, not one of 0, 1"),
        (XCOPA, jsonl([GOOD | {"question": "why"}]), r"'question' is 'why'.*cause, effect"),
        (XCOPA, "[1]\n", r"line 1 is not a JSON object"),
        (XCOPA, b"\xff\n", r"line 1 is not UTF-8"),
        (XCOPA, "\n", r"has no item for this task"),
        (XNLI, "language\tgold_label\nth\n", r"line 2, has 1 columns, not 2"),
        (XNLI, "language\tgold_label\nth\tyes\n", r"there is no text in 'sentence1'"),
        (XNLI, "language\tgold_label\nen\tyes\n", r"has no item for this task"),
        (PAWSX, HEAD + "1\tA\tB\tNS\n", r"line 2, .*'label' is 'NS', not one of 0, 1"),
        (TSV, "fr\tone\n", r"there are 2 columns, not XWinograd's 7"),
        (TSV, ROW + "[]\n", r"there are 0 candidates, 0 of them right"),
        (TSV, ROW + "{\n", r"column 7 isn't JSON"),
        (LINES, jsonl([BLANK]), r"'sentence' has no '_'"),
        (TYDI, '{"data": [{"paragraphs": [{}]}]}', r"isn't SQuAD's JSON \(KeyError: 'qas'\)"),
        (TYDI, squad([("korean-1", "C", "Q", [])]), r"question 'korean-1', .*no text in 'answers'"),
        (MTG, '{"en": []}', r"holds no list of records"),
        (MTG, '[{"text": "a"}]', r"no field 'source' among text \(set it with columns\)"),
    ],
)
def test_a_malformed_file_is_one_sentence(folder, tmp_path, benchmark, written, said):
    module, language, name = benchmark
    path = write(tmp_path / name, written)
    options = {"tasks": ["title"]} if module is mtg else {}
    with pytest.raises(InputError, match=said) as caught:
        items(module, folder, language, {"test": path}, "test", **options)
    assert path in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "module, options, said",
    [
        (xcopa, {"languages": ["pl"]}, r"languages: xcopa doesn't cover 'pl'. It has id, it, th"),
        (xnli, {"languages": ["vl"]}, r"xnli doesn't cover 'vl'. Did you mean 'vi'"),
        (wmt20, {"pairs": ["de-ja"]}, r"wmt20 doesn't cover 'de-ja'.*It has de-en"),
        (mtg, {"tasks": ["titel"]}, r"a task of mtg = 'titel' .* Did you mean 'title'"),
        (mtg, {"columns": {"source": "text"}}, r"columns of mtg lacks 'target'"),
        (mtg, {"columns": {"sourc": "text"}}, r"'sourc'. Did you mean 'source'"),
        (xcopa, {"split": "tset"}, r"split of xcopa is 'tset'. Did you mean 'test'"),
        (xcopa, {"shots": (1,), "demonstrations": "train"}, r"demonstrations of xcopa is 'train'"),
        (xcopa, {"shots": (-1,)}, r"shots of xcopa: -1 is no number of examples"),
        (xcopa, {"files": "tfds"}, r"TFDS doesn't have this benchmark"),
        (xnli, {"files": "tdfs"}, r"files of xnli is 'tdfs': give \{split: path\}, or 'tfds'"),
        (xcopa, {"files": {"test": "a.csv"}}, r"'a.csv', whose format isn't known.*\.jsonl"),
        (xcopa, {"files": {"test": "{lang}.jsonl"}}, r"'lang' means nothing: language may stand"),
        (xcopa, {"files": {"test": 3}}, r"files\['test'\] is 3: give a path with .jsonl"),
        (xnli, {"files": {"test": {"tfds": "xnli"}}}, r"or \{'tfds': data set, 'split': split\}"),
    ],
)
def test_what_a_user_sets_wrong_is_one_sentence(folder, module, options, said):
    with pytest.raises(InputError, match=said):
        module.register(str(folder), str(folder / "sp.model"), **options)


def test_a_file_that_is_missing_is_named(folder):
    with pytest.raises(InputError, match="nowhere/test.th.jsonl.* isn't there"):
        items(xcopa, folder, "th", {"test": "nowhere/test.{language}.jsonl"}, "test")


def test_an_unknown_benchmark_gets_the_nearest_name():
    protocol.add("xcopa.th", protocol.Protocol("xcopa", "th", "test", "rank", "accuracy_sum"))
    with pytest.raises(InputError, match="'xkopa.th' has no protocol. Did you mean 'xcopa.th'"):
        protocol.find("xkopa.th")
    protocol.remove("xcopa.th")


def test_a_pool_too_small_for_its_shots_is_said(folder):
    given = (str(folder), str(folder / "sp.model"), ["th"])
    (name,) = [n for n in xcopa.register(*given, shots=(3,)) if n == "xcopa.th.3_shot"]
    with pytest.raises(InputError, match="shots is 3, but split 'validation' has 2 other items"):
        seqio.TaskRegistry.get(name).preprocessors[0].demonstrations.of(0)


def test_unlabelled_rows_can_be_left_out(folder, tmp_path):
    path = write(tmp_path / "a.tsv", HEAD + '1\tA "q\tB\tNS\n2\tC "d"\tD\t1\n')
    (found,) = items(pawsx, folder, "ja", {"test": path}, "test", skip_unlabelled=True)
    assert found == {"sentence1": 'C "d"', "sentence2": "D", "label": 1}


def test_aligned_files_of_unequal_length_are_refused(folder, tmp_path):
    files = {
        "source": write(tmp_path / "a.en", "One\nTwo\n"),
        "target": write(tmp_path / "a.de", "Eins\n"),
    }
    with pytest.raises(InputError, match="unequal line counts .*a.en' has 2, .*a.de' has 1"):
        items(wmt20, folder, "en-de", {"test": files}, "test")


def test_a_line_separator_within_a_sentence_does_not_cut_it(folder):
    found = items(wmt20, folder, "en-de", wmt20.FILES, "test")
    assert [item["source"] for item in found] == ["One in en.", "Two\u2028in en."]


def test_squad_files_with_all_languages_give_ones_own(folder, tmp_path):
    records = [("korean-1", "C", "Q", ["a"]), ("english-1", "C", "Q", ["b"])]
    path = write(tmp_path / "all.json", squad(records))
    (found,) = items(tydiqa, folder, "ko", {"validation": path}, "validation")
    assert found["answers"] == ["a"]


def test_the_original_xwinograd_is_read(folder, tmp_path):
    candidates = [["Ann", [0, 1], ["Ann"], False], ["Bo", [1, 2], ["Bo"], True]]
    columns = ["ru", "x", "?", 'Ann, "Bo" saw him.', ["Ann", ",", "``", "Bo", "''", "saw", "him."]]
    columns += [["him.", [6, 7], ["him."]], candidates]
    line = "\t".join(one if isinstance(one, str) else json.dumps(one) for one in columns)
    path = write(tmp_path / "x.tsv", line + "\n")
    (found,) = items(xwinograd, folder, "ru", {"test": path}, "test")
    assert found == {
        "prefix": 'Ann, "Bo" saw ',
        "suffix": ".",
        "option1": "Ann",
        "option2": "Bo",
        "label": 1,
    }


@pytest.mark.parametrize(
    "module, name, language, splits",
    [
        (pawsx, "paws_x_wiki/ja", "ja", ("test", "validation", "train")),
        (tydiqa, "tydi_qa/goldp", "ko", ("validation-ko", "train")),
    ],
)
def test_tfds_with_its_mock_data(folder, tmp_path, module, name, language, splits):
    described(tmp_path, name, splits)
    files = {split: {**spec, "data_dir": str(tmp_path)} for split, spec in module.TFDS.items()}
    given = {"languages": [language], "files": files, "shots": (0,)}
    with tfds.testing.mock_data(num_examples=3, data_dir=str(tmp_path)):
        found, *_ = module.register(str(folder), str(folder / "sp.model"), **given)
        task, split = seqio.TaskRegistry.get(found), protocol.find(found).split
        assert len(task.source.items(split)) == 3
        assert task.source.fingerprint([split])["files"][0]["size"] == 1000
        data = task.get_dataset(sequence_length=None, split=split, shuffle=False)
        assert len(list(data.as_numpy_iterator())) == (6 if module is pawsx else 3)


def described(folder, name, splits):
    """Metadata of a data set, as TFDS leaves it where it has prepared one."""
    builder = tfds.builder(name, data_dir=str(folder))
    target = folder / name / str(builder.version)
    target.mkdir(parents=True)
    about = {
        "name": name.split("/")[0],
        **({"configName": name.split("/")[1]} if "/" in name else {}),
        "version": target.name,
        "fileFormat": "tfrecord",
        "splits": [
            {
                "name": split,
                "shardLengths": ["3"],
                "numBytes": "1000",
                "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
            }
            for split in splits
        ],
    }
    (target / "dataset_info.json").write_text(json.dumps(about))
    builder.info.features.save_config(target)


def test_xnli_from_tfds_is_xnli_from_its_file(folder, tmp_path, monkeypatch):
    """Prepared by TFDS's own builder from the same TSV, its download replaced."""
    (tmp_path / "XNLI-1.0").symlink_to(folder / "xnli")
    manager = tfds.download.DownloadManager
    monkeypatch.setattr(manager, "download_and_extract", lambda self, url: str(tmp_path))
    tfds.builder("xnli", data_dir=str(tmp_path / "tfds")).download_and_prepare()
    spec = {"tfds": "xnli", "split": "test", "data_dir": str(tmp_path / "tfds")}
    theirs = items(xnli, folder, "th", {"test": spec}, "test")
    ours = items(xnli, folder, "th", xnli.FILES, "test")

    def key(item):
        return item["premise"]

    assert sorted(theirs, key=key) == sorted(ours, key=key)
    assert [item["label"] for item in ours] == [1, 2]
