"""What arrives at servers: malformed requests, half and slow bodies, clients that leave, floods, wrong keys."""

import contextlib
import http.client
import json
import socket
import threading

import bad_requests
import pytest
import toy_serving

LONG = {"prompt": "a", "max_tokens": 120, "logit_bias": {"2": -100}, "temperature": 0}


@pytest.fixture(scope="module")
def address():
    with toy_serving.server(max_body_bytes=600_000, body_seconds=0.4) as found:
        yield found.removeprefix("http://")


def ask(address, path, body=None, headers=bad_requests.JSON):
    """(status, fields of the answer)."""
    connection = http.client.HTTPConnection(address, timeout=30)
    with contextlib.closing(connection):
        body = json.dumps(body).encode() if isinstance(body, dict) else body
        connection.request("GET" if body is None else "POST", path, body, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


def complete(address, **fields):
    return ask(address, bad_requests.COMPLETIONS, {"prompt": "Die", "temperature": 0} | fields)


def raw(address, content: bytes):
    """A connection on which so much has been sent."""
    host, port = address.split(":")
    connection = socket.create_connection((host, int(port)), timeout=10)
    connection.sendall(content)
    return connection


def head(path, length, *lines) -> bytes:
    fields = [f"POST {path} HTTP/1.1", "host: x", "content-type: application/json", *lines]
    return "\r\n".join([*fields, f"content-length: {length}", "", ""]).encode()


def active(address):
    status = ask(address, "/health")[1]
    return status["active"] + status["waiting"]


def test_malformed_requests_get_the_protocols_error(address):
    _, expected = complete(address)
    asked = [*bad_requests.bodies()]
    assert len(asked) > 200
    for path, headers, body in asked:
        status, answer = ask(address, path, body, headers)
        assert 400 <= status < 500, (path, body[:200], answer)
        assert set(answer["error"]) == {"message", "type", "param", "code"}
        assert 0 < len(answer["error"]["message"]) < 600
    _, after = complete(address)
    assert after["choices"] == expected["choices"]
    assert active(address) == 0


@pytest.mark.parametrize(
    "text", ["</s>", "<unk><s></s>", "<0x0A>", "\x00", "\u2581", "\ufeff", "\u202e", "👩‍👩‍👧", "\U0010ffff", "\n" * 50]
)  # fmt: skip
def test_any_text_is_a_prompt_and_comes_back_as_it_was(address, text):
    status, answer = complete(address, prompt=text, echo=True, max_tokens=0)
    assert status == 200
    assert answer["choices"][0]["text"] == text.replace("\u2581", " ")


def test_what_is_no_http_is_refused(address):
    for content in (b"\x16\x03\x01\x02\x00\x01", b"GARBAGE\r\n\r\n", 
                    b"POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\n"):  # fmt: skip
        with raw(address, content) as connection:
            answer = connection.recv(4096)
            assert not answer or answer.split()[1] in (b"400",), (content, answer)
    assert complete(address)[0] == 200


def test_half_a_body_and_a_slow_one_cost_nothing(address):
    with raw(address, head("/v1/completions", 5000) + b'{"prompt": '):
        pass
    with raw(address, head("/v1/completions", 5000) + b'{"prompt": ') as slow:
        assert complete(address)[0] == 200  # others are served meanwhile
        answer = slow.recv(4096)
    assert answer.split()[1] == b"408" and b"did not come within 0.4 s" in answer


def test_a_body_is_bounded(address):
    big = b'{"prompt": "' + b"a" * 700_000 + b'"}'
    for lines in ([], ["expect: 100-continue"]):
        with raw(address, head("/v1/completions", len(big), *lines)) as connection:
            assert connection.recv(4096).split()[1] == b"413"
    chunked = b"POST /v1/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    with raw(address, chunked + b"%x\r\n%s\r\n" % (len(big), big)) as connection:
        assert connection.recv(4096).split()[1] == b"413"


def test_a_client_that_leaves_frees_its_place(address):
    for streamed in (False, True):
        body = json.dumps(LONG | {"n": 40, "stream": streamed}).encode()
        connection = raw(address, head("/v1/completions", len(body)) + body)
        toy_serving.wait_until(lambda: active(address) > 1)
        connection.close()
        toy_serving.wait_until(lambda: active(address) == 0, seconds=5)
    assert complete(address)[0] == 200


def test_a_flood_is_told_to_come_again():
    with toy_serving.server(max_waiting=3) as found:
        address, statuses = found.removeprefix("http://"), []
        threads = [
            threading.Thread(target=lambda: statuses.append(complete(address, **LONG)))
            for _ in range(24)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        refused = [answer for status, answer in statuses if status == 429]
        served = [answer for status, answer in statuses if status == 200]
        assert len(refused) + len(served) == 24 and len(served) >= 3 and refused
        assert refused[0]["error"]["code"] == "rate_limit_exceeded"
        assert len({answer["choices"][0]["text"] for answer in served}) == 1


def test_a_key_is_asked_for_where_there_is_one():
    with toy_serving.server(key="secret") as found:
        address = found.removeprefix("http://")
        wrong = ({}, {"authorization": "Bearer other"}, {"authorization": "Basic secret"},
                 {"authorization": "Bearer"}, {"authorization": b"Bearer \xff\xfe"})  # fmt: skip
        for given in wrong:
            status, answer = ask(address, "/v1/models", headers=given)
            assert status == 401 and answer["error"]["code"] == "invalid_api_key"
            assert ask(address, "/metrics", headers=given)[0] == 401
            assert ask(address, "/health", headers=given)[0] == 200
        good = {"authorization": "Bearer secret"}
        assert ask(address, "/v1/models", headers=good)[0] == 200


def test_a_name_that_is_not_the_servers_own_is_refused():
    with toy_serving.server(hosts=("localhost", "127.0.0.1", "[::1]")) as found:
        address = found.removeprefix("http://")
        for name in ("evil.example", "evil.example:8000", "127.0.0.1.evil.example", ""):
            assert ask(address, "/health", headers={"host": name})[0] == 403
        for name in ("localhost", "127.0.0.1:8000", "[::1]", "[::1]:8000", "LOCALHOST:80"):
            assert ask(address, "/health", headers={"host": name})[0] == 200


def test_a_path_or_method_that_is_not_there(address):
    for method, path, status in (("GET", "/v1/nothing", 404), ("GET", "/v1/completions", 405),
                                 ("POST", "/health", 405), ("GET", "/v1/models/other", 404)):  # fmt: skip
        connection = http.client.HTTPConnection(address, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path, b"" if method == "POST" else None)
            answer = connection.getresponse()
            assert answer.status == status and b'"error"' in answer.read()
