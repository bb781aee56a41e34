"""Texts made in slots: what a job gets alone, in a crowd, after others left; the queue; failures."""

import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy_generation
import toy_serving

from polylm_jax.errors import InputError
from polylm_jax.inference.generation.decode import Request
from polylm_jax.inference.generation.sampling import Sampling
from polylm_jax.inference.serving import programs, sampler
from polylm_jax.inference.serving.chat_template import ChatFormat
from polylm_jax.inference.serving.engine import Closed, Full
from polylm_jax.inference.serving.jobs import FAILED, Job
from polylm_jax.inference.serving.protocol import Chat, Completion
from polylm_jax.inference.serving.requests import Limits, RequestReader
from polylm_jax.inference.serving.sampler import Rule
from polylm_jax.model.network import PolyLM

DRAWN = Rule(Sampling(1.0, top_k=5, top_p=0.9), seed=7, sample=1)
RULES = [
    Rule(), DRAWN, Rule(Sampling(0.8), seed=3), Rule(Sampling(1.2, top_p=0.7), seed=4),
    Rule(Sampling(0.7, repetition_penalty=1.5), seed=5), Rule(frequency=0.5, presence=0.3),
    Rule(bias={9: 4.0, 11: -100.0}),
]  # fmt: skip


class Collected:
    """What was delivered of some jobs."""

    def __init__(self, jobs):
        self.jobs, self.made = jobs, {job: [] for job in jobs}
        self._over = threading.Semaphore(0)
        for job in jobs:
            job.deliver = lambda made, job=job: self._take(job, made)

    def _take(self, job, made):
        self.made[job].append(made)
        if made.finish:
            self._over.release()

    def wait(self):
        for _ in self.jobs:
            assert self._over.acquire(timeout=60)
        return [self.text(job) for job in self.jobs]

    def text(self, job):
        """(tokens, finish, log p, its prompt's log p) as plain values."""
        made = self.made[job]
        log_p = np.concatenate([one.log_p.log_p for one in made if one.log_p] or [[]]).tolist()
        told = made[0].prompt.log_p.tolist() if made[0].prompt else []
        return [t for one in made for t in one.tokens], made[-1].finish, log_p, told


@pytest.fixture(scope="module")
def engine():
    with toy_serving.engine() as running:
        yield running


def prompts(*lengths, seed=0):
    return toy_generation.prompts(*lengths, seed=seed)


def made(engine, jobs):
    collected = Collected(jobs)
    engine.submit(jobs)
    return collected.wait()


def test_a_text_is_what_the_decoder_makes_of_it(engine):
    asked = [(ids, rule) for ids in prompts(40, 50) for rule in RULES[:2]]
    found = made(engine, [Job(ids, 24, rule) for ids, rule in asked])
    decoder = toy_serving.decoder()
    expected = decoder.complete(
        [Request(ids, 24, rule.sampling, rule.seed, rule.sample) for ids, rule in asked]
    )
    assert [text[:2] for text in found] == [(text.tokens, text.finish) for text in expected]


def test_text_is_bitwise_the_same_alone_and_among_others(engine):
    sizes = [
        getattr(programs, name)._cache_size() for name in ("prefill", "advance", "join", "move")
    ]
    lengths = [5, 30, 70, 100, 9, 50, 120, 33, 64, 1]
    jobs = [
        {"tokens": ids, "max_new_tokens": 30, "rule": RULES[number % len(RULES)], "log_p": True,
         "prompt_log_p": number % 2 == 0, "repeatable": True}
        for number, ids in enumerate(prompts(*lengths))
    ]  # fmt: skip
    alone = [made(engine, [Job(**one)])[0] for one in jobs]
    crowd = [Collected([Job(**one)]) for one in jobs]
    for one in crowd:
        engine.submit(one.jobs)
        threading.Event().wait(0.01)  # they join while others are under way
    assert [one.wait()[0] for one in crowd] == alone
    now = [getattr(programs, name)._cache_size() for name in ("prefill", "advance", "join", "move")]
    assert now == sizes


def test_only_occupied_rows_are_computed(engine, monkeypatch):
    computed, run = [], engine.slots._decoder.run

    def counted(program, *arguments, **options):
        if program is programs.advance:
            computed.append(len(arguments[2]))
        return run(program, *arguments, **options)

    monkeypatch.setattr(engine.slots._decoder, "run", counted)

    def texts(repeatable, rules):
        computed.clear()
        asked = [
            Job(ids, 40, rule, log_p=True, repeatable=repeatable)
            for rule, ids in zip(rules, prompts(*range(20, 20 + len(rules))), strict=True)
        ]
        return made(engine, asked), set(computed)

    assert engine.slots.widths == (2, toy_serving.ROWS)
    for rule in RULES:
        (all_rows, widths), (two_rows, few) = (texts(asked, [rule]) for asked in (True, False))
        assert widths == {toy_serving.ROWS} and few == {2}
        assert [text[:2] for text in two_rows] == [text[:2] for text in all_rows]
        np.testing.assert_allclose(two_rows[0][2], all_rows[0][2], atol=2e-5)
    crowd, widths = texts(False, RULES[: toy_serving.ROWS])
    assert toy_serving.ROWS in widths
    assert [text[:2] for text in crowd] == [
        text[:2] for text in texts(True, RULES[: toy_serving.ROWS])[0]
    ]


def test_who_names_a_seed_may_repeat_it_to_the_last_bit():
    reader = RequestReader(
        toy_serving.tokenizer(), ChatFormat("", toy_serving.tokenizer()), Limits(160, 128, 8, ())
    )
    chat = {"messages": [{"role": "user", "content": "a"}]}
    for seed, repeatable in ((None, False), (0, True), (7, True)):
        wanted = reader.completion(Completion(prompt="a", n=2, seed=seed))
        wanted += reader.chat(Chat(**chat, seed=seed))
        assert [one.job.repeatable for one in wanted] == [repeatable] * 3


