"""No validation sentence is trained on: the stores themselves, decoded and searched."""

import json

import numpy as np
import pytest
from toy_tasks import forget, model

from polylm_jax.data.stores.cache import ensure_stores
from polylm_jax.tokenizer.tokenizer import Tokenizer
from tasks import corpus

LANGUAGES = ("en", "th", "ar", "ja", "id")
PAIRS = LANGUAGES[1:]
SHORT = 15  # characters: less is no sentence ("or:")


@pytest.fixture
def stores(data_dir, tmp_path, tmp_path_factory):
    """The tokenizer and the stores of tldr's pages and pairs in five languages."""
    vocabulary = model(tmp_path_factory.getbasetemp())
    names = corpus.register(
        str(data_dir / "tldr"),
        vocabulary,
        {code: f"{code}.jsonl" for code in LANGUAGES},
        {f"en-{code}": f"en-{code}.jsonl" for code in PAIRS},
        name="toy",
        held_out=0.02,
    )
    yield Tokenizer.load(vocabulary), ensure_stores(names, str(tmp_path), vocabulary)
    forget()


def documents(tokenizer, store, split):
    """The texts of a split."""
    tokens = store.read_rows(split, np.array([0]), store.num_tokens(split) - 1)[0]
    ends = np.flatnonzero(tokens == tokenizer.eos_id) + 1
    return [tokenizer.decode(one) for one in np.split(tokens, ends)[:-1]]


def sentences(document):
    """The lines of a document that say something, without the markup of a page."""
    lines = (line.strip("#>- `:.") for line in document.split("\n"))
    return {line for line in lines if len(line) >= SHORT}


def pages_by_id(data_dir):
    """All that the corpus says under an id, in any language and in pairs, as one text per id."""
    pages = {}
    for path in sorted((data_dir / "tldr").glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            # In en-id the Indonesian sentence took the place of the id.
            page = record["id"] if path.stem == "en-id" else record.pop("id")
            pages.setdefault(page, []).extend(record.values())
    return ["\n".join(texts) for texts in pages.values()]


def test_validation_sentences_are_in_no_training_store(stores, data_dir):
    tokenizer, opened = stores
    trained = "\n".join(
        text for store in opened.values() for text in documents(tokenizer, store, "train")
    )
    held_out = set()
    for name, store in opened.items():
        texts = documents(tokenizer, store, "validation")
        assert texts, f"{name} holds nothing out"
        held_out |= {said for text in texts for said in sentences(text)}
    instruction = {said for said in held_out if said.startswith("Translate this sentence from")}
    held_out -= instruction
    found = {said for said in held_out if said in trained}
    assert len(held_out) > 500 and len(instruction) == 2 * len(PAIRS)
    assert len(found) < len(held_out) / 4
    pages = pages_by_id(data_dir)
    once = [said for said in sorted(found) if sum(said in page for page in pages) < 2]
    assert not once, (
        f"the corpus has these on one page, and they are held out and trained on: {once}"
    )
