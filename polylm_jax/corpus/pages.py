"""The text of web pages in WARC files: the answer of a server decoded, its HTML extracted, menus dropped."""

import functools
import io
import re
from collections.abc import Callable

from polylm_jax.corpus.warc import Record
from polylm_jax.errors import InputError

EXTRACTORS = ("trafilatura", "resiliparse")
_INSTALL = {
    "trafilatura": "trafilatura lxml_html_clean webencodings",
    "resiliparse": "resiliparse webencodings charset-normalizer",
}
HTTP_STATUS, NO_HTML, NOT_DECODABLE = "HTTP status", "no HTML", "not decodable"
OTHER = (HTTP_STATUS, NO_HTML)  # answers that are no pages, with nothing wrong about them
_CHARSET = re.compile(rb"""charset\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE)
_HTML = re.compile(rb"<(?:!doctype\s+html|html|head|body|p|div|title)\b", re.IGNORECASE)
_HEAD = 2048  # bytes of a page in which it says how it is encoded


class NotInstalled(InputError):
    """An extra package is missing: no file is at fault, so no file is set aside."""


def page(record: Record, extractor: str) -> tuple[str, str]:
    """(the text of a response, '' or why there is none): 'HTTP status', 'no HTML', 'not decodable'.

    Raises NotInstalled where the extractor is missing.
    """
    extract = _extractor(extractor)
    status, kind, body = _answer(record)
    if not status.startswith("2"):
        return "", HTTP_STATUS
    if "html" not in kind and not (not kind and _HTML.search(body[:_HEAD])):
        return (_decoded(body, kind) or "", "") if kind.startswith("text/plain") else ("", NO_HTML)
    text = _decoded(body, kind)
    return ("", NOT_DECODABLE) if text is None else (extract(text) or "", "")


def _answer(record: Record) -> tuple[str, str, bytes]:
    """(status code, content type, body unpacked and in one piece) of an HTTP response."""
    from warcio.recordloader import ArcWarcRecord
    from warcio.statusandheaders import StatusAndHeadersParser, StatusAndHeadersParserException

    stream = io.BytesIO(record.block)
    try:
        headers = StatusAndHeadersParser(["HTTP/1.0", "HTTP/1.1", "HTTP/2"]).parse(stream)
    except (StatusAndHeadersParserException, EOFError):
        return "", "", b""
    kind = (headers.get_header("Content-Type") or "").lower()
    answer = ArcWarcRecord("warc", "response", None, stream, headers, kind, len(record.block))
    return headers.get_statuscode() or "", kind, answer.content_stream().read()


def _decoded(body: bytes, kind: str) -> str | None:
    """A page's characters: UTF-8 where it is, else as it says, else as its bytes look."""
    import webencodings

    try:
        if b"\x1b" not in body:
            return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    for said in (_CHARSET.search(kind.encode()), _CHARSET.search(body[:_HEAD])):
        encoding = webencodings.lookup(said[1].decode("ascii", "replace")) if said else None
        try:
            if encoding is not None:
                return encoding.codec_info.decode(body, "strict")[0]
        except UnicodeDecodeError:
            continue
    import charset_normalizer

    best = charset_normalizer.from_bytes(body).best()
    return None if best is None else str(best)


@functools.cache
def _extractor(name: str) -> Callable[[str], str | None]:
    try:
        import webencodings  # noqa: F401

        if name == "trafilatura":
            import trafilatura

            return functools.partial(trafilatura.extract, include_comments=False)
        from resiliparse.extract import html2text

        return functools.partial(html2text.extract_plain_text, main_content=True)
    except ImportError as error:
        raise NotInstalled(
            f"WARC files of responses hold HTML, and {name} isn't installed to extract its text: "
            f"pip install {_INSTALL[name]}, or take the crawl's WET files."
        ) from error
