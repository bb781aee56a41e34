"""A folder on local disk or gs://: small files read and written whole and atomically, large ones by byte ranges.

TensorStore's key-value stores do the work, so that both places behave alike: a written file appears
whole or not at all (a rename on local disk, one object on gs://).
"""

import concurrent.futures
import hashlib
import json
import pathlib
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import tensorstore as ts

from polylm_jax.errors import InputError
from polylm_jax.runtime import paths

T = TypeVar("T")

# The first word with a place must fail in seconds; reading during training outlasts an outage.
BRIEF = {"max_retries": 4, "initial_delay": "200ms", "max_delay": "1s"}
PATIENT = {"max_retries": 32, "initial_delay": "500ms", "max_delay": "32s"}
BRIEF_SECONDS = 20.0
GCS_READS = 64  # concurrent requests: at 30 ms each, 2,000 rows of 2,049 tokens a second


class Folder:
    """The folder at `path`, a local path or gs://BUCKET/PREFIX. It need not exist.

    Args:
      path: where it is.
      field: what messages call it, such as 'cache_dir'.

    Raises:
      InputError: `path` can't name a folder.
    """

    def __init__(self, path: str, field: str = "cache_dir"):
        whole = paths.resolve(path, field)
        self.path = str(path).rstrip("/") or whole  # as the user wrote it, for sentences
        self.field = field
        self.local = None if whole.startswith("gs://") else pathlib.Path(whole)
        self._bucket = whole.removeprefix("gs://") if self.local is None else ""
        self._brief = self._open(BRIEF)
        self._patient = self._open(PATIENT)

    def _open(self, retries: dict) -> ts.KvStore:
        limit = {"limit": GCS_READS}
        context = ts.Context({"gcs_request_retries": retries, "gcs_request_concurrency": limit})
        if self.local is not None:
            spec = {"driver": "file", "path": f"{self.local}/"}
        else:
            bucket, _, prefix = self._bucket.partition("/")
            prefix = f"{prefix}/" if prefix else ""
            spec = {"driver": "gcs", "bucket": bucket, "path": prefix}
        return self._said(lambda: ts.KvStore.open(spec, context=context).result())

    def __repr__(self) -> str:
        return f"Folder({self.path!r})"

    def __getstate__(self) -> tuple[str, str]:
        return self.path, self.field

    def __setstate__(self, state: tuple[str, str]) -> None:
        Folder.__init__(self, *state)

    def peek(self, key: str) -> bytes | None:
        """The file `key`, or None: the first word with a place, which answers within seconds.

        Raises:
          InputError: the place can't be reached or read.
        """
        return self._content(self._said(lambda: self._brief.read(key).result(BRIEF_SECONDS)))

    def has(self, key: str) -> bool:
        """Whether the file `key` is there, without reading it; also a first word.

        Raises:
          InputError: the place can't be reached or read.
        """
        stat = lambda: self._brief.read(key, byte_range=slice(0, 0)).result(BRIEF_SECONDS)
        return self._said(stat).state == "value"

    def claim(self, key: str, value: bytes) -> bool:
        """Writes `key` where there is none and says whether it did; also a first word.

        Raises:
          InputError: the place can't be reached or written.
        """
        found = self._said(lambda: self._brief.read(key).result(BRIEF_SECONDS))
        if found.state == "value":
            return False
        absent = found.stamp.generation  # b"" would write over what another process has written
        stamp = self._said(
            lambda: self._brief.write(key, value, if_equal=absent).result(BRIEF_SECONDS)
        )
        return bool(stamp.generation)

    def read(self, key: str) -> bytes | None:
        """The file `key`, or None where there is none."""
        return self._content(self._said(lambda: self._patient.read(key).result()))

    def read_all(self, keys: Iterable[str]) -> list[bytes | None]:
        """Many files at once, in the order of `keys`."""
        futures = [self._patient.read(key) for key in keys]
        return [self._content(self._said(future.result)) for future in futures]

    def read_ranges(self, ranges: Sequence[tuple[str, int, int]]) -> list[bytes]:
        """Bytes [start, stop) of the file `key`, for each (key, start, stop), all under way at once."""
        futures = [self._patient.read(k, byte_range=slice(a, b)) for k, a, b in ranges]
        found = [self._said(future.result) for future in futures]
        for (key, _, _), one in zip(ranges, found):
            if one.state != "value":
                raise InputError(f"{self.field} = {self.path!r} lacks {key}: restore the file.")
        return [one.value for one in found]

    def write(self, key: str, value: bytes) -> None:
        """Writes the file `key` whole: whoever reads sees the old one or the new one."""
        self._said(lambda: self._patient.write(key, value).result())

    def clear(self, prefix: str) -> None:
        """Deletes all files below `prefix`, a folder's name with its slash."""
        end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        self._said(lambda: self._patient.delete_range(ts.KvStore.KeyRange(prefix, end)).result())

    def list(self, prefix: str = "") -> list[str]:
        """The files below `prefix`, sorted. An unreadable bucket lists as empty: `peek` first."""
        end = prefix[:-1] + chr(ord(prefix[-1]) + 1) if prefix else ""
        keys = self._said(lambda: self._patient.list(ts.KvStore.KeyRange(prefix, end)).result())
        return sorted(key.decode() for key in keys)

    @staticmethod
    def _content(found: ts.KvStore.ReadResult) -> bytes | None:
        return found.value if found.state == "value" else None

    def _said(self, action: Callable[[], T]) -> T:
        """`action()`, whose failure becomes one sentence."""
        try:
            return action()
        except (ValueError, OSError, TimeoutError, concurrent.futures.TimeoutError) as error:
            reason = self._reason(" ".join(str(error).split()))
            raise InputError(f"{self.field} = {self.path!r} {reason}") from error

    def _reason(self, detail: str) -> str:
        shown = _without_quotes(detail)
        if "OUT_OF_RANGE" in detail:
            return f"holds a shorter file than it did ({shown}): restore it or build it again."
        if self.local is not None:
            return f"can't be used ({shown}): name a folder that this user may write."
        if any(word in detail for word in ("PERMISSION_DENIED", "UNAUTHENTICATED", "'401'")):
            return (
                f"refuses this user ({shown}): log in with `gcloud auth application-default "
                "login`, or set GOOGLE_APPLICATION_CREDENTIALS to a key file."
            )
        if "NOT_FOUND" in detail:
            return f"doesn't exist ({shown}): create the bucket or correct its name."
        if "Invalid GCS bucket name" in detail or "bucket" in detail.lower():
            return f"isn't a bucket ({shown}): correct its name."
        return f"can't be reached ({shown or 'no answer'}): check the network and the name."


def _without_quotes(detail: str) -> str:
    """The message before TensorStore's bracketed quotation of the HTTP answer."""
    return detail.partition(" [http_response")[0].partition(" [curl_code")[0][:200].rstrip(". ")


def to_json(value: object) -> bytes:
    """The one JSON text of `value`: equal values give equal bytes."""
    return (json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()


def json_hash(value: object) -> str:
    """SHA-256 of its JSON text, in hex."""
    return hashlib.sha256(to_json(value)).hexdigest()
