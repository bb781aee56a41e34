"""Slots: rows of a cache that texts take while they are made, in groups by the cache's columns.

    prompts   32 64 128 256 512 1024 2048        buckets that prompts are padded to
    groups    128 256 512 1024 2048              columns of the cache

A text begins in the first group that has room for its bucket and a chunk, and moves to the next one
when it has filled that. Rows come and go one by one, between two chunks. As many rows of a group are computed as
are there, of a few widths: 2, 8, 32 ... all. A sum's last bit follows its shapes, so in a group with a
repeatable text all are computed: what that one gets does not depend on the others, to the last bit.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence

import jax
import numpy as np

from polylm_jax.inference.generation import buckets, steps
from polylm_jax.inference.generation.decode import Decoder
from polylm_jax.inference.generation.sampling import Kind
from polylm_jax.inference.serving import programs, sampler
from polylm_jax.inference.serving.jobs import Job, LogP, Output

SMALLEST_PROMPT, SMALLEST_CACHE = 32, 128
SMALLEST_WIDTH = 2  # XLA's CPU compiler copies the cache of a single row at each token
PREFILL_TOKENS = 512  # of one prefill, about: it keeps the texts under way waiting


@dataclasses.dataclass(eq=False)
class Text:
    """A job in a row. length: tokens in the cache; left: tokens it may still get."""

    job: Job
    row: int
    length: int
    left: int


class SlotGroup:
    """The rows of a cache of so many columns; a row is a text's or free."""

    def __init__(self, columns: int, rows: int):
        self.columns = columns
        self.texts: list[Text | None] = [None] * rows
        self.state: programs.Rows | None = None
        self.controls: sampler.Controls | None = None
        self.controlled: list[Job | None] = []

    @property
    def occupied(self) -> list[Text]:
        return [text for text in self.texts if text]

    def take(self, text: Text) -> None:
        """The first free row is the text's."""
        text.row = self.texts.index(None)
        self.texts[text.row] = text


