"""HTTP that can't be made to swallow more than it should: bounded bodies, nothing compressed."""

from collections.abc import AsyncIterator

import httpx

MOST_BYTES = 8 << 20  # of one response; an answer of 4,096 tokens takes some 2 MB as a stream


class TooLong(httpx.TransportError):
    """A response that goes on and on."""


class _Bounded(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream, most: int):
        self._stream, self._most = stream, most

    async def __aiter__(self) -> AsyncIterator[bytes]:
        seen = 0
        async for chunk in self._stream:
            seen += len(chunk)
            if seen > self._most:
                raise TooLong(f"more than {self._most:,} bytes")
            yield chunk

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
        response.stream = _Bounded(response.stream, MOST_BYTES)
        return response
