"""Token ids from token ids: `Decoder.completions(requests)`. It knows no text.

A decoder batches any number of requests by the bucket of their prompts, prefills a batch in one
pass, and makes tokens in chunks until every row has ended:

    decoder = Decoder(config, params, mesh, eos=(2,))
    for number, completion in decoder.completions([Request(ids, max_new_tokens=32)]):
        completion.tokens, completion.finish        # as each batch ends, not in order

What a request gets depends on it alone: its chance is folded from (seed, sample, position), and
the shapes that it is computed in (rows, prompt bucket, columns of the cache) from its own prompt.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import flax.linen as nn
import jax
import numpy as np
from jax.sharding import Mesh

from polylm_jax.errors import InputError
from polylm_jax.inference.generation import buckets, steps
from polylm_jax.inference.generation.beam_search import Beams
from polylm_jax.inference.generation.sampling import GREEDY, Sampling, kind, knobs
from polylm_jax.model import partitioning
from polylm_jax.model.config import PolyLMConfig

# A single token can't be split over the axis that shares out a row between the layers.
RULES = tuple((partitioning.RULES | {"residual_length": None}).items())

Watch = Callable[[int, Sequence[int]], bool]


@dataclasses.dataclass(frozen=True)
class Request:
    """One text wanted.

    tokens: ids of the prompt, one at least. max_new_tokens: at most so many are made. seed, sample:
    chance is a function of both and of the position, so samples 0, 1, 2 ... of a prompt differ.
    beams: beam search for the likeliest text instead of `sampling`; None for none.
    """

    tokens: Sequence[int]
    max_new_tokens: int
    sampling: Sampling = GREEDY
    seed: int = 0
    sample: int = 0
    beams: Beams | None = None


@dataclasses.dataclass(frozen=True)
class Completion:
    """tokens: the new ids, an end-of-text id last where one came. finish: why it ended there.

    finish: 'eos', 'length' (max_new_tokens) or 'stop' (`watch` said so). score: of beam search, the
    sum of log p over the length to the power of the length penalty; None otherwise.
    """

    tokens: list[int]
    finish: str
    score: float | None = None


class Decoder:
    """A model that generates. Programs compile at the first request of each shape, and are kept.

    config, params: as `weights.load` gives them (layers apart), placed on `mesh`; `params` may be
    set later, before the first completion. eos: ids that end
    a text. batch_size: rows computed at once, always so many (2 at least), over the mesh's data x fsdp.
    chunk: tokens between two looks at the host, at most 64: fewer stream smoother. pieces: of the
    vocabulary, where the model's has more rows than it; those beyond are never made.
    """

    def __init__(
        self,
        config: PolyLMConfig,
        params,
        mesh: Mesh,
        *,
        eos: Sequence[int],
        batch_size: int = 8,
        chunk: int = 32,
        pieces: int | None = None,
    ):
        self._split = mesh.shape["data"] * mesh.shape["fsdp"]
        if batch_size < 1 or batch_size % self._split:
            raise InputError(
                f"batch_size = {batch_size} does not divide over data x fsdp = {self._split} of "
                "the mesh: make it a multiple."
            )
        if not 1 <= chunk <= steps.CHUNK:
            raise InputError(f"chunk = {chunk}: give a number from 1 to {steps.CHUNK}.")
        self.config, self.params, self.mesh = config, params, mesh
        # XLA's CPU compiler copies the whole cache at each token around the write of a single row.
        self.eos, self.batch_size, self.chunk = tuple(eos), max(batch_size, 2), chunk
        self.pieces = config.vocab_size if pieces is None else min(pieces, config.vocab_size)
        self.prompt_buckets = buckets.prompt_buckets(config.max_length)
        self.cache_buckets = buckets.cache_buckets(config.max_length)

    def check(self, request: Request) -> None:
        """InputError for a request that this model cannot serve."""
        length, limit = len(request.tokens), self.config.max_length
        if not length:
            raise InputError("a prompt of 0 tokens: give one token at least, such as </s>.")
        if request.max_new_tokens < 1:
            raise InputError(f"max_new_tokens = {request.max_new_tokens}: give a positive number.")
        if length + request.max_new_tokens > limit:
            raise InputError(
                f"a prompt of {length} tokens and max_new_tokens = {request.max_new_tokens} exceed "
                f"the model's {limit} positions: shorten the prompt or ask for fewer."
            )
        highest = max(request.tokens)
        if min(request.tokens) < 0 or highest >= self.config.vocab_size:
            raise InputError(
                f"a prompt has token {highest} and the model {self.config.vocab_size} tokens: use "
                "the vocabulary that it was trained with."
            )
        request.sampling.check()
        if request.beams:
            self._check_beams(request)

    def _check_beams(self, request):
        beams = request.beams.check().beams
        if request.sampling.temperature:
            raise InputError(
                f"temperature = {request.sampling.temperature} with beams = {beams}: beam search "
                "draws nothing, so leave one of them out."
            )
        if not 0 <= request.sample < beams:
            raise InputError(
                f"sample = {request.sample} of beams = {beams}: a search gives as many texts as "
                "beams, so ask for fewer samples."
            )

    def completions(
        self, requests: Sequence[Request], watch: Watch | None = None
    ) -> Iterator[tuple[int, Completion]]:
        """(number of the request, its completion), batch by batch, short prompts first.

        watch(number, tokens): called after each chunk with all new tokens of a request so far; True
        ends it there ('stop'), for what ids alone can't tell. It is not called for beam search.

        Raises InputError, before anything is computed, for a request that can't be served.
        """
        for request in requests:
            self.check(request)
        return self._completions(requests, watch)

    def _completions(self, requests, watch):
        for numbers in self._batches(requests):
            batch = [requests[number] for number in numbers]
            if batch[0].beams:
                done = self._search(batch)
            else:
                done = self._write(batch, numbers, watch)
            yield from zip(numbers, done, strict=True)

    def complete(self, requests: Sequence[Request], watch: Watch | None = None) -> list[Completion]:
        """The completion of every request, in order."""
        done = dict(self.completions(requests, watch))
        return [done[number] for number in range(len(requests))]

    def _batches(self, requests: Sequence[Request]) -> list[list[int]]:
        """Numbers of requests that go together: one prompt bucket, one kind of search."""
        groups: dict = {}
        for number, request in enumerate(requests):
            columns = buckets.bucket(len(request.tokens), self.prompt_buckets)
            search = (request.beams, request.max_new_tokens) if request.beams else ()
            groups.setdefault((columns, search), []).append(number)
        batches = []
        for (_, search), numbers in sorted(groups.items(), key=lambda item: item[0][0]):
            size = self._prompts_at_once(search[0]) if search else self.batch_size
            batches += [numbers[i : i + size] for i in range(0, len(numbers), size)]
        return batches

    def _prompts(self, batch: Sequence[Request], rows: int) -> tuple[np.ndarray, np.ndarray]:
        """Right-padded ids int32 [rows, bucket] and lengths [rows]; rows beyond the batch are empty."""
        longest = max(len(request.tokens) for request in batch)
        shape = (rows, buckets.bucket(longest, self.prompt_buckets))
        tokens_BT, lengths_B = np.zeros(shape, np.int32), np.ones(rows, np.int32)
        for row, request in enumerate(batch):
            lengths_B[row] = len(request.tokens)
            tokens_BT[row, : lengths_B[row]] = request.tokens
        return tokens_BT, lengths_B

    def _write(self, batch, numbers, watch) -> list[Completion]:
        """Sampled or greedy completions of one batch."""
        stopped, texts = set[int](), [list[int]() for _ in batch]
        for made_BC in self.chunks(batch, stopped):
            for row, text in enumerate(texts):
                new = [int(token) for token in made_BC[row] if token != steps.NONE]
                if row in stopped or not new:
                    continue
                text += new
                if watch and watch(numbers[row], text):
                    stopped.add(row)
        return [
            Completion(text, "stop" if row in stopped else self._finish(text))
            for row, text in enumerate(texts)
        ]

    def _finish(self, text):
        return "eos" if text[-1] in self.eos else "length"

    def chunks(self, batch: Sequence[Request], stopped: set[int]) -> Iterator[np.ndarray]:
        """New tokens of a batch as they are made, int32 [B, C], `steps.NONE` where a row has none.

        batch: at most batch_size requests without beams, of one prompt bucket. stopped: rows that
        the caller adds here end at the next chunk.
        """
        rows = [(r.sampling, r.seed, r.sample) for r in batch]
        rows += [(GREEDY, 0, 0)] * (self.batch_size - len(batch))
        static = self._static([sampling for sampling, _, _ in rows])
        tokens_BT, lengths_B = self._prompts(batch, self.batch_size)
        left_B = np.zeros(self.batch_size, np.int32)
        left_B[: len(batch)] = [request.max_new_tokens for request in batch]
        made, columns = 1, self._columns(tokens_BT.shape[1])
        chance, *arrays = self.placed((knobs(rows), tokens_BT, lengths_B, left_B))
        wanted_B = left_B > 0
        state, (token_B, left_B) = self.run(
            steps.prefill, *arrays, chance, columns=columns, static=static
        )
        yield np.where(wanted_B, token_B, steps.NONE)[:, None]
        while (left_B := _without(stopped, left_B)).any():
            # The same whatever the other rows still want, or their limits would decide last bits.
            columns, cache = self._room(state.cache, columns, tokens_BT.shape[1] + made)
            count = min(self.chunk, int(left_B.max()))
            state = state.replace(cache=cache, left_B=self.placed(left_B))
            state, (made_BC, left_B) = self.run(steps.advance, state, chance, count, static=static)
            made += count
            yield np.asarray(made_BC)[:, :count]

    def _search(self, batch: Sequence[Request]) -> list[Completion]:
        """Completions by beam search of one batch; a request's sample is a rank among the ended."""
        beams, limit = batch[0].beams, batch[0].max_new_tokens
        rows = self._prompts_at_once(beams)
        tokens_BT, lengths_B = self._prompts(batch, rows)
        penalty_B = np.ones(rows, np.float32)
        penalty_B[: len(batch)] = [r.sampling.repetition_penalty for r in batch]
        static = self._static([request.sampling for request in batch])
        made, columns = 1, self._columns(tokens_BT.shape[1])
        open_B = np.arange(rows) < len(batch)
        *arrays, penalty_B = self.placed((tokens_BT, lengths_B, open_B, penalty_B))
        static = {"static": static, "beams": beams}
        found, going_B = self.run(
            steps.search, *arrays, penalty_B, columns=columns, limit=limit, **static
        )
        while np.any(going_B):
            columns, cache = self._room(found.cache, columns, tokens_BT.shape[1] + made)
            found = found.replace(cache=cache)
            found, going_B = self.run(steps.search_on, found, penalty_B, self.chunk, **static)
            made += self.chunk
        texts_BKM, lengths_BK, scores_BK = map(np.asarray, self.run(steps.ended, found, params=()))
        return [
            self._ranked(request, texts_BKM[row], lengths_BK[row], scores_BK[row])
            for row, request in enumerate(batch)
        ]

    def _ranked(self, request, texts_KM, lengths_K, scores_K):
        rank = request.sample
        text = texts_KM[rank, : lengths_K[rank]].tolist()
        return Completion(text, self._finish(text), float(scores_K[rank]))

    def _prompts_at_once(self, beams):
        """How many prompts a search takes, so that the rows are about batch_size."""
        split = self._split
        return max(1, self.batch_size // (beams.beams * split)) * split

    def _static(self, samplings):
        can = kind(samplings, self.config.vocab_size)
        return steps.Static(self.config, can, self.eos, self.pieces)

    def _columns(self, needed):
        return buckets.bucket(needed, self.cache_buckets)

    def _room(self, cache, columns, tokens):
        """(columns, cache) with room for a chunk behind rows of so many tokens.

        The newest token of a row has no column yet.
        """
        if (wider := self._columns(tokens - 1 + self.chunk)) > columns:
            cache = self.run(steps.widen, cache, params=(), columns=wider)
        return wider, cache

    def placed(self, arrays):
        """Arrays [B, ...] on the mesh, rows over data and fsdp."""
        return jax.device_put(arrays, partitioning.batch_sharding(self.mesh))

    def run(self, program, *arguments, params=None, **options):
        """A compiled program under the mesh and its rules."""
        params = (self.params,) if params is None else params
        with partitioning.activate(self.mesh), nn.logical_axis_rules(RULES):
            return program(*params, *arguments, **options)


def _without(stopped, left_B):
    left_B = np.array(left_B)
    left_B[list(stopped)] = 0
    return left_B
