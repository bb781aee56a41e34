"""Memory and time of import and export at 13B widths, beside a plain copy of the same bytes.

    python benchmarks/hf_conversion.py FOLDER [LAYERS] [WIDTH]
    python benchmarks/hf_conversion.py FOLDER 40 5120 sparse

The model has 13B's embedding and layers, as many of them as the disk takes (4: 10.3 GB a copy, three
copies at once). `sparse` is for all 40: what is read are zeros that take no room on the disk (holes
in the shards, chunks that the checkpoint doesn't store), what is written is written (55.6 GB), one
row at a time; its times say nothing. Each row is a process of its own, whose peak of resident memory
the kernel tells. Prints a JSON line per row.
"""

import dataclasses
import io
import json
import math
import pathlib
import resource
import shutil
import subprocess
import sys
import time

import numpy as np
import sentencepiece

REPO = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPO))

from polylm_jax.checkpoints.hf import config_files, param_table
from polylm_jax.checkpoints.hf import safetensors_stream as stream
from polylm_jax.model.config import PolyLMConfig

ROWS = (
    "copy",
    "import safetensors",
    "export safetensors float32",
    "export safetensors bfloat16",
    "export pytorch float32",
    "import bin",
)
SPARSE_ROWS = ("import safetensors", "import bin", "export safetensors float32")


def model(layers: int, width: int) -> PolyLMConfig:
    """PolyLM-13B's widths at 5,120; the heads stay 128 wide."""
    return PolyLMConfig(
        num_layers=layers, embed_dim=width, num_heads=width // 128, mlp_dim=4 * width
    )


def make(folder: pathlib.Path, config: PolyLMConfig, sparse: bool) -> None:
    """A Hugging Face folder of random weights, or of holes, and a small vocabulary."""
    folder.mkdir(parents=True)
    shapes = {tensor.theirs: tensor.shape for tensor in param_table.tensors(config)}
    places = stream.create(folder, shapes, np.dtype(np.float32), 4_000_000_000)
    some = np.random.default_rng(0).normal(0, 0.02, 1 << 24).astype(np.float32)
    with stream.Writer({} if sparse else places) as writer:
        for name, place in ({} if sparse else places).items():
            size = place.nbytes // 4
            for start in range(0, size, len(some)):
                writer.write(name, start, some[: size - start])
    config_files.write_config(folder, config, "float32", eos_id=2)
    vocabulary = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["a b c d " * 9]), model_writer=vocabulary, vocab_size=270,
        model_type="bpe", hard_vocab_limit=False, byte_fallback=True, minloglevel=2,
    )  # fmt: skip
    (folder / "tokenizer.model").write_bytes(vocabulary.getvalue())


def make_bins(folder: pathlib.Path, config: PolyLMConfig) -> None:
    """The same as pytorch_model.bin in shards, the tensors left out as holes."""
    import torch

    folder.mkdir()
    shutil.copy(folder.parent / "theirs" / "config.json", folder)
    shapes = {tensor.theirs: tensor.shape for tensor in param_table.tensors(config)}
    sizes = {name: 4 * math.prod(shape) for name, shape in shapes.items()}
    names = {}
    for number, group in enumerate(stream.plan_shards(sizes, 4_000_000_000)):
        file = f"pytorch_model-{number}.bin"
        with torch.serialization.skip_data():
            torch.save({name: torch.empty(shapes[name]) for name in group}, folder / file)
        names |= dict.fromkeys(group, file)
    index = json.dumps({"metadata": {}, "weight_map": names})
    (folder / "pytorch_model.bin.index.json").write_text(index, encoding="utf-8")


def make_checkpoint(folder: pathlib.Path, config: PolyLMConfig) -> None:
    """Our checkpoint of zeros, none of which is stored."""
    from polylm_jax.checkpoints.checkpoint import Progress
    from polylm_jax.checkpoints.param_store import ArrayWriter
    from polylm_jax.checkpoints.params_writer import Writer
    from polylm_jax.tokenizer.tokenizer import Tokenizer

    vocabulary = Tokenizer.load(str(folder.parent / "theirs" / "tokenizer.model")).fingerprint
    progress = Progress(0, 0, 0, "sparse", {"vocabulary": vocabulary})
    writer = Writer(folder, param_table.our_shapes(config), progress)
    ArrayWriter.close(writer)  # without digests, which are of what is written


def convert(what: str, folder: pathlib.Path) -> None:
    """One row, in this process."""
    from polylm_jax.checkpoints.hf.exporting import export
    from polylm_jax.checkpoints.hf.importing import import_hf

    theirs, ours, again = (str(folder / name) for name in ("theirs", "ours", "again"))
    idle = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.monotonic()
    if what == "copy":
        shutil.copytree(theirs, again)
    elif what == "import safetensors":
        import_hf(theirs, ours, verify=False, overwrite=True)
    elif what == "import bin":
        import_hf(again, ours, vocabulary=f"{theirs}/tokenizer.model", verify=False, overwrite=True)
    else:
        _, file_format, dtype = what.split()
        export(
            ours, again, f"{theirs}/tokenizer.model", dtype=dtype, file_format=file_format,
            verify=False,
        )  # fmt: skip
    subprocess.run(["sync", "-f", str(folder)], check=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    row = {"what": what, "seconds": round(time.monotonic() - began, 1)}
    row |= {"peak_rss_gb": round(peak * 1024 / 1e9, 2), "idle_rss_gb": round(idle * 1024 / 1e9, 2)}
    print(json.dumps(row), flush=True)


def main(folder: str, layers: str = "4", width: str = "5120", sparse: str = "") -> None:
    """All rows, one process after another; what was written goes at the end."""
    config, place = model(int(layers), int(width)), pathlib.Path(folder)
    shapes = {"parameters": config.num_params, "gb": round(4 * config.num_params / 1e9, 2)}
    print(json.dumps(shapes | dataclasses.asdict(config)), flush=True)
    make(place / "theirs", config, bool(sparse))
    if sparse:
        make_bins(place / "again", config)
    for what in SPARSE_ROWS if sparse else ROWS:
        if "export" in what or what == "copy":  # `import bin` reads what stands in `again`
            shutil.rmtree(place / "again", ignore_errors=True)
        if sparse:
            shutil.rmtree(place / "ours", ignore_errors=True)
        if sparse and "export" in what:
            make_checkpoint(place / "ours", config)
        subprocess.run(["sync", "-f", folder], check=True)
        subprocess.run([sys.executable, __file__, "--row", what, folder], check=True)
    shutil.rmtree(place)


if __name__ == "__main__":
    if sys.argv[1] == "--row":
        convert(sys.argv[2], pathlib.Path(sys.argv[3]))
    else:
        main(*sys.argv[1:])
