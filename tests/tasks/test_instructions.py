"""Instruction data: what is read, what is left out and why, how it is written, what is learned of it."""

import json
from collections import Counter

import jinja2
import numpy as np
import pytest
import seqio
from reading import vocabulary
from toy_tasks import model

from polylm_jax.checkpoints.hf.tokenizer_files import write_tokenizer
from polylm_jax.data.stores import tokens as task_tokens
from polylm_jax.data.stores.build import build_store
from polylm_jax.data.stores.store import ANSWER, BEGINS, MARKS, TokenStore
from polylm_jax.errors import InputError, Refusal
from polylm_jax.text import instruction_defects, task_text
from polylm_jax.tokenizer.tokenizer import Tokenizer
from tasks.instructions import layouts, templates, tuning

CHAT = [("user", "ما اسمك؟"), ("assistant", "سامي."), ("user", "และคุณล่ะ"), ("assistant", "ไม่มีชื่อ")]


def read(tmp_path, lines, name="data.jsonl", **options):
    """(conversations, what was refused: reason -> count) of a file."""
    (tmp_path / name).write_text("\n".join(lines), encoding="utf-8")
    names = tuning.register(str(tmp_path), "none.model", {"es": name}, name=f"t{abs(hash(str(tmp_path)))}", **options)  # fmt: skip
    task, bad = task_text.find(names[0]), Counter()
    texts = []
    for unit in task_text.units(task):
        for batch in task_text.text_batches(
            task, unit, on_bad_line=lambda path, line, reason, raw: bad.update([reason])
        ):
            texts += batch["targets"]
    return texts, bad


def record(**fields):
    return json.dumps({"instruction": "Suma.", "input": None, "output": "3", **fields})


@pytest.mark.parametrize(
    "nothing",
    [
        None,
        "",
        " ",
        "<noinput>",
        "N/A",
        "Nenhum.",
        "入力は必要ありません。",
        "No se requiere ninguna entrada.",
    ],
)
def test_no_input_is_no_input(nothing):
    got = layouts.conversation({"instruction": "Suma.", "input": nothing, "output": "3"})
    assert got.messages == [("user", "Suma."), ("assistant", "3")] and not got.unread


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"output": "None"}, "the output is 'None'"),
        ({"output": " "}, "the output is empty"),
        ({"instruction": "「足してください。」"}, "the instruction stands in quotes"),
        ({"instruction": '"Suma 1 y 2."'}, "the instruction stands in quotes"),
        ({"output": "3\n11. Input:\nx"}, "numbering of the prompt is left over"),
    ],
)
def test_a_defect_is_left_out_for_its_reason(tmp_path, fields, reason):
    texts, bad = read(tmp_path, [record(**fields), record()])
    assert texts == ["Suma.\n\n3"] and bad == {reason: 1}
    assert all(isinstance(one, Refusal) for one in bad)


@pytest.mark.parametrize(
    "fields",
    [
        {"instruction": '"a" o "b"'},
        {"instruction": "「山」と「川」"},
        {"input": "No tengo tiempo."},
        {"input": "商品名：豆\n在庫：なし"},
        {"output": "Nonet"},
    ],
)
def test_what_only_looks_like_a_defect_stays(fields):
    assert not instruction_defects.reason(json.loads(record(**fields)))


def test_cleaning_can_be_left_off(tmp_path):
    texts, bad = read(tmp_path, [record(output="None")], clean=False)
    assert texts == ["Suma.\n\nNone"] and not bad


def test_the_real_files_have_the_defects_that_were_counted(data_dir):
    """MultiAlpaca's own files: what the project's description of them counted, by other means."""
    counts = {}
    for code in ("es", "ja", "pt"):
        with open(data_dir / "multialpaca" / f"{code}.jsonl", encoding="utf-8") as lines:
            counts[code] = Counter(instruction_defects.reason(json.loads(line)) for line in lines)
    quoted = [counts[code]["the instruction stands in quotes"] for code in ("es", "ja", "pt")]
    assert quoted[0] == 0 and 830 < quoted[1] <= 851 and quoted[2] == 11
    leftover = [counts[c]["numbering of the prompt is left over"] for c in ("es", "ja", "pt")]
    assert leftover == [3, 3, 1]
    none = [counts[c]["the output is 'None'"] for c in ("es", "ja", "pt")]
    assert all(abs(got - want) <= 1 for got, want in zip(none, (53, 50, 10)))


def test_a_json_array_and_json_lines_are_the_same(tmp_path):
    records = [record(output=str(n)) for n in range(5)]
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    lines, _ = read(tmp_path / "a", records)
    array, _ = read(tmp_path / "b", ["[", ",\n".join(records), "]"], "data.json")
    assert lines == array and len(lines) == 5


def test_chats_of_either_layout():
    chat = {"messages": [{"role": role, "content": content} for role, content in CHAT]}
    names = {"user": "human", "assistant": "gpt"}
    other = {"conversations": [{"from": names[role], "value": said} for role, said in CHAT]}
    assert layouts.conversation(chat).messages == layouts.conversation(other).messages == CHAT
    assert layouts.conversation({"messages": chat["messages"][:3]}).messages == CHAT[:2]


