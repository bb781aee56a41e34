"""Published layouts of instruction data: each is read as the same conversation, and what isn't read is told."""

import csv
import json
from collections import Counter

import pyarrow
import pyarrow.parquet
import pytest
from toy_tasks import model

from polylm_jax.data.packed_rows import PackedRows
from polylm_jax.data.stores.build import build_store
from polylm_jax.errors import InputError, Refusal, Unread
from polylm_jax.text import task_text
from polylm_jax.tokenizer.tokenizer import Tokenizer
from tasks.instructions import tuning
from tasks.instructions.conversations import Conversations
from tasks.instructions.layouts import AROUND, conversation

ASKED, SAID = "¿Dónde está la mesa?", "Junto al río."
TURNS = [("user", ASKED), ("assistant", SAID)]
SYSTEM = ("system", "Sé breve.")


def chat(*turns, role="role", content="content"):
    return [{role: who, content: said} for who, said in turns]


def parts(text):
    return [{"type": "text", "text": text}]


LAYOUTS = {
    "Alpaca": {"instruction": ASKED, "input": None, "output": SAID},
    "Dolly": {"instruction": ASKED, "context": "", "response": SAID},
    "Aya": {"inputs": ASKED, "targets": SAID},
    "TRL": {"prompt": ASKED, "completion": SAID},
    "TRL with messages": {"prompt": chat(("user", ASKED)), "completion": chat(("assistant", SAID))},
    "question and answer": {"question": ASKED, "answer": SAID},
    "messages": {"messages": chat(*TURNS)},
    "ShareGPT": {"conversations": chat(("human", ASKED), ("gpt", SAID), role="from", content="value")},
    "parts": {"messages": chat(("user", parts(ASKED)), ("assistant", parts(SAID)))},
    "a table's JSON": {"messages": json.dumps(chat(*TURNS))},
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_is_the_same_conversation(name):
    found = conversation(LAYOUTS[name])
    assert found.messages == TURNS and not found.unread


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_system_message_stands_before_all(name):
    found = conversation({**LAYOUTS[name], "system": SYSTEM[1]})
    assert found.messages == [SYSTEM, *TURNS] and not found.unread
    assert conversation({**LAYOUTS[name], "system": ""}).messages == TURNS
    assert "is 7, not text" in conversation({**LAYOUTS[name], "system": 7})


def test_history_is_what_was_said_before():
    before = [("user", "Hola"), ("assistant", "Buenos días")]
    for history in ([["Hola", "Buenos días"]], chat(*before)):
        found = conversation({**LAYOUTS["Alpaca"], "system": SYSTEM[1], "history": history})
        assert found.messages == [SYSTEM, *before, *TURNS] and not found.unread
    assert conversation({**LAYOUTS["Alpaca"], "history": []}).messages == TURNS
    assert "no list of [question, answer]" in conversation(
        {**LAYOUTS["Alpaca"], "history": [["a"]]}
    )


def test_a_developer_is_the_system_and_several_are_one():
    found = conversation(
        {"messages": chat(("developer", "a"), ("system", "b"), *TURNS), "system": "c"}
    )
    assert found.messages == [("system", "c\na\nb"), *TURNS]


def test_chats_begun_by_the_model_are_read_and_counted():
    turns = [("assistant", "¿En qué ayudo?"), *TURNS, ("user", "Gracias.")]
    found = conversation({"messages": chat(SYSTEM, *turns)})
    assert found.messages == [SYSTEM, *TURNS] and found.unread == (AROUND,)


@pytest.mark.parametrize(
    ("record", "reason", "kind"),
    [
        ({"instruction": ASKED, "output": [SAID, SAID]}, "field 'output' is a list of 2, not text", str),
        ({"prompt": ASKED, "completion": {"a": 1}}, "field 'completion' is an object, not text", str),
        ({"inputs": ASKED, "targets": " "}, "no text in field 'targets'", str),
        ({"text": ASKED}, "no field 'instruction' or 'inputs'", str),
        ({"instruction": ASKED}, "no field 'output'", str),
        ({"messages": chat(("user", ASKED), ("assistant", None))}, "a message has no role or no text", str),
        (
            {"messages": [*chat(("user", ASKED)), {"role": "assistant", "content": None, "tool_calls": [{"id": 1}]}]},
            "a call of a tool", Refusal,
        ),
        ({"messages": chat(("user", ASKED), ("tool", "42"), ("assistant", SAID))}, "a call of a tool", Refusal),
        (
            {"messages": chat(("user", [{"type": "image_url", "image_url": "x"}]), ("assistant", SAID))},
            "a part of a message is 'image_url'", Refusal,
        ),
    ],
)  # fmt: skip
def test_what_is_no_conversation_says_why(record, reason, kind):
    found = conversation(record)
    assert found.startswith(reason) and type(found) is kind


def test_what_a_record_has_and_nobody_reads_is_named():
    record = {**LAYOUTS["Aya"], "language": "es", "empty": None, "prompt": "x"}
    assert conversation(record).unread == ("field 'language'", "field 'prompt'")
    turns = [{"role": "user", "content": ASKED, "name": "Ana"}, *chat(TURNS[1])]
    assert conversation({"messages": turns}).unread == ("field 'messages.name'",)


RECORDS = [
    {"id": n, "lang": "es" if n % 2 else "pt", "pregunta": f"¿{n} y dos?", "respuesta": f"{n + 2}\nson.", "input": "N/A"}
    for n in range(4)
]  # fmt: skip


def write(path, records):
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(records), path, row_group_size=2)
    elif path.suffix in (".csv", ".tsv"):
        with open(path, "w", newline="", encoding="utf-8-sig") as file:
            plain = {"delimiter": "\t", "quoting": csv.QUOTE_NONE, "quotechar": None}
            lines = csv.writer(file, **plain if path.suffix == ".tsv" else {})
            lines.writerow(records[0])
            for record in records:
                cells = [str(value) for value in record.values()]
                lines.writerow([c.replace("\n", " ") for c in cells] if path.suffix == ".tsv" else cells)  # fmt: skip
    elif path.suffix == ".json":
        path.write_text(json.dumps(records), encoding="utf-8")
    else:
        path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")


