"""Scoring throughput beside lm_eval's own transformers model, on the same weights and requests.

    python -m benchmarks.scoring --data=FOLDER --work=SCRATCH [--rounds=3]

FOLDER holds XCOPA's validation files and XWinograd's original TSV (xcopa/val.th.jsonl ...,
xwinograd/fr_pt_ru.tsv). A vocabulary of 16,000 pieces is trained on their text, a model of 4 layers
of 256 is drawn at random, exported, and scored by both in float32 on the CPU: XCOPA in six
languages and XWinograd in three, as published. Prints JSON lines: examples (requests) a second of
each round in turn, text to log-likelihoods, compiled programs warm and cold; the batch size of
lm_eval's is the fastest of those tried. Ends with the ratio of medians, the largest difference
between the log-likelihoods, and the number of items that the two choose differently (0).
"""

import argparse
import io
import json
import os
import pathlib
import statistics
import sys
import time

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import jax
import numpy as np
import sentencepiece
import seqio

from polylm_jax.checkpoints import identity
from polylm_jax.checkpoints.checkpoint import Progress
from polylm_jax.checkpoints.hf import param_table
from polylm_jax.checkpoints.hf.exporting import export
from polylm_jax.checkpoints.params_writer import Writer
from polylm_jax.evaluation import examples, language_model, protocol
from polylm_jax.evaluation.language_model import Loading
from polylm_jax.evaluation.requests import encode_pairs
from polylm_jax.model.config import PolyLMConfig
from polylm_jax.tokenizer.tokenizer import Tokenizer
from tasks.benchmarks import xcopa, xwinograd

MODEL = PolyLMConfig(
    num_layers=4, embed_dim=256, num_heads=4, mlp_dim=1024, vocab_size=16_000, max_length=512,
    dtype="float32", remat="none",
)  # fmt: skip
BATCH_SIZES = (8, 16, 32, 64)


def vocabulary(data: pathlib.Path, path: pathlib.Path) -> str:
    """At most 16,000 pieces, trained on the benchmarks' own text."""
    texts = []
    for file in sorted((data / "xcopa").glob("val.*.jsonl")):
        for line in file.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            texts += [record[name] for name in ("premise", "choice1", "choice2")]
    table = (data / "xwinograd/fr_pt_ru.tsv").read_text(encoding="utf-8")
    texts += [line.split("\t")[3] for line in table.splitlines()]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts * 4), model_writer=model, model_type="bpe",
        vocab_size=MODEL.vocab_size, hard_vocab_limit=False, byte_fallback=True, unk_id=0, bos_id=1,
        eos_id=2, pad_id=-1, add_dummy_prefix=False, remove_extra_whitespaces=False,
        normalization_rule_name="identity", minloglevel=2,
    )  # fmt: skip
    path.write_bytes(model.getvalue())
    return str(path)


def draw(model_dir: pathlib.Path, vocabulary: str) -> None:
    """A checkpoint of random parameters, in the spread that training starts from."""
    chance = np.random.default_rng(0)
    trained = {"vocabulary": Tokenizer.load(vocabulary).fingerprint}
    progress = Progress(step=0, rows=0, batch_size=1, phase="drawn", fingerprint=trained)
    writer = Writer(model_dir, param_table.our_shapes(MODEL), progress)
    for tensor in param_table.tensors(MODEL):
        middle = float(tensor.ours.endswith("scale"))
        values = chance.normal(middle, 0.05, tensor.shape).astype(np.float32).reshape(-1)
        for index, first, count in writer.pieces(tensor.ours, tensor.layer):
            writer.write(tensor.ours, index, values[first : first + count])
    writer.close()


def requests(data: pathlib.Path, vocabulary: str) -> tuple[list[tuple[str, str]], list[int]]:
    """(context, continuation) of every choice of every task, and how many choices items have."""
    names = xcopa.register(
        str(data), vocabulary, languages=["id", "it", "th", "tr", "vi", "zh"], split="validation"
    )
    files = {"test": "xwinograd/fr_pt_ru.tsv"}
    names += xwinograd.register(str(data), vocabulary, languages=["fr", "pt", "ru"], files=files)
    names = [name for name in names if name.count(".") == 1]  # as published
    pairs, items = [], {}
    for name in names:
        for example in examples.read(seqio.TaskRegistry.get(name), protocol.find(name).split):
            pairs.append((example["inputs"], example["targets"]))
            items.setdefault((name, example["idx"][0]), []).append(len(pairs) - 1)
    return pairs, list(items.values())


def timed(function, pairs) -> tuple[float, list[float]]:
    """Requests a second, and their log-likelihoods."""
    start = time.perf_counter()
    found = function(pairs)
    return len(pairs) / (time.perf_counter() - start), found


def ours(model_dir: pathlib.Path, vocabulary: str):
    """Text pairs -> log-likelihoods by this project."""
    found, progress = identity.identify(str(model_dir))
    model = language_model.load(found, progress, vocabulary, Loading(MODEL))

    def score(pairs):
        scores = dict(model.score(encode_pairs(model.tokenizer, pairs)))
        return [scores[number].log_p for number in range(len(pairs))]

    return score


def theirs(folder: pathlib.Path):
    """Text pairs -> log-likelihoods by lm_eval's model, and the same at another batch size."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    model = HFLM(pretrained=str(folder), device="cpu", dtype="float32", batch_size=8)

    def score(pairs, batch_size=None):
        model.batch_size_per_gpu = batch_size or model.batch_size_per_gpu
        asked = [Instance("loglikelihood", {}, pair, n) for n, pair in enumerate(pairs)]
        return [log_p for log_p, _ in model.loglikelihood(asked, disable_tqdm=True)]

    return score


def tell(**line) -> None:
    print(json.dumps(line), flush=True)


def main(argv: list[str]) -> int:
    """Exit code 1 where the two choose differently or differ by more than 1e-3."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(argv)
    options.work.mkdir(parents=True, exist_ok=True)
    vocab = vocabulary(options.data, options.work / "scoring.model")
    draw(options.work / "run", vocab)
    export(str(options.work / "run"), str(options.work / "hf"), vocab, overwrite=True)
    pairs, items = requests(options.data, vocab)
    mine, other = ours(options.work / "run", vocab), theirs(options.work / "hf")
    cold, _ = timed(mine, pairs)
    speed = {size: timed(lambda p, s=size: other(p, s), pairs[::8])[0] for size in BATCH_SIZES}
    best = max(speed, key=speed.get)
    tell(requests=len(pairs), devices=jax.device_count(), cold=round(cold, 1), batch_size=best)
    rates = {"polylm_jax": [], "lm_eval hf": []}
    for number in range(options.rounds):
        rate, found = timed(mine, pairs)
        rates["polylm_jax"].append(rate)
        rate, expected = timed(lambda p: other(p, best), pairs)
        rates["lm_eval hf"].append(rate)
        tell(round=number, **{name: round(some[-1], 1) for name, some in rates.items()})
    a, b = np.array(found), np.array(expected)
    differing = int(sum(a[some].argmax() != b[some].argmax() for some in items))
    ratio = statistics.median(rates["polylm_jax"]) / statistics.median(rates["lm_eval hf"])
    worst = float(abs(a - b).max())
    tell(ratio=round(ratio, 2), largest_difference=worst, items=len(items), differing=differing)
    return int(differing > 0 or worst > 1e-3)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
