"""Ten minutes of clients that come and go: is memory flat, is an answer lost, is one another's?

    python -m benchmarks.serving_soak [--seconds=600] [--clients=12] [--folder=DIR]

The server is a process of its own with 4 layers of 256. What each prompt gets is asked for first,
one request at a time. Then each client asks again and again, by chance in one of these ways: whole or
streamed, one text or several, drawn by a seed or greedy, with a name of its own in an echoed prompt,
malformed, or left half-way. Every answer that is read to its end must be, to the last character, what
its prompt got alone. A JSON line per half minute, with the server's memory, files and threads; the last one
sums up, exit code 1 where something is wrong. Time in which the whole machine stood still is not
counted.
"""

import argparse
import asyncio
import collections
import contextlib
import json
import pathlib
import random
import re
import statistics
import sys
import tempfile
import time
import urllib.request

import openai

from benchmarks import serving, serving_toy

PORT = 8473
WAYS = ("whole", "streamed", "several", "chat", "named", "malformed", "left", "left at once")
PROMPTS = 12
FLAT = 0.02  # how much more memory the last quarter may have than the second one


class Soak:
    """The clients' side."""

    def __init__(self, address: str, clients: int):
        self._address, self._clients = address, clients
        self._expected: dict = {}
        self.counts: collections.Counter = collections.Counter()
        self.wrong: list[str] = []
        self.over = False

    def client(self) -> openai.AsyncOpenAI:
        """With connections of its own."""
        return openai.AsyncOpenAI(
            base_url=f"{self._address}/v1", api_key="none", timeout=600, max_retries=0
        )

    async def prepare(self) -> None:
        """What each request gets while there is no other."""
        async with self.client() as client:
            for number, prompt in enumerate(serving_toy.prompts(PROMPTS)):
                for way in ("whole", "several", "chat"):
                    asked = _asked(way, number, prompt)
                    self._expected[way, number] = await _texts(client, way, asked)

    async def run(self) -> None:
        """All clients until `over`."""
        await asyncio.gather(*(self._one(random.Random(n)) for n in range(self._clients)))

    async def _one(self, chance: random.Random) -> None:
        while not self.over:
            async with self.client() as client:  # a client comes, asks a few times, and goes
                for _ in range(chance.randrange(1, 12)):
                    if self.over:
                        return
                    await self._ask(client, chance)
                    await asyncio.sleep(chance.random() * 0.4)

    async def _ask(self, client, chance) -> None:
        way, number = chance.choice(WAYS), chance.randrange(PROMPTS)
        try:
            await self._in_some_way(client, chance, way, number)
            self.counts[way] += 1
        except Exception as error:  # noqa: BLE001 (whatever it is, an answer was lost)
            self.wrong.append(f"{way} {number}: {type(error).__name__} {error}"[:300])

    async def _in_some_way(self, client, chance, way, number) -> None:
        prompt = serving_toy.prompts(PROMPTS)[number]
        if way == "malformed":
            with contextlib.suppress(openai.BadRequestError):
                await client.completions.create(model="run", prompt=prompt, n=-1)
                self.wrong.append("a malformed request was answered")
        elif way == "named":
            await self._named(client, chance)
        elif way.startswith("left"):
            stream = await client.completions.create(
                model="run", prompt=prompt, max_tokens=600, n=2, stream=True
            )
            for _ in range(0 if way == "left at once" else chance.randrange(1, 9)):
                await anext(aiter(stream))
            await stream.close()
        else:
            kind = "whole" if way == "streamed" else way
            asked = _asked(kind, number, prompt) | ({"stream": True} if way == "streamed" else {})
            found = await _texts(client, kind, asked)
            if found != self._expected[kind, number]:
                self.wrong.append(f"{way} {number}: another text than alone")

    async def _named(self, client, chance) -> None:
        name = f"{chance.getrandbits(64):x}"
        answer = await client.completions.create(
            model="run", prompt=name, echo=True, max_tokens=chance.randrange(1, 40), n=2
        )
        if not all(choice.text.startswith(name) for choice in answer.choices):
            self.wrong.append(f"an answer to another prompt than {name}")


