"""HTTP that can't be made to swallow more than it should: bounded bodies, nothing compressed."""

import re
from collections.abc import AsyncIterator

import httpx

MOST_BYTES = 8 << 20  # of one response; an answer of 4,096 tokens takes some 2 MB as a stream

SEEN = "seen"  # the extension of a response that holds its `Bounded`
_DONE = re.compile(rb"\ndata: ?\[DONE\]")  # the last line of a stream; JSON holds no bare line end
_DONE_BYTES = 16


class TooLong(httpx.TransportError):
    """A response that goes on and on."""


class Bounded(httpx.AsyncByteStream):
    """A body of at most so many bytes.

    size: bytes so far. done: the last line of a stream of events came. plain: the body, where it is JSON and no stream.
    """

    def __init__(self, stream: httpx.AsyncByteStream, most: int):
        self._stream, self._most = stream, most
        self._tail, self.done, self.size = b"\n", False, 0
        self._plain: bytearray | None = bytearray()  # None: it does not begin as JSON does

    @property
    def plain(self) -> bytes:
        return bytes(self._plain or b"").strip()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            self.size += len(chunk)
            if self.size > self._most:
                raise TooLong(f"more than {self._most:,} bytes")
            self._look(chunk)
            yield chunk

    def _look(self, chunk: bytes) -> None:
        self._tail = self._tail[-_DONE_BYTES:] + chunk
        self.done = self.done or bool(_DONE.search(self._tail))
        if self._plain is not None:
            self._plain += chunk if self._plain else chunk.lstrip()
            if self._plain and self._plain[:1] != b"{":
                self._plain = None

    async def aclose(self) -> None:
        await self._stream.aclose()


class BoundedTransport(httpx.AsyncHTTPTransport):
    """Asks for no compression and refuses it: 8 MB of gzip can unpack to 8 GB."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.headers["Accept-Encoding"] = "identity"
        response = await super().handle_async_request(request)
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            await response.aclose()
            raise TooLong("compressed though nobody asked for it")
        assert isinstance(response.stream, httpx.AsyncByteStream)  # its transport's
        response.stream = Bounded(response.stream, MOST_BYTES)
        response.extensions[SEEN] = response.stream
        return response
