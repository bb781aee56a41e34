"""A local server that speaks OpenAI's chat protocol and misbehaves on purpose.

What it answers is a function of the prompt: translations and tasks of the sample corpus' sentences,
now and then in English or as a refusal. How it answers is a function of how many requests
came before: 429, 500, silence, half a stream, broken JSON,
the wrong language.
"""

import contextlib
import functools
import hashlib
import http.server
import json
import random
import re
import threading
import time
from collections import Counter

from polylm_jax.languages.registry import LANGUAGES
from tasks.sample_data import generate

CODES = {language.name: code for code, language in LANGUAGES.items()}
TROUBLE = (
    "429",
    "500",
    "hang",
    "half",
    "broken",
    "html",
    "error",
    "empty",
    "slow",
    "no usage",
    "wrong",
)


@functools.cache
def sentences():
    """code -> sentences; number i translates number i of every language."""
    found = generate.documents(generate.books(), per_frame=20, seed=3)
    return {code: [s for d in docs for s in d.sentences] for code, docs in found.items()}


def draw(prompt, code, parts):
    """Texts of a language that follow from a prompt."""
    chance, known = random.Random(hashlib.sha256(prompt.encode()).digest()), sentences()[code]
    return [" ".join(chance.sample(known, n)) for n in parts]


def answer(prompt):
    """(text, finish) for a request of ours."""
    code = CODES[re.search(r"(?:should be in|into) (\w+)", prompt)[1]]
    mood = hashlib.sha256(b"mood" + prompt.encode()).digest()[0]
    if "Translate" in prompt:
        instruction, given, output = draw(prompt, code, (2, 1, 2))
        said = f"1. Instruction: {instruction}\n"
        if "1. Output:" in prompt:
            given = "<noinput>" if "1. Input:\n<noinput>" in prompt else given
            said += f"1. Input:\n{given}\n1. Output:\n{output}\n"
        return said, "stop"
    if mood < 10:
        return "I'm sorry, but I can't help with that.", "stop"
    code = "en" if mood < 25 else code
    texts = draw(prompt, code, (2, 1, 2) * 17)
    tasks = [
        f"{n + 4}. Instruction: {texts[3 * n]}\n{n + 4}. Input:\n"
        f"{texts[3 * n + 1] if n % 2 else '<noinput>'}\n{n + 4}. Output:\n{texts[3 * n + 2]}"
        for n in range(17)
    ]
    return "\n".join(tasks), "length" if mood > 230 else "stop"


def plain(text, finish):
    """A whole answer as one JSON object, as a server gives it that doesn't stream."""
    return {
        "id": "x", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
        ],
        "usage": {"prompt_tokens": 9, "completion_tokens": 31, "total_tokens": 40},
    }  # fmt: skip


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        """Says nothing."""

    def do_POST(self):
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.bodies.append(json.loads(raw))
        self.server.keys.add(self.headers.get("Authorization"))
        prompt = json.loads(raw)["messages"][0]["content"]
        with self.server.guard:
            number, self.server.number = self.server.number, self.server.number + 1
            self.server.seen[prompt] += 1
            self.server.under_way += 1
            self.server.most = max(self.server.most, self.server.under_way)
        try:
            self.reply(self.server.trouble(number), prompt)
        except (BrokenPipeError, ConnectionResetError):
            pass
        finally:
            with self.server.guard:
                self.server.under_way -= 1

    def reply(self, trouble, prompt):
        self.close_connection = True
        if callable(trouble):
            trouble(self)
        elif trouble in ("429", "500", "400", "401", "404", "503"):
            key = self.headers.get("Authorization", "")
            body = {"error": {"message": f"no, {key}\x1b[2J", "type": "t", "code": None}}
            self.whole(int(trouble), "application/json", json.dumps(body), "0.01")
        elif trouble == "html":
            self.whole(200, "text/html", "<html>Sign in</html>")
        elif trouble == "plain":
            self.whole(200, "application/json", json.dumps(plain(*self.server.answer(prompt))))
        elif trouble == "hang":
            time.sleep(self.server.hang)
        else:
            if trouble == "wrong":
                prompt = re.sub(r"(should be in|into) \w+", r"\1 Turkish", prompt)
            self.stream(trouble, *self.server.answer(prompt))

    def whole(self, code, kind, text, retry_after=None):
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text.encode())))
        self.send_header("Connection", "close")  # else the next request may go where nobody reads
        if retry_after:
            self.send_header("Retry-After", retry_after)
        self.end_headers()
        self.wfile.write(text.encode())

    def stream(self, trouble, text, finish):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        pieces = [text[n : n + 200] for n in range(0, len(text), 200)]
        half = len(pieces) // 2
        for n, piece in enumerate(pieces):
            if n == half and trouble == "half":
                return
            if n == half and trouble == "broken":
                self.wfile.write(b'data: {"choices": [{"delta": {"cont\n\n')
            if n == half and trouble == "error":
                self.event({"error": {"message": "overloaded", "type": "t"}})
            if trouble == "slow":
                time.sleep(0.02)
            if trouble != "empty":
                self.chunk({"content": piece})
        self.chunk({}, finish)
        if trouble != "no usage":
            tokens = len(text) // 3 + 10
            self.event({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": tokens - 9, "total_tokens": tokens}})  # fmt: skip
        self.wfile.write(b"data: [DONE]\n\n")

    def chunk(self, delta, finish=None):
        self.event({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    def event(self, found):
        whole = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", **found}
        self.wfile.write(f"data: {json.dumps(whole)}\n\n".encode())
        self.wfile.flush()


@contextlib.contextmanager
def serving(trouble=lambda number: "", reply=answer, hang=5.0):
    """A server on a free port, as `server.url`; trouble(number of the request) -> what goes wrong."""
    sentences()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.trouble, server.answer, server.hang = trouble, reply, hang
    server.guard, server.number, server.seen, server.keys = threading.Lock(), 0, Counter(), set()
    server.bodies = []
    server.under_way = server.most = 0
    server.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
