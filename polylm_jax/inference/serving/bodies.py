"""Bodies of requests: read within a size and a time, in JSON; ApiError for any other."""

import asyncio

import orjson
from starlette.requests import ClientDisconnect, Request

from polylm_jax.inference.serving.protocol import ApiError

CLOSE = {"connection": "close"}  # what is left of the body is not waited for


async def fields(request: Request, max_bytes: int, seconds: float) -> object:
    """The JSON value of a body. ClientDisconnect where it never came whole."""
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip()
    if kind.lower() != "application/json":
        raise ApiError(415, f"content-type = {kind[:100]!r}: send application/json.", headers=CLOSE)
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise ApiError(415, "content-encoding is not taken: send the body as it is.", headers=CLOSE)
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > max_bytes:
        raise _too_large(max_bytes)
    try:
        async with asyncio.timeout(seconds):
            content = await _read(request, max_bytes)
    except TimeoutError:
        raise ApiError(
            408, f"the body did not come within {seconds:g} s: send it at once.", headers=CLOSE
        ) from None
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise ApiError(400, f"the body is no JSON ({str(error)[:200]}).") from error


async def _read(request: Request, max_bytes: int) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > max_bytes:
            raise _too_large(max_bytes)
        parts.append(part)
    return b"".join(parts)


def _too_large(max_bytes: int) -> ApiError:
    return ApiError(413, f"the body has more than {max_bytes} bytes: send less.", headers=CLOSE)


async def until_gone(request: Request, work):
    """The result of a coroutine, which is cancelled where the client leaves: ClientDisconnect then.

    For a request whose body has been read: all that can still come is the end of the connection.
    """
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
