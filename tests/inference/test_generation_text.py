"""Text from tokens: whole graphemes as they come, stop strings, and prompts that leave no room."""

import pytest
import regex
import toy_generation as toy
import toy_hf

from polylm_jax.checkpoints.hf import token_ids
from polylm_jax.errors import InputError
from polylm_jax.inference.generation.beam_search import Beams
from polylm_jax.inference.generation.detokenizer import Detokenizer, unfinished
from polylm_jax.inference.generation.sampling import Sampling
from polylm_jax.inference.generation.text_generator import Prompt, TextGenerator
from polylm_jax.model.config import PolyLMConfig
from polylm_jax.tokenizer.tokenizer import Tokenizer

FAMILY = "👩‍👩‍👧‍👦"  # one grapheme, 25 bytes, none of which a toy vocabulary has a piece for


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return Tokenizer.load(toy_hf.vocabulary(tmp_path_factory.mktemp("vocabulary")))


@pytest.fixture(scope="module")
def generator(tokenizer):
    config = PolyLMConfig(
        num_layers=2, embed_dim=16, num_heads=2, mlp_dim=32, vocab_size=640, max_length=96,
        dtype="float32", attention="reference",
    )  # fmt: skip
    return TextGenerator(
        toy.decoder(config, eos=(tokenizer.eos_id,), chunk=4, pieces=tokenizer.vocab_size),
        tokenizer,
    )


@pytest.mark.parametrize(
    "text", [*token_ids.TEXTS.values(), f"a{FAMILY}e\u0301 {FAMILY}b", "각", ""]
)
def test_pieces_add_up_and_cut_no_grapheme(tokenizer, text):
    ids = tokenizer.encode(text)
    stream = Detokenizer(tokenizer, tokenizer.encode("Hi "))
    shown = [stream.show(ids[:end]) for end in range(len(ids) + 1)] + [stream.show(ids, last=True)]
    assert "".join(shown) == text
    borders = {match.end() for match in regex.finditer(r"\X", text)} | {0}
    place = 0
    for piece in shown:
        place += len(piece)
        assert place in borders
    assert sum(map(bool, shown)) >= len(text) / 20  # it does stream


def test_bytes_of_half_a_character_wait(tokenizer):
    ids = tokenizer.encode("𐎠")
    assert len(ids) == 4
    assert [unfinished(tokenizer, ids[:end]) for end in range(5)] == [0, 1, 2, 3, 0]
    stream = Detokenizer(tokenizer, [])
    assert stream.show(ids[:3]) == ""
    assert stream.show(ids[:3], last=True) == "\ufffd" * len(tokenizer.decode(ids[:3]))


def test_a_leading_space_is_kept_behind_a_prompt(tokenizer):
    ids = tokenizer.encode(" two")
    assert Detokenizer(tokenizer, tokenizer.encode("One")).text(ids) == (" two", False)


def test_no_part_of_a_stop_string_is_shown(tokenizer):
    text = "Yes.\n\nQuestion: no <|user|> more"
    ids = tokenizer.encode(text)
    stream = Detokenizer(tokenizer, [], ["<|user|>", "\n\nQ"])
    shown = ""
    for end in range(len(ids) + 1):
        shown += stream.show(ids[:end])
        assert "Yes.".startswith(shown)
    assert shown == "Yes."
    assert stream.text(ids) == ("Yes.", True)


def test_texts_with_stop_strings_end_there(generator, tokenizer):
    prompts = [Prompt(text, 40) for text in ("Die Fähre", "", "フェリー", "ab")]
    free = dict(generator.texts(prompts))
    stop = free[2].text[4:6]
    shown = ["", "", "", ""]

    def show(number, new):
        shown[number] += new

    stopped = [Prompt(p.text, 40, stop=(stop,) if n == 2 else ()) for n, p in enumerate(prompts)]
    done = dict(generator.texts(stopped, show))
    assert [done[n].text for n in range(4)] == shown
    assert done[2].text == free[2].text[: free[2].text.find(stop)]
    assert done[2].finish == "stop" and done[2].tokens < free[2].tokens
    assert [done[n] for n in (0, 1, 3)] == [free[n] for n in (0, 1, 3)]


def test_beams_are_cut_at_stop_strings_too(generator):
    free = dict(generator.texts([Prompt("The", 20, beams=Beams(2))]))[0]
    stop = free.text[3:5]
    ((_, cut),) = generator.texts([Prompt("The", 20, stop=(stop,), beams=Beams(2))])
    assert cut.text == free.text[: free.text.find(stop)] and cut.finish == "stop"
    assert cut.score == free.score


def test_samples_differ_and_come_back(generator):
    prompts = [Prompt("The", 12, sampling=Sampling(1.0), seed=4, sample=n) for n in range(3)]
    texts = dict(generator.texts(prompts))
    assert len({text.text for text in texts.values()}) == 3
    assert dict(generator.texts(prompts[2:]))[0] == texts[2]


def test_a_prompt_without_room_for_a_token_is_refused(generator):
    word = "zz "
    tokens = len(generator.tokenizer.encode(word * 10))
    with pytest.raises(InputError, match="a prompt of .* tokens leaves no room in .* 96 positions"):
        generator.texts([Prompt(word * 1000)]).__next__()
    request = generator.request(Prompt(word * 10))
    assert (len(request.tokens), request.max_new_tokens) == (tokens, 96 - tokens)
    with pytest.raises(InputError, match="stop has an empty string"):
        generator.request(Prompt("a", stop=("",)))
