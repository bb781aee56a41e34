"""Preprocessors: literal examples in and out, the same through TensorFlow and without it."""

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from seqio.test_utils import assert_dataset

from polylm_jax.errors import InputError
from tasks.preprocessors import TEMPLATES, Document, Pair

SHARED = {"group": "7", "held_out": False}
RECORD = {"en": "Hello.", "th": "สวัสดี", **SHARED}
sides = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


def dataset(*records):
    return tf.data.Dataset.from_tensor_slices({k: [r[k] for r in records] for k in records[0]})


def test_document():
    out = Document("th")(dataset({"text": "สวัสดี", **SHARED}))
    assert_dataset(
        out, {"targets": "สวัสดี".encode(), "language": b"th", "group": b"7", "held_out": False}
    )


def test_pair_is_written_as_the_prompt_of_polylms_readme():
    expected = {
        "targets": "Hello.\nTranslate this sentence from English to Thai.\nสวัสดี".encode(),
        "language": b"en-th",
        "group": b"7",
        "held_out": False,
        "side_languages": [b"en", b"", b"th"],
        "side_bytes": [6, 47, 18],
    }
    assert_dataset(Pair("en", "th")(dataset(RECORD)), expected)


@pytest.mark.parametrize(
    ("template", "text", "languages", "lengths"),
    [
        ("names", "Thai: สวัสดี\nEnglish: Hello.", ["", "th", "", "en"], [6, 18, 10, 6]),
        ("tags", "<th> สวัสดี\n<en> Hello.", ["", "th", "", "en"], [5, 18, 6, 6]),
        ("{source}{target}", "สวัสดีHello.", ["th", "en"], [18, 6]),
        ("{target} {{{source_native}}} {source}!", "Hello. {ไทย} สวัสดี!", ["en", "", "th", ""], [6, 13, 18, 1]),
    ],
)  # fmt: skip
def test_templates(template, text, languages, lengths):
    example = Pair("th", "en", template).render(RECORD)
    assert example["targets"] == text
    assert example["side_languages"] == languages
    assert example["side_bytes"] == lengths
    assert example["language"] == "th-en"


@settings(max_examples=40, deadline=None)
@given(sides, sides, st.sampled_from([*TEMPLATES, "{target}={source}"]))
def test_render_is_what_tensorflow_gives(english, thai, template):
    record = {"en": english, "th": thai, **SHARED}
    for pair in (Pair("en", "th", template), Pair("th", "en", template)):
        example = pair.render(record)
        assert sum(example["side_bytes"]) == len(example["targets"].encode())
        encoded = {
            name: value.encode() if isinstance(value, str) else value
            for name, value in example.items()
        }
        encoded["side_languages"] = [code.encode() for code in example["side_languages"]]
        assert_dataset(pair(dataset(record)), encoded)


def test_document_renders_the_same_without_tensorflow():
    record = {"text": "ข้อความ", **SHARED}
    assert Document("code").render(record) == {"targets": "ข้อความ", "language": "code", **SHARED}


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{source} only", r"must have \{source\} and \{target\} once each"),
        ("{source}{source}{target}", "once each"),
        ("promt", "Did you mean 'prompt'"),
        ("{source} {taget}", "unknown field 'taget'. Did you mean 'target'"),
        ("{source} {", "double the braces"),
        ("{} {source} {target}", "unknown field ''"),
    ],
)
def test_wrong_templates_are_refused_when_made(template, message):
    with pytest.raises(InputError, match=message):
        Pair("en", "th", template)


def test_equal_ones_are_equal():
    assert Pair("en", "th") == Pair("en", "th") != Pair("th", "en")
    assert repr(Pair("en", "th")) == "Pair(source='en', target='th', template='prompt')"