@pytest.mark.parametrize(
    "messages", [[], [{"role": "assistant", "content": "a"}], [{"role": "user"}], "no", [1]]
)
def test_a_chat_that_is_none_says_why(messages):
    assert isinstance(layouts.conversation({"messages": messages}), str)


@pytest.mark.parametrize("name", [*templates.TEMPLATES, "Q: {content} \nA:"])
def test_the_chat_template_writes_what_the_template_writes(name):
    template = templates.find(name)
    for conversation in (CHAT, [("system", "Sé breve."), *CHAT], CHAT[:2], CHAT[:1]):
        ours = "".join(t + "</s>" * a for t, a in template.segments(conversation))
        if conversation[-1][0] == "user":
            ours += template.user.replace("{content}", conversation[-1][1])
        messages = [{"role": role, "content": content} for role, content in conversation]
        theirs = jinja2.Template(template.jinja()).render(messages=messages, eos_token="</s>")
        assert theirs == ours


def written(template, tokenizer, conversation):
    """The ids that a store would hold."""
    segments = templates.find(template).segments(conversation)
    batch = {
        "targets": ["".join(text for text, _ in segments)],
        "segments": [[text for text, _ in segments]],
        "is_answer": [[answer for _, answer in segments]],
    }
    batch, ids = task_tokens.encoded(batch, tokenizer)
    return ids[0].tolist() + [tokenizer.eos_id], batch["marks"][0]


@pytest.mark.parametrize("options", [{}, {"add_dummy_prefix": True, "user_defined_symbols": []}])
@pytest.mark.parametrize("name", [*templates.TEMPLATES, "{content} \nA:"])
def test_the_exported_tokenizer_writes_the_ids_of_the_store(name, options, tmp_path):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    tokenizer = Tokenizer.load(
        vocabulary(tmp_path / "v.model", [c for _, c in CHAT] * 50, **options)
    )
    write_tokenizer(tokenizer, tmp_path, 128, templates.chat_template(name))
    loaded = transformers.AutoTokenizer.from_pretrained(tmp_path)

    def theirs(conversation):
        messages = [{"role": role, "content": content} for role, content in conversation]
        return loaded.apply_chat_template(
            messages, return_dict=False, tokenizer_kwargs={"split_special_tokens": False}
        )

    ids, marks = written(name, tokenizer, CHAT)
    assert theirs(CHAT) == ids
    # A prompt is what stands before an answer, in either turn.
    answer = (marks & ANSWER) > 0
    begins = np.flatnonzero(answer[1:] & ~answer[:-1]) + 1
    assert [theirs(CHAT[:turns]) for turns in (1, 3)] == [ids[:begin] for begin in begins]


def test_a_turn_of_a_chat_is_the_template(name="chat"):
    assert templates.turn(name) == "<|user|>\n{user}\n<|assistant|>\n{assistant}\n"
    assert templates.turn("multialpaca") == "{user}\n\n{assistant}\n"


def test_an_unknown_template_is_refused_with_the_nearest():
    with pytest.raises(InputError, match="Did you mean 'multialpaca'"):
        templates.find("multialpacca")


def test_a_store_knows_what_is_learned(tmp_path):
    vocabulary = model(tmp_path)
    chat = {"messages": [{"role": role, "content": content} for role, content in CHAT]}
    lines = [json.dumps(chat), record(), record(output="None")]
    (tmp_path / "data.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (name,) = tuning.register(str(tmp_path), vocabulary, {"es": "data.jsonl"}, name="marked", held_out=0.0)  # fmt: skip
    tokenizer = Tokenizer.load(vocabulary)
    build_store(task_text.find(name), str(tmp_path / "store"), tokenizer)
    store = TokenStore.open(str(tmp_path / "store"))
    assert store.manifest.refused == {"the output is 'None'": 1} and not store.manifest.bad_lines
    tokens, marks = (
        store.read_rows(split, np.zeros(1, np.int64), store.num_tokens(split) - 1)[0]
        for split in ("train", f"train{MARKS}")
    )
    assert len(tokens) == len(marks) and np.flatnonzero(marks & BEGINS)[0] == 0
    assert (marks & BEGINS).sum() == 2 * BEGINS
    learned = tokens[(marks & ANSWER) > 0].tolist()
    answers = [tokenizer.encode(text) for text in ("سامي.", "ไม่มีชื่อ", "3")]
    assert learned == [token for ids in answers for token in [*ids, tokenizer.eos_id]]
    questions = tokens[(marks & ANSWER) == 0].tolist()
    asked = [templates.TEMPLATES["multialpaca"].segments(CHAT)[n][0] for n in (0, 2)]
    assert questions == [t for text in (*asked, "Suma.\n\n") for t in tokenizer.encode(text)]


def test_a_seqio_client_reads_the_task(tmp_path):
    vocabulary = model(tmp_path)
    (tmp_path / "data.jsonl").write_text(record(), encoding="utf-8")
    (name,) = tuning.register(str(tmp_path), vocabulary, {"es": "data.jsonl"}, name="client", held_out=0.0)  # fmt: skip
    data = seqio.get_mixture_or_task(name).get_dataset({"targets": 64}, "train", shuffle=False)
    (example,) = data.as_numpy_iterator()
    ids = [int(token) for token in example["targets"]]
    assert Tokenizer.load(vocabulary).decode(ids) == "Suma.\n\n3"
