"""Tasks through the runner: what is asked, what is too long, what a kill leaves, what is known already."""

import dataclasses
import json
import math

import pytest
import toy_evaluation
import toy_hf

from polylm_jax.checkpoints import identity
from polylm_jax.errors import InputError
from polylm_jax.evaluation import language_model, runner
from polylm_jax.evaluation.language_model import Batching, Loading
from polylm_jax.evaluation.outputs import Outputs
from polylm_jax.model.partitioning import MeshConfig
from polylm_jax.runtime.storage import Folder

MESH = MeshConfig(2, 2, 2)
BATCHING = Batching(tokens_per_part=64, label_chunk=16, rows=1)
CONFIG = dataclasses.replace(toy_hf.MODEL, num_layers=1, num_heads=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A checkpoint and its vocabulary, with toy tasks registered."""
    folder = tmp_path_factory.mktemp("evaluation")
    vocabulary = toy_hf.vocabulary(folder)
    toy_hf.checkpoint(folder / "run", vocabulary, CONFIG)
    toy_evaluation.add_rank("toy.rank", vocabulary)
    toy_evaluation.add_generation("toy.text", vocabulary)
    for language in toy_evaluation.TEXTS:
        toy_evaluation.add_text(f"toy.plain_{language}", vocabulary, language)
    return folder


def load(folder, **changes):
    found, progress = identity.identify(str(folder / "run"))
    options = {"dtype": "float32", "mesh": MESH, "batching": BATCHING} | changes
    return language_model.load(found, progress, str(folder / "bpe.model"), Loading(**options))


@pytest.fixture(scope="module")
def model(folder):
    return load(folder)


def log_p(model, context, continuation):
    """Of one pair, by the scorer alone."""
    from polylm_jax.evaluation.requests import encode_pairs

    ((_, score),) = model.score(encode_pairs(model.tokenizer, [(context, continuation)]))
    return score.log_p


def test_ranking_is_by_the_sums_of_each_choice(model):
    result = runner.run(runner.ask("toy.rank", model), model)
    sums = [[log_p(model, c, choice) for choice in some] for c, some in toy_evaluation.ITEMS]
    hits = [right > wrong for right, wrong in sums]
    assert result.metrics["accuracy_sum"] == pytest.approx(100 * sum(hits) / len(hits))
    assert (result.items, result.too_long, result.requests) == (4, 0, 8)
    assert result.protocol.language == "th"


def test_a_task_without_a_protocol_is_scored_as_seqio_does(folder, model):
    vocabulary = str(folder / "bpe.model")
    toy_evaluation.add(
        "toy.foreign", toy_evaluation.ranked(), vocabulary, toy_evaluation.rank_target,
        [toy_evaluation.mean_score],
    )  # fmt: skip
    result = runner.run(runner.ask("toy.foreign", model), model)
    sums = [log_p(model, c, choice) for c, some in toy_evaluation.ITEMS for choice in some]
    assert result.metrics["mean_score"] == pytest.approx(sum(sums) / len(sums), abs=1e-3)


@pytest.mark.parametrize(
    ("splits", "wanted"),
    [(("train", "test"), "test"), (("train",), "train"), (("test", "validation"), "validation")],
)
def test_a_task_without_a_protocol_uses_its_own_split(splits, wanted, folder, model, capsys):
    name = f"toy.splits_{'_'.join(splits)}"
    toy_evaluation.add(
        name, toy_evaluation.ranked(), str(folder / "bpe.model"), toy_evaluation.rank_target,
        [toy_evaluation.mean_score], splits=splits,
    )  # fmt: skip
    asked = runner.ask(name, model)
    assert asked.protocol.split == wanted and len(asked.examples) == 8
    told = f"has no split 'validation': scored on its '{wanted}' split"
    assert (told in capsys.readouterr().out) == (wanted != "validation")
    with pytest.raises(InputError, match="no split 'dev'"):
        runner.ask(name, model, split="dev")


def test_answers_are_greedy_and_cut(folder, model):
    result = runner.run(runner.ask("toy.text", model), model)
    assert result.items == 3 and result.metrics["longest"] > 0
    whole = dict(model.answer([[5, 6, 7]], 12, ()))[0].text
    mark = whole[len(whole) // 2]
    cut = dict(model.answer([[5, 6, 7]], 12, (mark,)))[0]
    assert cut.text == whole[: whole.index(mark)] and cut.finish == "stop"


def test_plain_text_is_measured_in_bits(model):
    for language, texts in toy_evaluation.TEXTS.items():
        result = runner.run(runner.ask(f"toy.plain_{language}", model), model)
        nats = 0.0
        for text in texts:
            whole = [*model.tokenizer.encode(text), model.tokenizer.eos_id]
            assert len(whole) <= model.max_length  # one window: plain log p of all of it
            from polylm_jax.evaluation.requests import rolling

            ((_, score),) = model.score(rolling(whole, model.tokenizer.eos_id, model.max_length))
            nats -= score.log_p
        size = sum(len(text.encode()) for text in texts)
        bits = nats / math.log(2)
        assert result.metrics["bits_per_byte"] == pytest.approx(bits / size, rel=1e-5)
        assert result.metrics["bits_per_character"] == pytest.approx(bits / sum(map(len, texts)))
        assert result.protocol.language == language


def test_what_is_too_long_is_counted_with_its_whole_item(folder, model):
    items = [*toy_evaluation.ITEMS, ("The ferry", [" leaves", " bread" * 60])]
    toy_evaluation.add_rank("toy.long", str(folder / "bpe.model"), items)
    result = runner.run(runner.ask("toy.long", model), model)
    short = runner.run(runner.ask("toy.rank", model), model)
    assert (result.items, result.too_long, result.requests) == (5, 1, 8)
    assert result.metrics == short.metrics
    toy_evaluation.add_generation("toy.no_room", str(folder / "bpe.model"), max_new_tokens=40)
    asked = runner.ask("toy.no_room", model)
    assert asked.items_too_long == 3
    assert runner.run(asked, model).metrics == {}


def test_known_outputs_are_not_computed_again(folder, model, tmp_path):
    place = Folder(str(tmp_path))
    first = runner.run(runner.ask("toy.rank", model), model, place)
    again = runner.run(runner.ask("toy.rank", model), model, place)
    assert (first.computed, again.computed) == (8, 0)
    assert again.metrics == first.metrics
    part = runner.run(runner.ask("toy.rank", model, limit=2), model, place)
    assert part.computed == part.requests == 4  # other questions: begun anew
    other = load(folder, dtype="bfloat16")
    assert runner.run(runner.ask("toy.rank", other, limit=2), other, place).computed == 4


def test_a_kill_leaves_what_was_done(model, tmp_path):
    class Killed(Exception):
        pass

    def advance(done, total):
        if done == 5:
            raise Killed

    place = Folder(str(tmp_path))
    with pytest.raises(Killed):
        runner.run(runner.ask("toy.rank", model), model, place, advance=advance)
    path = tmp_path / "toy.rank.jsonl"
    path.write_bytes(path.read_bytes() + b'{"n": 7, "log_p": -1')  # half a line
    result = runner.run(runner.ask("toy.rank", model), model, place)
    assert result.computed == 3
    fresh = runner.run(runner.ask("toy.rank", model), model)
    assert result.metrics == fresh.metrics
    numbers = [json.loads(line).get("n") for line in path.read_text().splitlines()]
    assert numbers[0] is None and sorted(numbers[1:]) == [*range(8)]


def test_stopping_early_gives_no_result(model, tmp_path):
    assert runner.run(runner.ask("toy.rank", model), model, stop=lambda: True) is None


def test_outputs_that_answer_something_else_are_dropped(tmp_path):
    place = Folder(str(tmp_path))
    first = Outputs(place, "toy", {"requests": "a"})
    first.add(3, {"text": "ไทย\u2028\ud83d", "finish": "stop"})
    first.close()
    same = Outputs(place, "toy", {"requests": "a"})
    assert same.done[3]["finish"] == "stop" and not same.renewed
    same.close()
    other = Outputs(place, "toy", {"requests": "b"})
    assert not other.done and other.renewed
    other.close()


def bad(name, folder, examples, **options):
    toy_evaluation.add(
        name, examples, str(folder / "bpe.model"), toy_evaluation.rank_target,
        options.pop("metrics", [toy_evaluation.mean_score]), **options,
    )  # fmt: skip
    return name


def test_bad_tasks_get_one_sentence(folder, model):
    good = toy_evaluation.ranked()
    empty = bad("bad.empty", folder, [{**good[0], "targets": ""}])
    uncut = bad("bad.uncut", folder, good, steps=[])
    silent = bad("bad.silent", folder, good, metrics=[])
    for name, sentence in (
        (empty, "has an empty choice"),
        (uncut, "don't end in"),
        (silent, "give it metric_fns"),
        ("toy.rnk", "Did you mean 'toy.rank'"),
    ):
        with pytest.raises(InputError, match=sentence):
            runner.ask(name, model)


def test_bad_checkpoints_get_one_sentence(folder, tmp_path):
    with pytest.raises(InputError, match="has no 'checkpoints' folder"):
        identity.identify(str(tmp_path))
    found, progress = identity.identify(str(folder / "run"))
    other = toy_hf.vocabulary(tmp_path, "unigram")
    with pytest.raises(InputError, match="the checkpoint was trained with"):
        language_model.load(found, progress, other)
    with pytest.raises(InputError, match="label_chunk = 0"):
        load(folder, batching=Batching(label_chunk=0))
    with pytest.raises(InputError, match="mesh 3x1x1 does not fit"):
        load(folder, mesh=MeshConfig(3))
