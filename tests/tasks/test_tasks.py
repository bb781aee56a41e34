"""Tasks: one line adds one, any SeqIO client reads it, and no validation text is trained on."""

import uuid

import pytest
import seqio
from reading import everything, jsonl, vocabulary, write
from seqio.test_utils import assert_dataset

from polylm_jax.errors import InputError
from polylm_jax.languages import registry
from polylm_jax.text.held_out import normalise
from tasks import bilingual, corpus, monolingual

PAIRS = [
    {"id": f"page {i}", "en": f"The cat sees {i} dogs.", "th": f"แมวเห็นหมา {i} ตัว"}
    for i in range(60)
]
SENTENCES = [pair[side] for pair in PAIRS for side in ("en", "th")]
TLDR = ["ar", "de", "es", "fr", "id", "it", "ja", "ko", "nl", "pl", "pt", "ru", "th", "tr", "zh"]


@pytest.fixture(name="name")
def fresh_name():
    """A name that no other test has registered: SeqIO's registry is one for the process."""
    return f"test_{uuid.uuid4().hex}"


@pytest.fixture(scope="module", name="folder")
def corpus_folder(tmp_path_factory):
    """A small corpus, monolingual, parallel and code, with a vocabulary for it."""
    folder = tmp_path_factory.mktemp("corpus")
    for side in ("en", "th"):
        pages = [{"id": pair["id"], "text": pair[side]} for pair in PAIRS]
        write(folder / f"{side}.jsonl", jsonl(pages))
    write(folder / "news/th.txt", "ข่าว\n")
    write(folder / "code.jsonl.gz", b"")
    write(folder / "en-th.jsonl", jsonl(PAIRS))
    write(folder / "moses/a.en", "".join(p["en"] + "\n" for p in PAIRS))
    write(folder / "moses/a.th", "".join(p["th"] + "\n" for p in PAIRS))
    vocabulary(folder / "sp.model", SENTENCES)
    return folder


def register(folder, name, **options):
    given = {
        "data_dir": str(folder),
        "vocabulary": str(folder / "sp.model"),
        "monolingual": {"en": "en.jsonl", "th": "th.jsonl"},
        "bilingual": {"en-th": "en-th.jsonl"},
        "name": name,
        **options,
    }
    return corpus.register(**given)


def source(task):
    return seqio.TaskRegistry.get(task).source


def test_one_line_adds_a_language_or_a_pair(folder, name):
    model = str(folder / "sp.model")
    assert monolingual.add(name, "th", "th.jsonl", model, str(folder)) == f"{name}.th"
    assert monolingual.add(name, "code", "code.jsonl.gz", model) == f"{name}.code"
    moses = {"en": "moses/*.en", "th": "moses/*.th"}
    assert bilingual.add(name, "en-th", moses, model, str(folder)) == (
        f"{name}.en_th",
        f"{name}.th_en",
    )
    assert len(everything(source(f"{name}.th_en"))) >= len(PAIRS) - 3
    assert monolingual.add(name, "iw", "he.jsonl", model) == f"{name}.he"


def test_a_document_and_a_pair_as_tokens(folder, name):
    register(folder, name, held_out=0.0)
    vocab = seqio.SentencePieceVocabulary(str(folder / "sp.model"))
    task = seqio.TaskRegistry.get(f"{name}.th_en")
    text = "แมวเห็นหมา 0 ตัว\nTranslate this sentence from Thai to English.\nThe cat sees 0 dogs."
    ids = vocab.encode(text)
    first = task.get_dataset(None, "train", shuffle=False).take(1)
    lengths = [len(PAIRS[0]["th"].encode()), 47, len(PAIRS[0]["en"])]
    assert_dataset(
        first,
        {
            "targets": [*ids, vocab.eos_id],
            "targets_pretokenized": text.encode(),
            "language": b"th-en",
            "group": b"page 0",
            "held_out": False,
            "side_languages": [b"th", b"", b"en"],
            "side_bytes": lengths,
        },
    )
    assert vocab.decode(ids) == text
    assert vocab.eos_id == 2
    page = next(
        iter(seqio.TaskRegistry.get(f"{name}.th").get_dataset(None, "train", shuffle=False))
    )
    assert vocab.decode(page["targets"].numpy().tolist()[:-1]) == PAIRS[0]["th"]


