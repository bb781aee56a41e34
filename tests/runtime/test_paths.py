"""A user's path means the same in every field: '~', relative, gs://, links, globs, odd names."""

import os
import pathlib

import pytest
from gcs_server import GcsServer
from reading import TEXT, texts, vocabulary, write

from polylm_jax.checkpoints import checkpoint
from polylm_jax.corpus.sources import files_of, sources_of
from polylm_jax.errors import InputError
from polylm_jax.inference.generation.results import Results
from polylm_jax.runtime import output_folder, paths
from polylm_jax.runtime.storage import Folder
from polylm_jax.tokenizer.tokenizer import Tokenizer
from tasks import registry
from tasks.sources import files, source

REPO = pathlib.Path(__file__).resolve().parents[2]
FIELDS = {  # what opens a path -> where it then looks
    "Folder": lambda path: str(Folder(path, "X").local),
    "MODEL_DIR": lambda path: str(checkpoint.located(path)),
    "OUTPUT": lambda path: str(output_folder.check(path, False)),
    "TEXTS": lambda path: str(Results(path, [], "m", write=False)._path),
    "json_path": lambda path: str(paths.local(path, "json_path")),
}


@pytest.fixture
def home(tmp_path, monkeypatch):
    (tmp_path / "home").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("~/run", "home/run"),
        ("run", "here/run"),
        ("./run/", "here/run"),
        ("../run", "run"),
        ("a//b/../run", "here/a/run"),
        ("my [text] 50% #1", "here/my [text] 50% #1"),
        ("สวัสดี", "here/สวัสดี"),
    ],
)
def test_every_field_means_the_same_place(home, field, path, meant):
    assert FIELDS[field](path) == str(home / meant)


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("path", ["", "  ", "a\0b", "~nobody_of_that_name/run", "s3://bucket/run"])
def test_every_field_refuses_what_is_no_place(home, field, path):
    with pytest.raises(InputError) as refused:
        FIELDS[field](path)
    assert "\n" not in str(refused.value)
    assert not any((home / "here").iterdir())


def test_a_file_url_is_local():
    assert paths.resolve("file:///a/b", "X") == "/a/b"
    for path in ("gs://b/run", "gs://b/run/", "gs://b//run", "GS://b/run", "gs:/b/run"):
        assert paths.resolve(path, "X") == "gs://b/run"


def test_slashes_do_not_change_a_buckets_folder():
    with GcsServer():
        Folder("gs://bucket/run/", "X").write("a", b"1")
        assert Folder("gs://bucket//run", "X").peek("a") == b"1"


def test_no_other_file_fills_in_a_home():
    """`paths` alone says what '~' is, so that a new field can't mean another place."""
    python = [path for folder in ("polylm_jax", "tasks") for path in REPO.glob(f"{folder}/**/*.py")]
    found = {path.name for path in [*python, REPO / "run.py"] if "expanduser" in path.read_text()}
    assert found == {"paths.py"}


def test_a_vocabulary_may_be_at_home(home):
    vocabulary(home / "home" / "v.model", ["some text to learn from"] * 30)
    pieces = Tokenizer.load("~/v.model").processor.get_piece_size()
    assert registry.output_features("~/v.model")["targets"].vocabulary.vocab_size == pieces


def in_tasks(folder: str, given) -> list[str]:
    spec = {"format": "text", "paths": given, "documents": "line"}
    return sorted(texts(source.read(spec, TEXT, folder)))


def in_corpus(folder: str, given) -> list[str]:
    found = files_of(sources_of({"x": {"files": given, "format": "txt"}}, folder)[0])
    return sorted(pathlib.Path(path).read_text().strip() for path, _ in found)


READERS = {"tasks": in_tasks, "corpus": in_corpus}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
class TestGlobs:
    def test_glob_characters_of_a_folder_are_letters(self, home, read):
        write(home / "my [text] v1.0*" / "a.txt", "right")
        write(home / "my t v1.0x" / "a.txt", "wrong")
        assert read(str(home / "my [text] v1.0*"), "*.txt") == ["right"]
        assert read(str(home / "my [text] v1.0*"), "a.txt") == ["right"]

    def test_a_file_that_is_there_as_written_is_no_glob(self, home, read):
        write(home / "d" / "v[1].txt", "right")
        write(home / "d" / "v1.txt", "wrong")
        assert read(str(home / "d"), "v[1].txt") == ["right"]
        assert read(str(home / "d"), "v[0-9].txt") == ["wrong"]

    @pytest.mark.parametrize(
        "given",
        [
            ["a.txt", "./a.txt"],
            ["*.txt", "a*"],
            ["a.txt", "../d/a.txt"],
            ["**/*.txt", "*.txt"],
            ["a.txt", "link.txt"],
        ],
    )
    def test_a_file_is_read_once(self, home, read, given):
        write(home / "d" / "a.txt", "once")
        if "link.txt" in given:
            (home / "d" / "link.txt").symlink_to("a.txt")
        assert read(str(home / "d"), given) == ["once"]

    def test_home(self, home, read):
        write(home / "home" / "t" / "a.txt", "right")
        assert read("~/t", "*.txt") == ["right"]
        assert read(str(home / "other"), "~/t/*.txt") == ["right"]

    def test_links_that_lead_nowhere_are_counted(self, home, read):
        write(home / "d" / "a.txt", "here")
        for name in ("b.txt", "c.txt"):
            (home / "d" / name).symlink_to("../blobs/gone")
        with pytest.raises(
            InputError, match=r"2 of the 3 files .* links .*b.txt' to '../blobs/gone'"
        ):
            read(str(home / "d"), "*.txt")
        with pytest.raises(InputError, match="1 of the 1 files"):
            read(str(home / "d"), "b.txt")

    def test_a_name_that_is_not_utf8_is_refused_in_a_sentence(self, home, read):
        (home / "d").mkdir()
        with open(os.fsencode(home / "d") + b"/\xe4.txt", "wb") as file:
            file.write(b"x")
        with pytest.raises(InputError, match=r"aren't UTF-8, such as '.*\\xe4.txt'") as refused:
            read(str(home / "d"), "*.txt")
        str(refused.value).encode()

    def test_what_is_missing_is_named_as_it_was_written(self, home, read):
        folder = home / "my [text]"
        folder.mkdir()
        with pytest.raises(InputError, match=r"my \[text\]/a.txt' isn't there"):
            read(str(folder), "a.txt")
        with pytest.raises(InputError, match=r"my \[text\]/\*.txt' matches no file"):
            read(str(folder), "*.txt")


def test_aligned_files_may_be_links_to_one(home):
    """The English side of two pairs is often one file; each link has its own translation."""
    write(home / "d" / "english", "one\ntwo\n")
    for pair, text in (("ko", "하나\n둘\n"), ("th", "หนึ่ง\nสอง\n")):
        (home / "d" / f"en-{pair}.en").symlink_to("english")
        write(home / "d" / f"en-{pair}.xx", text)
    spec = {"en": "*.en", "xx": "*.xx"}
    reader = source.read(
        {"format": "moses", "paths": spec}, {"en": "en", "xx": "xx"}, str(home / "d")
    )
    assert len([*reader.records("all", reader.list_shards("all")[0])]) == 2
    assert len(reader.list_shards("all")) == 2


def test_one_file_of_a_glob(home):
    write(home / "d" / "a.txt", "x")
    assert files.one(str(home / "d" / "*.txt")).endswith("a.txt")
    write(home / "d" / "b.txt", "x")
    with pytest.raises(InputError, match="matches 2 files"):
        files.one(str(home / "d" / "*.txt"))