def test_computing_some_rows_keeps_the_others(engine):
    """A text that ends early leaves holes: the others' rows are not the first ones then."""
    rule = Rule(bias={2: -100.0})
    jobs = [Job(ids, count, rule) for ids, count in zip(prompts(9, 8, 7), (3, 60, 9), strict=True)]
    alone = [made(engine, [Job(job.tokens, job.max_new_tokens, rule)])[0][0] for job in jobs]
    assert [tokens for tokens, *_ in made(engine, jobs)] == alone


def test_log_p_is_the_models_own(engine):
    (ids,) = prompts(37)
    ((tokens, _, log_p, told),) = made(engine, [Job(ids, 12, DRAWN, log_p=True, prompt_log_p=True)])
    expected_TV = log_p_of([*ids, *tokens])
    expected = [expected_TV[place, token] for place, token in enumerate([*ids, *tokens][1:])]
    np.testing.assert_allclose([*told, *log_p], expected, atol=2e-5)


def log_p_of(tokens) -> np.ndarray:
    """[T, V] of the token after each, in one pass without a cache."""
    decoder = toy_serving.decoder()
    of_model = {name: value for name, value in decoder.params.items() if name != "head"}

    @jax.jit
    def whole(tokens_BT):
        x_BTD = PolyLM(decoder.config).apply({"params": of_model}, tokens_BT)
        logits_TV = x_BTD[0] @ decoder.params["head"]
        return jax.nn.log_softmax(logits_TV, axis=-1)[:, : decoder.pieces]

    return np.asarray(whole(np.array([tokens])))


def test_the_likeliest_are_told_best_first(engine):
    job = Job(prompts(20)[0], 6, log_p=True)
    collected = Collected([job])
    engine.submit([job])
    collected.wait()
    for one in collected.made[job]:
        assert one.log_p.likeliest[:, 0].tolist() == list(one.tokens)  # greedy
        assert (one.log_p.log_p_of_likeliest[:, 0] == one.log_p.log_p).all()
        assert (np.diff(one.log_p.log_p_of_likeliest, axis=1) <= 0).all()


def test_rules_do_what_they_say():
    logits_BV = np.tile(np.float32([[2.0, 1.9, -1.0, -1.5]]), (4, 1))
    rules = [
        Rule(Sampling(repetition_penalty=2.0)), Rule(frequency=0.06), Rule(presence=0.2),
        Rule(bias={3: 4.0, 0: -9.0}),
    ]  # fmt: skip
    memory = sampler.Memory(
        np.tile([[True, False, True, False]], (4, 1)), np.tile(np.int16([[2, 0, 0, 0]]), (4, 1))
    )
    controls = sampler.controls(rules, log_p=False)
    ruled = jax.jit(sampler._ruled)(controls, memory, logits_BV)
    expected = [[1.0, 1.9, -2.0, -1.5], [1.88, 1.9, -1.0, -1.5], [1.8, 1.9, -1.0, -1.5],
                [-7.0, 1.9, -1.0, 2.5]]  # fmt: skip
    np.testing.assert_allclose(ruled, expected, rtol=1e-6)
    remembered = jax.jit(sampler.remember)(memory, jnp.array([1, 1, 1, 3]))
    assert remembered.made_BV[:, 1].tolist() == [1, 1, 1, 0]
    assert remembered.seen_BV[3].tolist() == [True, False, True, True]


def test_a_bias_beyond_the_vocabulary_is_refused():
    with pytest.raises(InputError, match="logit_bias has token 600"):
        Rule(bias={600: 1.0}).check(600)


def test_a_place_that_nobody_waits_for_is_free(engine):
    long = [Job([5, 6], 150, Rule(bias={2: -100.0})) for _ in range(toy_serving.ROWS)]
    others = Collected(long)
    engine.submit(long)
    toy_serving.wait_until(lambda: all(others.made[job] for job in long))
    engine.cancel(long)
    ((tokens, finish, _, _),) = made(engine, [Job([5, 6], 3, Rule(bias={2: -100.0}))])
    assert len(tokens) == 3 and finish == "length"
    toy_serving.wait_until(lambda: not engine.slots.active)
    assert not any(others.made[job][-1].finish for job in long)


def test_a_queue_takes_all_of_a_request_or_nothing():
    with toy_serving.engine(max_waiting=2) as running:
        some = Collected([Job([5], 2), Job([6], 2)])
        with pytest.raises(Full):
            running.submit([Job([5], 2) for _ in range(3)])
        running.submit(some.jobs)
        some.wait()
        running.close()
        with pytest.raises(Closed):
            running.submit([Job([5], 2)])
        assert running.join(30) and not running.open


def test_texts_under_way_are_finished_at_close():
    with toy_serving.engine() as running:
        jobs = [Job([5, number], 40, Rule(bias={2: -100.0})) for number in range(9)]
        collected = Collected(jobs)
        running.submit(jobs)
        running.close()
        assert all(len(tokens) == 40 for tokens, _, _, _ in collected.wait())


def test_a_device_failure_reaches_its_requests_alone(monkeypatch):
    with toy_serving.engine() as running:
        expected = made(running, [Job([5, 6], 20)])
        step, failures = running.slots.step, iter([True])

        def failing():
            if next(failures, False):
                raise RuntimeError("RESOURCE_EXHAUSTED")
            return step()

        monkeypatch.setattr(running.slots, "step", failing)
        ((_, finish, _, _),) = made(running, [Job([5, 6], 20)])
        assert finish == FAILED
        assert made(running, [Job([5, 6], 20)]) == expected