def test_any_seqio_client_reads_tasks_and_mixtures(folder, name):
    mixture = f"{name}.mix"
    register(folder, name, mixtures={mixture: {"en": 0.5, "th": 0.2, "parallel": 0.3}})
    for which in (f"{name}.en", f"{name}.en_th", mixture):
        dataset = seqio.get_dataset(
            mixture_or_task_name=which,
            task_feature_lengths={"targets": 64},
            dataset_split="train",
            shuffle=True,
            seed=0,
            feature_converter=seqio.DecoderFeatureConverter(pack=True),
        )
        example = next(dataset.take(1).as_numpy_iterator())
        assert example["decoder_target_tokens"].shape == (64,)
        assert 2 in example["decoder_target_tokens"]


def test_shares_of_a_mixture(folder, name):
    shares = {"en": 0.5, "th": 0.2, "parallel": 0.2, "code": 0.1}
    tasks = register(
        folder,
        name,
        monolingual={
            "en": "en.jsonl", "th": "th.jsonl", "th.news": "news/*.txt", "code": "code.jsonl.gz"
        },
        bilingual={("en", "th"): "en-th.jsonl"},
        mixtures={f"{name}.a": shares, f"{name}.b": {f"{name}.news.th": 0.25, "en": 0.75}},
    )  # fmt: skip
    assert tasks == tuple(f"{name}.{x}" for x in ("en", "th", "news.th", "code", "en_th", "th_en"))
    mixture = seqio.MixtureRegistry.get(f"{name}.a")
    rates = {task.name: mixture.get_rate(task) for task in mixture.tasks}
    sizes = {x: (folder / x).stat().st_size for x in ("th.jsonl", "news/th.txt")}
    assert rates == pytest.approx(
        {
            f"{name}.en": 0.5,
            f"{name}.th": 0.2 * sizes["th.jsonl"] / sum(sizes.values()),
            f"{name}.news.th": 0.2 * sizes["news/th.txt"] / sum(sizes.values()),
            f"{name}.en_th": 0.1,
            f"{name}.th_en": 0.1,
            f"{name}.code": 0.1,
        }
    )
    assert mixture.total_rate == pytest.approx(1)
    other = seqio.MixtureRegistry.get(f"{name}.b")
    assert {task.name: other.get_rate(task) for task in other.tasks} == {
        f"{name}.news.th": 0.25,
        f"{name}.en": 0.75,
    }


def test_registering_needs_no_file(tmp_path, name):
    mixtures = {f"{name}.mix": {"en": 0.8, "parallel": 0.2}}
    tasks = register(tmp_path / "nowhere", name, mixtures=mixtures)
    assert seqio.MixtureRegistry.get(f"{name}.mix").total_rate == pytest.approx(1)
    with pytest.raises(InputError, match="nowhere/en.jsonl' isn't there"):
        source(tasks[0]).list_shards("train")


def test_registering_twice(folder, name):
    mixtures = {f"{name}.mix": {"en": 0.8, "parallel": 0.2}}
    assert register(folder, name, mixtures=mixtures) == register(folder, name, mixtures=mixtures)
    with pytest.raises(InputError, match=f"'{name}.en' is already registered for something else"):
        register(folder, name, held_out=0.02)
    with pytest.raises(InputError, match=f"'{name}.mix' is already registered"):
        register(folder, name, mixtures={f"{name}.mix": {"en": 0.7, "parallel": 0.3}})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mixtures": {"m": {"en": 0.5, "th": 0.4}}}, r"mixtures\['m'\]: the shares sum to 0.9"),
        ({"mixtures": {"m": {"en": 1.5, "th": -0.5}}}, "share of 'en' is 1.5; give 0 to 1"),
        ({"mixtures": {"m": {"en": 0.5, "ko": 0.5}}}, "'ko' has no text"),
        ({"mixtures": {"m": {"parallell": 1}}}, "Did you mean 'parallel'"),
        ({"mixtures": {"a-b": {"en": 1}}}, "name 'a-b' can't be registered"),
        ({"monolingual": {"xx": "a.jsonl"}}, "language 'xx' isn't known"),
        ({"bilingual": {"en": "a.jsonl"}}, "pair 'en' must name two languages"),
        ({"bilingual": {"en-eng": "a.jsonl"}}, "must name two languages"),
        ({"held_out": 1.0}, "held_out is 1.0"),
        ({"template": "{source}"}, "once each"),
    ],
)
def test_wrong_corpora_are_refused(folder, name, options, message):
    with pytest.raises(InputError, match=message):
        register(folder, name, **options)