def read(path, **options):
    reader, told = Conversations(paths=str(path), **options), Counter()
    found = [
        json.loads(record["conversation"])
        for unit in reader.units.values()
        for record in reader.read(unit, lambda path, line, reason, raw: told.update([reason]))
    ]
    return found, told


@pytest.mark.parametrize("ending", ["jsonl", "json", "parquet", "csv", "tsv"])
def test_every_format_gives_the_same_records(tmp_path, ending):
    path = tmp_path / f"data.{ending}"
    write(path, RECORDS)
    named = {"instruction": "pregunta", "input": "input", "output": "respuesta"}
    found, told = read(path, fields=named, where={"lang": "es"})
    space = " " if ending == "tsv" else "\n"
    expected = [[["user", f"¿{n} y dos?"], ["assistant", f"{n + 2}{space}son."]] for n in (1, 3)]
    assert found == expected and told == {"field 'lang'": 2}
    assert all(isinstance(one, Unread) for one in told)


def test_chats_in_parquet_are_read(tmp_path):
    write(tmp_path / "c.parquet", [{"messages": chat(SYSTEM, *TURNS), "source": "x"}] * 3)
    found, told = read(tmp_path / "c.parquet")
    assert found == [[list(turn) for turn in (SYSTEM, *TURNS)]] * 3 and told == {
        "field 'source'": 3
    }


def test_rows_and_tables_of_other_shapes_are_counted(tmp_path):
    (tmp_path / "a.csv").write_text("instruction,output\na,b\nc\n")
    assert read(tmp_path / "a.csv")[1] == {"1 cells, and the first line has 2": 1}
    (tmp_path / "b.csv").write_text('instruction,output\na,"b\n')
    with pytest.raises(InputError, match="after line 2"):
        read(tmp_path / "b.csv")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"paths": "x", "column": {}}, "option 'column' isn't known. Did you mean 'columns'"),
        ({"format": "csv"}, "has no 'paths'"),
        ({"paths": "x", "format": "cvs"}, "format = 'cvs' .* Did you mean 'csv'"),
        ({"paths": "x", "columns": {"answer": "a"}}, "fields names 'answer'"),
    ],
)
def test_a_spec_that_cannot_be_is_refused(spec, said):
    with pytest.raises(InputError, match=said.replace("[", r"\[")):
        tuning.register("", "none.model", {"es": spec}, name="wrong")


def test_a_store_counts_what_is_not_read_and_a_run_tells_it(tmp_path):
    write(tmp_path / "d.jsonl", [{**LAYOUTS["Aya"], "language": "es"}] * 3)
    vocabulary = model(tmp_path)
    (name,) = tuning.register(str(tmp_path), vocabulary, {"es": "d.jsonl"}, name="unread", held_out=0.0)  # fmt: skip
    manifest = build_store(
        task_text.find(name), str(tmp_path / "store"), Tokenizer.load(vocabulary)
    )
    assert manifest.unread == {"field 'language'": 3} and not manifest.bad_lines
    from polylm_jax.data.mixture.schedule import Phase, Schedule
    from polylm_jax.data.stores.store import TokenStore

    store = TokenStore.open(str(tmp_path / "store"))
    rows = PackedRows(Schedule([Phase("p", {name: 1.0}, 4)]), {name: store}, 64, 0)
    assert f"{name}: 3 have field 'language', which isn't read" in rows.notes()


def test_options_of_before_keep_a_stores_identity():
    before = Conversations(paths="x.jsonl").options()
    assert before["format"] == "Conversations" and not {"fields", "files"} & set(before)
    assert Conversations(paths="x.jsonl", format="csv").options() != before