class Slots:
    """Texts under way on a decoder's model: at most `decoder.batch_size` at a time.

    `start` some jobs, then `step` again and again; both give (job, what was made of it). Rows of a
    job that is over are free from the next step on. smallest_prompt, smallest_cache: the first buckets.
    """

    def __init__(
        self,
        decoder: Decoder,
        smallest_prompt: int = SMALLEST_PROMPT,
        smallest_cache: int = SMALLEST_CACHE,
    ):
        self._decoder, self._split = (
            decoder,
            decoder.mesh.shape["data"] * decoder.mesh.shape["fsdp"],
        )
        limit = decoder.config.max_length
        self.rows = decoder.batch_size
        self.prompt_buckets = buckets.doubled(smallest_prompt, limit)
        self.widths = self._widths()
        self._static = steps.Static(decoder.config, Kind(), decoder.eos, decoder.pieces)
        self._groups = {c: SlotGroup(c, self.rows) for c in buckets.doubled(smallest_cache, limit)}
        self.reset()

    def reset(self) -> None:
        """Forgets all texts, and takes the memory of all groups."""
        for group in self._groups.values():
            group.texts = [None] * self.rows
            options = {"static": self._static, "rows": self.rows, "columns": group.columns}
            group.state = self._decoder.run(programs.empty, **options)

    @property
    def active(self) -> int:
        """Texts under way."""
        return sum(len(group.occupied) for group in self._groups.values())

    @property
    def jobs(self) -> list[Job]:
        """Those whose texts are under way."""
        return [text.job for group in self._groups.values() for text in group.occupied]

    @property
    def nbytes(self) -> int:
        """Memory of all groups, over all devices."""
        states = [group.state for group in self._groups.values()]
        return sum(leaf.nbytes for leaf in jax.tree.leaves(states))

    def bucket(self, job: Job) -> int:
        """What the job's prompt is padded to: jobs of one bucket may start together."""
        return buckets.bucket(len(job.tokens), self.prompt_buckets)

    def _widths(self) -> tuple[int, ...]:
        """Numbers of rows that are computed: each four times the one before.

        On a mesh that shares rows out it is always all of them: each device has a part.
        """
        some = (SMALLEST_WIDTH * 4**n for n in range(8)) if self._split == 1 else ()
        return (*(width for width in some if width < self.rows), self.rows)

    def at_once(self, bucket: int) -> int:
        """How many prompts of a bucket one prefill reads at most."""
        rows = max(2, min(self.rows, PREFILL_TOKENS // bucket))
        return max(rows // self._split, 1) * self._split

    def warm(self) -> None:
        """Compiles every program that jobs can need."""
        job = Job([0], 1, log_p=True, prompt_log_p=True)
        for _ in range(2):  # the second time with what programs gave, which lies as it always will
            for bucket in self.prompt_buckets:
                job.tokens = [0] * bucket
                for rows in self._reads(bucket):
                    group, new, _, _ = self._read([job], rows)
                    self._join(group, new, {0: job})
                    group.texts = [None] * self.rows
            groups = [*self._groups.values()]
            groups[0].take(text := Text(job, 0, 0, 1 << 20))
            for group in groups:
                for width in self.widths:
                    self._advance(group, width)
                text.length = group.columns
                self._move_on()
            groups[-1].texts = [None] * self.rows
        self.reset()

    def _reads(self, bucket: int) -> tuple[int, ...]:
        """Rows that a prefill of a bucket computes: one prompt, or as many as it reads at most."""
        most = self.at_once(bucket)
        return (1, most) if self._split == 1 else (most,)

    def start(self, jobs: Sequence[Job]) -> list[tuple[Job, Output]]:
        """Reads prompts of one bucket; the texts go on with the next steps."""
        alone = len(jobs) == 1 and not jobs[0].repeatable
        rows = self._reads(self.bucket(jobs[0]))[0 if alone else -1]
        group, new, chosen, prompts = self._read(jobs, rows)
        token_P = np.asarray(chosen.token_B)
        going = {row: job for row, job in enumerate(jobs) if self._goes_on(job, token_P[row])}
        if going:
            self._join(group, new, going)
        first = jax.tree.map(lambda x: x[:, None], _fetched(chosen))
        prompts = _fetched(prompts) if any(job.prompt_log_p for job in jobs) else None
        return [
            (job, _first(job, row, first, prompts, self._decoder.eos))
            for row, job in enumerate(jobs)
        ]

    def _read(self, jobs, rows):
        """Prefill of so many rows -> the group where they begin, and what `programs.prefill` gives."""
        bucket = self.bucket(jobs[0])
        group = self._group(bucket + self._decoder.chunk)
        tokens_PT, lengths_P = np.zeros((rows, bucket), np.int32), np.ones(rows, np.int32)
        for row, job in enumerate(jobs):
            lengths_P[row] = len(job.tokens)
            tokens_PT[row, : lengths_P[row]] = job.tokens
        controls = _controls([*jobs, *[None] * (rows - len(jobs))], self._decoder)
        prompt_log_p = np.bool_(any(job.prompt_log_p for job in jobs))
        tokens_PT, lengths_P = self._decoder.placed((tokens_PT, lengths_P))
        options = {"static": self._static, "columns": group.columns}
        return group, *self._decoder.run(
            programs.prefill, tokens_PT, lengths_P, controls, prompt_log_p, **options
        )

    def _goes_on(self, job, token):
        return job.max_new_tokens > 1 and token not in self._decoder.eos

    def _join(self, group, new, going):
        places_P = np.full(len(new.token_B), self.rows, np.int32)
        for row, job in going.items():
            text = Text(job, 0, len(job.tokens), job.max_new_tokens - 1)
            group.take(text)
            places_P[row] = text.row
        group.state = self._decoder.run(programs.join, group.state, new, places_P, params=())

    def step(self) -> Iterator[tuple[Job, Output]]:
        """A chunk for every text. All groups are under way before the first one is waited for."""
        self._free()
        self._move_on()
        running = []
        for group in self._groups.values():
            if group.occupied:
                running.append((group, *self._advance(group, self._width(group))))
        for group, texts, made in running:
            yield from self._delivered(group, texts, made)

    def _free(self):
        for group in self._groups.values():
            for text in group.occupied:
                if text.job.over:
                    group.texts[text.row] = None

    def _width(self, group) -> int:
        if any(text.job.repeatable for text in group.occupied):
            return self.rows
        return buckets.bucket(len(group.occupied), self.widths)

    def _advance(self, group, width) -> tuple[list[Text | None], sampler.Chosen]:
        """A chunk of so many rows -> the text of each, and what was made of it."""
        texts = [*group.texts] if width == self.rows else group.occupied
        texts += [None] * (width - len(texts))
        places_W = np.array([text.row if text else self.rows for text in texts], np.int32)
        left_W = np.array([text.left if text else 0 for text in texts], np.int32)
        jobs = [text.job if text else None for text in texts]
        if jobs != group.controlled:
            group.controls, group.controlled = _controls(jobs, self._decoder), jobs
        count = np.int32(min(self._decoder.chunk, left_W.max()))
        group.state, made = self._decoder.run(
            programs.advance, group.state, *self._decoder.placed((places_W, left_W)), group.controls,
            count, static=self._static, chunk=self._decoder.chunk,
        )  # fmt: skip
        return texts, made

    def _delivered(self, group, texts, made):
        wanted = any(text.job.log_p for text in group.occupied)
        made = _fetched(made) if wanted else made.replace(token_B=np.asarray(made.token_B))
        for row, text in enumerate(texts):
            if not text:
                continue
            ids = made.token_B[row]
            ids = ids[ids != steps.NONE].tolist()
            text.left -= len(ids)
            text.length += len(ids)
            finish = "eos" if ids[-1] in self._decoder.eos else None if text.left else "length"
            if finish:
                group.texts[text.row] = None
            log_p = _log_p(made, row, len(ids)) if text.job.log_p else None
            yield text.job, Output(ids, finish, log_p)

    def _move_on(self):
        """Texts whose group has no room for another chunk go to the next one."""
        groups = [*self._groups.values()]
        for narrow, wide in itertools.pairwise(groups):
            room = narrow.columns - self._decoder.chunk
            full = [text for text in narrow.occupied if text.length > room]
            if not full:
                continue
            from_B, to_B = np.zeros(self.rows, np.int32), np.full(self.rows, self.rows, np.int32)
            for index, text in enumerate(full):
                from_B[index], narrow.texts[text.row] = text.row, None
                wide.take(text)
                to_B[index] = text.row
            wide.state = self._decoder.run(
                programs.move, wide.state, narrow.state, from_B, to_B, params=()
            )

    def _group(self, columns):
        return self._groups[buckets.bucket(columns, tuple(self._groups))]


def _controls(jobs, decoder):
    rules = [job.rule if job else None for job in jobs]
    log_p = any(job and job.log_p for job in jobs)
    made = sampler.controls(rules, log_p)
    by_row = {name: value for name, value in vars(made).items() if name.endswith(("_B", "_BE"))}
    return made.replace(knobs=decoder.placed(made.knobs), **decoder.placed(by_row))


def _fetched(arrays):
    return jax.tree.map(np.asarray, jax.device_get(arrays))


def _log_p(made: sampler.Chosen, row: int, count: int) -> LogP:
    of_row = (made.log_p_B[row], made.likeliest_BK[row], made.log_p_BK[row])
    every = LogP(*map(np.asarray, of_row))
    return every.first(count)


def _first(job, row, chosen, prompts, eos) -> Output:
    """What prefill made of a job."""
    of_prompt = None
    if job.prompt_log_p:
        whole = LogP(prompts.log_p_PT[row], prompts.likeliest_PTK[row], prompts.log_p_PTK[row])
        of_prompt = whole.first(len(job.tokens) - 1)
    if not job.max_new_tokens:
        return Output((), "length", None, of_prompt)
    token = int(chosen.token_B[row, 0])
    finish = "eos" if token in eos else "length" if job.max_new_tokens == 1 else None
    return Output([token], finish, _log_p(chosen, row, 1) if job.log_p else None, of_prompt)