def test_shares_with_a_target():
    counts = {x.code: x.paper_tokens_b for x in registry.LANGUAGES.values() if x.paper_tokens_b}
    stage2 = corpus.shares(counts, non_english=0.6049, alpha=0.5, parallel=0.0476, code=0.0776)
    assert stage2 == pytest.approx(registry.STAGE2)
    assert registry.non_english_share(stage2) == pytest.approx(0.6049)
    assert corpus.shares({"th": 1, "ko": 3}, non_english=0.8, alpha=1) == pytest.approx(
        {"en": 0.2, "th": 0.2, "ko": 0.6}
    )
    with pytest.raises(InputError, match="don't fit"):
        corpus.shares(counts, non_english=0.1, parallel=0.2)


def test_sizes_are_counts_for_shares(folder):
    sizes = corpus.sizes(str(folder), {"en": "en.jsonl", "th": "th.jsonl", "th.news": "news/*.txt"})
    news = (folder / "news/th.txt").stat().st_size
    assert sizes == {
        "en": (folder / "en.jsonl").stat().st_size,
        "th": (folder / "th.jsonl").stat().st_size + news,
    }


def test_no_validation_text_is_trained_on(data_dir, name):
    """In tldr every pair stands verbatim in the pages of the same id.

    The corpus itself repeats some sentences on many pages ("Display help"), which no split by
    page can hold out. Every other sentence of validation, page or pair, is nowhere in training:
    also those of en-id, whose Indonesian took the place of its id.
    """
    tasks = corpus.register(
        data_dir=str(data_dir / "tldr"),
        vocabulary="unused.model",
        monolingual={code: f"{code}.jsonl" for code in ("en", *TLDR)},
        bilingual={f"en-{code}": f"en-{code}.jsonl" for code in TLDR},
        name=name,
    )
    assert len(tasks) == 46
    trained, held_pages = {}, set()
    for code in ("en", *TLDR):
        records = everything(source(f"{name}.{code}"))
        trained[code] = normalise(" ".join(r["text"] for r in records if not r["held_out"]))
        held_pages |= {r["group"] for r in records if r["held_out"]}
    assert 30 < len(held_pages) < 150

    trained_sentences, held = set(), []
    for code in TLDR:
        records = everything(source(f"{name}.en_{code}"))
        assert records == everything(source(f"{name}.{code}_en"))
        for record in records:
            # A page of English goes with every id, so nothing is held out but by these.
            assert record["held_out"] == (record["group"] in held_pages)
            if record["held_out"]:
                held.append((code, record))
            elif code == "id":
                assert all(normalise(record[side]) in trained[side] for side in ("en", "id"))
            else:
                trained_sentences |= {record["en"], record[code]}
    assert {code for code, _ in held} == set(TLDR)
    assert source(f"{name}.en_id").withheld < 50
    unique = 0
    for code, record in held:
        sides = [(side, record[side]) for side in ("en", code)]
        on_trained_pages = any(normalise(said) in trained[side] for side, said in sides)
        assert not (code == "id" and on_trained_pages)
        if not on_trained_pages:
            unique += 1
            assert trained_sentences.isdisjoint(said for _, said in sides)
    assert unique > 500
