"""What stands before the routes: which hosts and keys are answered, errors as the protocol has them."""

import hmac
import logging
import time
from collections.abc import Sequence

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from polylm_jax.inference.serving.protocol import ApiError
from polylm_jax.inference.serving.telemetry import Telemetry

_log = logging.getLogger(__name__)
OPEN = ("/", "/health")  # answered without a key: the page has none yet, a load balancer never


class Json(Response):
    """A JSON body by orjson."""

    media_type = "application/json"

    def render(self, content: object) -> bytes:
        return orjson.dumps(content)


class Guard:
    """Wraps the routes. key: what `Authorization: Bearer` must bring, "" for none.

    hosts: names that the Host header may have, () for any. On a loopback address it keeps out the
    pages of other sites, whose own name may resolve to it (DNS rebinding).
    """

    def __init__(self, app, telemetry: Telemetry, key: str, hosts: Sequence[str], paths):
        self._app, self._telemetry = app, telemetry
        self._key, self._hosts = key.encode(), frozenset(hosts)
        self._paths = frozenset(paths)

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        began, outcome = time.monotonic(), {"status": 499}  # nginx's number for a client that left

        async def observed(message):
            if message["type"] == "http.response.start":
                outcome["status"] = message["status"]
            await send(message)

        try:
            await self._answer(scope, receive, observed, outcome)
        finally:
            path = scope["path"] if scope["path"] in self._paths else "other"
            self._telemetry.answered(path, outcome["status"], time.monotonic() - began)

    async def _answer(self, scope, receive, send, outcome):
        request = Request(scope, receive)
        try:
            self._check(request)
            await self._app(scope | {"app": self}, receive, send)
        except ClientDisconnect:
            self._telemetry.gone()
        except ApiError as error:
            await error_response(error)(scope, receive, send)
        except HTTPException as error:  # 404 and 405 of the routes, which know `app`
            said = f"{scope['method']} {scope['path'][:200]}: {error.detail}."
            await error_response(ApiError(error.status_code, said))(scope, receive, send)
        except Exception:  # noqa: BLE001 (logged; others are served)
            _log.exception("%s %s failed", scope["method"], scope["path"])
            if outcome["status"] == 499:
                failed = ApiError(500, "the server failed on this request; its log says how.")
                await error_response(failed)(scope, receive, send)

    def _check(self, request):
        host = request.headers.get("host", "").rpartition(":")
        name = host[0] if host[2].isdigit() else request.headers.get("host", "")
        if self._hosts and name.lower() not in self._hosts:
            raise ApiError(
                403, f"host = {name[:100]!r} is none of this server's: use "
                f"{min(self._hosts)}, or bind it elsewhere with a key.",
            )  # fmt: skip
        if not self._key or request.url.path in OPEN:
            return
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        good = hmac.compare_digest(given.strip().encode(), self._key)
        if scheme.lower() != "bearer" or not good:
            raise ApiError(
                401, "Incorrect API key: send it as Authorization: Bearer KEY.",
                code="invalid_api_key", headers={"www-authenticate": "Bearer"},
            )  # fmt: skip


def error_response(error: ApiError) -> Json:
    """The protocol's error object with its status."""
    return Json(error.body(), error.status, error.headers)
