"""`run.py generate`: a checkpoint's texts for prompts from a file, for one prompt, or in a chat."""

import dataclasses
import sys
from collections.abc import Sequence

import jax

from polylm_jax.checkpoints import identity
from polylm_jax.checkpoints.identity import Selection
from polylm_jax.errors import InputError
from polylm_jax.inference.generation import prompts as prompt_files
from polylm_jax.inference.generation import weights as loading
from polylm_jax.inference.generation.chat import Chat, talk
from polylm_jax.inference.generation.decode import Decoder
from polylm_jax.inference.generation.progress import GenerationProgress
from polylm_jax.inference.generation.prompts import Item, Options
from polylm_jax.inference.generation.results import Results
from polylm_jax.inference.generation.text_generator import TextGenerator
from polylm_jax.model import devices, partitioning
from polylm_jax.model.config import PolyLMConfig
from polylm_jax.model.partitioning import MeshConfig
from polylm_jax.runtime.ranges import Count
from polylm_jax.runtime.spread import spread


@dataclasses.dataclass(frozen=True)
class Decoding:
    """How many texts are made at once, and where.

    mesh: devices as data x fsdp x tensor.
    batch_size: texts at once, a multiple of data x fsdp.
    chunk: tokens between two looks at stop strings, 64 at most; a text that is shown takes 4.
    compilation_cache_dir: compiled programs are kept here for the next start; '' keeps none.
    """

    mesh: MeshConfig = MeshConfig()  # noqa: RUF009 (frozen)
    batch_size: Count = 8
    chunk: Count = 32
    compilation_cache_dir: str = "~/.cache/polylm_jax"


@spread("selection", "decoding")
def generate(
    checkpoint: str,
    vocabulary: str,
    model: PolyLMConfig,
    *,
    prompts: str | None = None,
    prompt: str | None = None,
    results: str | None = None,
    options: Options = Options(),  # noqa: B008 (frozen)
    turn: str = prompt_files.TURN,
    selection: Selection,
    decoding: Decoding,
) -> None:
    """Continues prompts with a checkpoint: a file of them, one, or a chat where neither is given.

    checkpoint: MODEL_DIR of a run, local or gs://.
    vocabulary: the SentencePiece model that it was trained with.
    model: its config, as it was trained.
    prompts: a JSON-lines file (docs/generation.md).
    prompt: one text, whose continuation is shown as it comes.
    results: where the texts go, one JSON line each as they come, by default beside the prompts; a
    file that a kill cut off is continued.
    options: see `inference.Options`.
    turn: how a chat writes a turn.

    Raises InputError for bad input, before the weights are read.
    """
    if prompts is not None and prompt is not None:
        raise InputError("PROMPTS and PROMPT are both given: leave one of them out.")
    devices.start(decoding.compilation_cache_dir)
    found, progress = selection.identify(checkpoint)
    tokenizer = identity.matching_tokenizer(vocabulary, progress, model.vocab_size)
    grid = partitioning.make_mesh(decoding.mesh)
    places = grid.shape["data"] * grid.shape["fsdp"]
    rows = decoding.batch_size if prompts else places * (options.samples if prompt else 1)
    decoder = Decoder(
        loading.generating(model), None, grid, eos=(tokenizer.eos_id,), pieces=tokenizer.vocab_size,
        batch_size=rows, chunk=decoding.chunk if prompts else min(decoding.chunk, 4),
    )  # fmt: skip
    generator = TextGenerator(decoder, tokenizer)

    def load() -> None:
        decoder.params = loading.load(found, model, grid)[1]

    if prompts is not None:
        items = prompt_files.read(prompts, options, turn)
        path = results or f"{prompts}.generated.jsonl"
        names = f"{found.identity} {tokenizer.fingerprint} {model.numerics}"
        _to_file(generator, items, path, names, load)
    elif prompt is not None:
        _to_terminal(generator, options, prompt, load)
    else:
        _chat(Chat(generator, options, turn), load)


def _to_file(generator, items: Sequence[Item], path: str, model: str, load) -> None:
    for item in items:
        try:
            generator.request(item.prompt)
        except InputError as error:
            raise InputError(f"prompt {item.id!r}: {error}") from error
    first = jax.process_index() == 0
    with Results(path, items, model, write=first) as results:
        todo = results.missing
        with GenerationProgress(len(items), len(items) - len(todo), enabled=first) as progress:
            if not todo:
                return
            load()
            for number, text in generator.texts([item.prompt for item in todo]):
                results.add(todo[number], text)
                progress.text(text.tokens)
    if first:
        print(f"{len(items)} texts are in {path}")


def _to_terminal(generator, options: Options, prompt: str, load) -> None:
    """One sample is shown as it comes, several one after the other at the end."""
    samples = options.prompts(prompt)
    for sample in samples:
        generator.request(sample)
    load()
    with GenerationProgress(len(samples), enabled=False) as progress:
        if len(samples) == 1:
            ((_, text),) = generator.texts(samples, lambda _, new: print(new, end="", flush=True))
            progress.text(text.tokens)
            print()
        else:
            for number, text in sorted(generator.texts(samples)):
                progress.text(text.tokens)
                print(f"{number}: {text.text}")
    print(progress.summary(), file=sys.stderr)


def _chat(chat: Chat, load) -> None:
    if jax.process_count() > 1:
        raise InputError("a chat has one process: give PROMPT or PROMPTS on several hosts.")
    load()
    talk(chat)
