"""More than 200 requests that are wrong: (path, headers, body) each, of every kind that arrives at servers."""

import json
from collections.abc import Iterator

COMPLETIONS, CHAT = "/v1/completions", "/v1/chat/completions"
JSON = {"content-type": "application/json"}
WRONG_TYPES = [7, -1, 1.5, True, "a", "", [], [1], ["a"], {}, {"a": 1}, [[]], [[1, "a"]], [None]]
NUMBERS = [-1, -0.5, 3, 10**9, 2**31, 2**63, 10**400, -(10**30), 1e308]
# Field -> values of which none is right, in either endpoint.
FIELDS = {
    "max_tokens": ["8", 1.5, True, [], {}, -1, 2**31, 10**40],
    "temperature": ["hot", True, [], {}, *[n for n in NUMBERS if n != 3], 2.001],
    "top_p": ["a", [], 0, -0.1, 1.01, 10**30],
    "top_k": [1.5, "5", -2, 2**31, []],
    "n": [0, -1, 1.5, "2", 129, 10**20, []],
    "seed": ["1", 1.5, 2**63, -(2**64), []],
    "stop": [1, {}, "", [""], [1], ["a"] * 17, "x" * 513, [["a"]]],
    "frequency_penalty": [2.1, -2.1, "1", []],
    "presence_penalty": [2.1, -2.1, {}, True],
    "repetition_penalty": [0, -1, 101, "1"],
    "logit_bias": [[], "a", {"a": 1}, {"1": 101}, {"1": "a"}, {"-1": 1}, {"1" * 30: 1}],
    "stream": ["true", 1, [], {}],
    "stream_options": [[], "a", {"usage": True}, {"include_usage": 1}],
    "model": [1, [], {}, "gpt-4", "x" * 600, "</s>"],
    "tools": [[{"type": "function"}], "a"],
    "unknown": [1],
}
PROMPTS = [5, 1.5, True, {}, [], [[]], [[], [1]], ["a", 1], [1, "a"], [-1], [2**31], [10**30],
           [[600]], [1.0], [None], [[["a"]]], "x" * 5000, [1] * 161, ["a"] * 65]  # fmt: skip
MESSAGES = [
    5, "a", {}, [], [1], ["a"], [{}], [{"role": "user"}], [{"content": "a"}],
    [{"role": "user", "content": 5}], [{"role": "tool", "content": "a"}],
    [{"role": 1, "content": "a"}], [{"role": "user", "content": None}],
    [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}],
    [{"role": "user", "content": [{"type": "text"}]}], [{"role": "user", "content": "a", "x": 1}],
    [{"role": "user", "content": "</s>" * 200}], [{"role": "user", "content": "a"}] * 5000,
]  # fmt: skip
RAW = [
    b"", b"{", b"}", b"null", b"[]", b'"a"', b"7", b"nan", b"NaN", b"{'prompt': 'a'}", b'{"prompt": NaN}',
    b'{"prompt": "a", "temperature": Infinity}', b'{"prompt": "a"', b'{"prompt": "a"}{}', b"\xff\xfe",
    b'{"prompt": "\xff"}', b'{"prompt": "\xc0\xaf"}', b'{"prompt": "\xed\xa0\x80"}', b'{"prompt": "\\ud800"}',
    b'{"prompt": "\\x"}', b'{"prompt": "a\x00"}', "{\"prompt\": \"a\"}".encode("utf-16"), b"\xef\xbb\xbf" * 3,
    b"[" * 100_000, b'{"prompt":' * 50_000, b'{"prompt": ' + b"[" * 900 + b"]" * 900 + b"}",
    b'{"prompt": ' + b"[" * 5000 + b"]" * 5000 + b"}", b'{"a":' * 900 + b"1" + b"}" * 900,
    b'{"prompt": [' + b"9" * 5000 + b"]}", b'{"prompt": [1e999]}', b"prompt=a", b"\x00" * 100,
    b'{"prompt": "a", "logprobs": 21}', b'{"prompt": "a", "logprobs": true}', b'{"prompt": "a", "echo": 1}',
    b'{"prompt": "a", "suffix": "b"}', b'{"prompt": "a", "best_of": 5}', b'{"prompt": "a", "max_tokens": 0}',
]  # fmt: skip


def bodies() -> Iterator[tuple[str, dict, bytes]]:
    """(path, headers, body)."""
    good = {COMPLETIONS: {"prompt": "a"}, CHAT: {"messages": [{"role": "user", "content": "a"}]}}
    for path, fields in good.items():
        for name, values in FIELDS.items():
            for value in values:
                yield path, JSON, json.dumps(fields | {name: value}).encode()
    for prompt in PROMPTS:
        yield COMPLETIONS, JSON, json.dumps({"prompt": prompt}).encode()
    for messages in MESSAGES:
        yield CHAT, JSON, json.dumps({"messages": messages}).encode()
    for fields in ({"top_logprobs": 2}, {"logprobs": 1}, {"response_format": {"type": "json_object"}},
                   {"max_completion_tokens": 0}, {"modalities": ["audio"]}):  # fmt: skip
        yield CHAT, JSON, json.dumps(good[CHAT] | fields).encode()
    for body in RAW:
        yield COMPLETIONS, JSON, body
        yield CHAT, JSON, body
    yield COMPLETIONS, {"content-type": "text/plain"}, b'{"prompt": "a"}'
    yield COMPLETIONS, JSON | {"content-encoding": "gzip"}, b'{"prompt": "a"}'
    yield "/v1/nothing", JSON, b"{}"
    yield "/tokenize", JSON, b'{"prompt": 5}'
    yield "/detokenize", JSON, b'{"tokens": [600]}'
    yield "/detokenize", JSON, b'{"tokens": [-1]}'