def _asked(way: str, number: int, prompt: str) -> dict:
    """Short and long ones, greedy and drawn, with rules of all kinds."""
    asked = {"model": "run", "max_tokens": 4 + 13 * number % 150, "seed": number}
    asked |= [{"temperature": 0}, {"temperature": 1}, {"temperature": 0.8, "top_p": 0.9},
              {"temperature": 1, "frequency_penalty": 0.5}][number % 4]  # fmt: skip
    if way == "chat":
        return asked | {"messages": [{"role": "user", "content": prompt}]}
    return asked | {"prompt": prompt} | ({"n": 3} if way == "several" else {})


async def _texts(client, way: str, asked: dict) -> list[str]:
    if way == "chat":
        answer = await client.chat.completions.create(**asked)
        return [choice.message.content for choice in answer.choices]
    answer = await client.completions.create(**asked)
    if asked.get("stream"):
        return ["".join([chunk.choices[0].text async for chunk in answer])]
    return [choice.text for choice in answer.choices]


def server_state(pid: int) -> dict:
    """Memory (MiB), open files and threads of a process."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    found = {name: int(re.search(rf"{name}:\s+(\d+)", status)[1]) for name in ("VmRSS", "Threads")}
    files = len([*pathlib.Path(f"/proc/{pid}/fd").iterdir()])
    return {"rss_mib": round(found["VmRSS"] / 1024, 1), "threads": found["Threads"], "files": files}


async def watch(soak: Soak, pid: int, seconds: float) -> list[dict]:
    """A line per half minute of time in which the machine ran."""
    states, ran, told = [], 0.0, 0
    while ran < seconds:
        before = time.monotonic()
        await asyncio.sleep(0.5)
        ran += min(time.monotonic() - before, 2.0)
        if ran >= 30 * told:
            told += 1
            states.append({"ran_s": round(ran), **server_state(pid)})
            line = states[-1] | {"answers": soak.counts.total(), "wrong": len(soak.wrong)}
            print(json.dumps(line), flush=True)
    soak.over = True
    return states


async def soaked(address: str, pid: int, options) -> int:
    """Runs it all -> the exit code."""
    soak = Soak(address, options.clients)
    await soak.prepare()
    states, _ = await asyncio.gather(watch(soak, pid, options.seconds), soak.run())
    await asyncio.sleep(2)
    health = await asyncio.to_thread(_health, address)
    quarter = max(1, len(states) // 4)
    early = statistics.mean(s["rss_mib"] for s in states[quarter : 2 * quarter])
    late = statistics.mean(s["rss_mib"] for s in states[-quarter:])
    told = {"seconds": states[-1]["ran_s"], "by_way": dict(soak.counts), "wrong": soak.wrong[:10],
            "answers": soak.counts.total(), "left_over": health["active"] + health["waiting"],
            "rss_mib": [round(early, 1), round(late, 1)], "growth": round(late / early - 1, 4)}  # fmt: skip
    good = not soak.wrong and not told["left_over"] and told["growth"] < FLAT
    print(json.dumps(told | {"good": good}))
    return int(not good)


def _health(address: str) -> dict:
    with urllib.request.urlopen(f"{address}/health") as answer:
        return json.load(answer)


def main() -> int:
    """Starts the server and soaks it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--clients", type=int, default=12)
    parser.add_argument("--folder", type=pathlib.Path, help="where the checkpoint is or goes")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = options.folder or pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        serving_toy.prepare(folder, export=False)
        child = stack.enter_context(serving.running(serving.ours(folder, rows=8), PORT))
        return asyncio.run(soaked(child.address, child.pid, options))


if __name__ == "__main__":
    sys.exit(main())
