"""The page to talk in: one HTML file, which asks nothing of any other host."""

import functools
import pathlib

HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; script-src "
    "'unsafe-inline'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


@functools.cache
def content() -> bytes:
    """The file."""
    return pathlib.Path(__file__).with_name("page.html").read_bytes()
