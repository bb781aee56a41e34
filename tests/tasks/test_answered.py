"""The language of generated answers: held-out instructions alone are asked, each by its own template."""

import json

import pytest
import seqio
from toy_tasks import model

from polylm_jax.errors import InputError
from polylm_jax.evaluation import examples, protocol
from polylm_jax.text import task_text
from tasks.instructions import answered, tuning
from tasks.metrics.in_language import in_language

SAID = {
    "es": "El panda gigante es una especie de oso que vive en las montañas de China central.",
    "ja": "ジャイアントパンダは中国中部の山に住むクマの一種です。",
    "en": "The giant panda is a kind of bear that lives in the mountains of central China.",
    "th": "แพนด้ายักษ์เป็นหมีชนิดหนึ่งที่อาศัยอยู่ในภูเขาทางตอนกลางของประเทศจีน",
}


@pytest.mark.parametrize("code", SAID)
def test_answers_in_the_language_are_counted(code):
    score = in_language(code)
    right = score([""] * 2, [SAID[code], SAID[code]])
    assert right["in_language"] == 100 and right["no_language"] == 0
    mixed = score([""] * 4, [SAID[code], SAID["en" if code != "en" else "es"], "", "42!"])
    assert mixed["in_language"] == 25 and mixed["no_language"] == 50
    assert code == "en" or mixed["in_english"] == 25


def test_what_is_asked_is_what_was_held_out(tmp_path):
    vocabulary = model(tmp_path)
    lines = [json.dumps({"instruction": f"¿{n}?", "input": None, "output": f"Es {n}."}) for n in range(60)]  # fmt: skip
    (tmp_path / "d.jsonl").write_text("\n".join(lines), encoding="utf-8")
    options = {"template": "Q: {content} \nA:", "held_out": 0.3}
    (tuned,) = tuning.register(str(tmp_path), vocabulary, {"es": "d.jsonl"}, name="seen", **options)
    (asked,) = answered.register(str(tmp_path), vocabulary, {"es": "d.jsonl"}, **options)
    task = task_text.find(tuned)
    trained = [
        text
        for unit in task_text.units(task)
        for batch in task_text.text_batches(task, unit, "train")
        for text in batch["targets"]
    ]
    found = examples.read(seqio.TaskRegistry.get(asked), answered.SPLIT)
    assert len(found) + len(trained) == 60 and 5 < len(found) < 40
    whole = [example["inputs"] + example["targets"] for example in found]
    assert not set(whole) & set(trained) and all(text.startswith("Q: ¿") for text in whole)
    told = protocol.find(asked)
    assert (told.language, told.metric, told.stop) == ("es", "in_language", ())


def test_a_language_that_nobody_can_tell_is_refused(monkeypatch):
    from polylm_jax.languages import registry
    from polylm_jax.languages.registry import Language

    for name in ("qu", "quechua"):
        monkeypatch.delitem(registry._BY_NAME, name, raising=False)
    monkeypatch.delitem(registry.LANGUAGES, "qu", raising=False)
    registry.register(Language("qu", "Quechua", "Runasimi", "Latn"))
    with pytest.raises(InputError, match="the identifier doesn't know it"):
        answered.register("", "none.model", {"qu": "x.jsonl"})
