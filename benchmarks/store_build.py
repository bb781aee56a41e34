"""From JSONL to a committed token store, beside SeqIO's own pipeline and a plain SentencePiece loop.

    python benchmarks/store_build.py FOLDER TEXT.jsonl [TEXT.jsonl ...] --tokens=100_000_000

TEXT holds {"text": ...}, or any JSON objects, whose strings are joined. Its documents, white space
flattened so that a plain file has one a line, are repeated in shuffled order until there are so many
tokens, in a vocabulary trained on them. Each run is a process of its own, timed once everything is
imported and loaded:

  store   this project: JSONL -> records -> tokens -> parts with checksums -> manifest
  plain   SentencePiece over lines in batches of 1,024, and the tokens cut into rows of 2,048
  seqio   TextLineDataSource -> tokenize -> append_eos -> packed rows of 2,048, in batches of 8

SeqIO's runs take the first `--seqio_tokens`: its rate doesn't depend on how many. The runs
alternate; prints a JSON line per run, then the medians of the ratios within a round.
"""

import argparse
import json
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np
import sentencepiece

REPO = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPO))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

LENGTH = 2048
BATCH = 1024


def make(folder: pathlib.Path, texts: list[str], options: argparse.Namespace) -> None:
    """text.jsonl, text.txt (the same), prefix.txt (for SeqIO) and text.model."""
    documents = [one for path in texts for one in flattened(path)]
    unique = folder / "unique.txt"
    unique.write_text("".join(f"{one}\n" for one in documents), encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(unique), model_prefix=str(folder / "text"), vocab_size=options.pieces,
        model_type=options.model_type, byte_fallback=True, character_coverage=0.9995,
        normalization_rule_name="identity", remove_extra_whitespaces=False,
        max_sentence_length=16384, num_threads=2, minloglevel=2,
    )  # fmt: skip
    model = sentencepiece.SentencePieceProcessor(model_file=str(folder / "text.model"))
    sizes = [len(ids) + 1 for ids in model.encode(documents, num_threads=2)]
    order, draw, tokens = list(range(len(documents))), random.Random(0), 0
    with (
        open(folder / "text.jsonl", "w", encoding="utf-8") as records,
        open(folder / "text.txt", "w", encoding="utf-8") as lines,
        open(folder / "prefix.txt", "w", encoding="utf-8") as prefix,
    ):
        while tokens < options.tokens:
            draw.shuffle(order)
            for n in order:
                records.write(json.dumps({"text": documents[n]}, ensure_ascii=False) + "\n")
                lines.write(f"{documents[n]}\n")
                if tokens < options.seqio_tokens:
                    prefix.write(f"{documents[n]}\n")
                tokens += sizes[n]
                if tokens >= options.tokens:
                    break


def flattened(path: str) -> Iterator[str]:
    """The documents of a JSONL file, each on one line."""
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            values = [record["text"]] if "text" in record else record.values()
            text = " ".join(" ".join(str(value) for value in values if value).split())
            if text:
                yield text


def store(folder: pathlib.Path) -> Callable[[], int]:
    """This project, from the JSONL file to a committed store."""
    from polylm_jax.data.stores.build import build_store
    from polylm_jax.text import task_text
    from polylm_jax.tokenizer.tokenizer import Tokenizer
    from tasks import monolingual

    model = str(folder / "text.model")
    task = task_text.find(monolingual.add("text", "en", str(folder / "text.jsonl"), model))
    shutil.rmtree(folder / "store", ignore_errors=True)
    tokenizer = Tokenizer.load(model)

    def run() -> int:
        manifest = build_store(task, str(folder / "store"), tokenizer)
        return sum(split.tokens for split in manifest.splits.values())

    return run


def plain(folder: pathlib.Path) -> Callable[[], int]:
    """SentencePiece's own threads over batches of lines; rows are made and dropped."""
    model = sentencepiece.SentencePieceProcessor(model_file=str(folder / "text.model"))

    def batches() -> Iterator[list[str]]:
        with open(folder / "text.txt", encoding="utf-8") as lines:
            batch = []
            for line in lines:
                batch.append(line.rstrip("\n"))
                if len(batch) == BATCH:
                    yield batch
                    batch = []
            yield batch

    def run() -> int:
        tokens, waiting = 0, []
        for batch in batches():
            for ids in model.encode(batch, num_threads=2, add_eos=True):
                waiting.extend(ids)
                tokens += len(ids)
            whole = len(waiting) - len(waiting) % LENGTH
            np.array(waiting[:whole], np.int32).reshape(-1, LENGTH)
            del waiting[:whole]
        return tokens

    return run


def seqio(folder: pathlib.Path) -> Callable[[], int]:
    """SeqIO's tokenize step and its packing, as its `get_dataset` gives them."""
    import seqio as library

    vocabulary = library.SentencePieceVocabulary(str(folder / "text.model"))
    library.TaskRegistry.add(
        "text",
        library.TextLineDataSource({"train": str(folder / "prefix.txt")}),
        output_features={"targets": library.Feature(vocabulary, add_eos=True)},
        preprocessors=[
            library.map_over_dataset(lambda line: {"targets": line}),
            library.preprocessors.tokenize,
            library.preprocessors.append_eos,
        ],
    )

    def run() -> int:
        rows = library.get_dataset(
            mixture_or_task_name="text",
            task_feature_lengths={"targets": LENGTH},
            dataset_split="train",
            shuffle=False,
            feature_converter=library.DecoderFeatureConverter(pack=True),
        )
        batches = rows.batch(8).prefetch(2).as_numpy_iterator()
        return sum(int(np.count_nonzero(b["decoder_segment_ids"])) for b in batches)

    return run


RUNS = {"store": store, "plain": plain, "seqio": seqio}


def measure(name: str, folder: pathlib.Path) -> dict:
    """One run, in this process."""
    run = RUNS[name](folder)
    began, cpu = time.perf_counter(), time.process_time()
    tokens = run()
    seconds = time.perf_counter() - began
    rate = round(tokens / seconds)
    cpu_seconds = round(time.process_time() - cpu, 2)
    return {"name": name, "tokens_per_s": rate, "tokens": tokens, "seconds": round(seconds, 2),
            "cpu_s": cpu_seconds, "cores": os.cpu_count(), "load": os.getloadavg()[0]}  # fmt: skip


def main() -> None:
    """Makes the text, then starts the runs in turn."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("texts", nargs="*")
    parser.add_argument("--tokens", type=int, default=100_000_000)
    parser.add_argument("--seqio_tokens", type=int, default=5_000_000)
    parser.add_argument("--pieces", type=int, default=8192)
    parser.add_argument("--model_type", default="unigram")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--run", choices=RUNS, help="one run, of text that is already there")
    options = parser.parse_args()
    if options.run:
        print(json.dumps(measure(options.run, options.folder)), flush=True)
        return
    options.folder.mkdir(parents=True, exist_ok=True)
    make(options.folder, options.texts, options)
    rates = {name: [] for name in RUNS}
    for _ in range(options.repeats):
        for name in RUNS:
            command = [sys.executable, __file__, str(options.folder), f"--run={name}"]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            print(done.stdout.strip(), flush=True)
            rates[name].append(json.loads(done.stdout)["tokens_per_s"])
    ratios = {
        f"store_to_{name}": round(statistics.median(np.divide(rates["store"], rates[name])), 3)
        for name in ("plain", "seqio")
    }
    medians = {name: statistics.median(values) for name, values in rates.items()}
    print(json.dumps({"name": "ratios", **ratios, "medians": medians}), flush=True)


if __name__ == "__main__":
    main()
