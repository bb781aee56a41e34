"""The manifest of a token store: its identity, the order of its parts, and what they hold; sealed."""

import dataclasses
import json

from polylm_jax.data.stores.identity import FORMAT_VERSION, Identity
from polylm_jax.errors import InputError
from polylm_jax.runtime import seals
from polylm_jax.runtime.storage import Folder

MANIFEST = "store.json"


@dataclasses.dataclass(frozen=True)
class Split:
    """One split's counts and parts. `offsets` [parts + 1] are prefix sums of their tokens."""

    documents: int
    tokens: int
    bytes: int
    tokens_by_language: dict[str, int]
    bytes_by_language: dict[str, int]
    content_sha256: str
    parts: tuple[str, ...]
    offsets: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Manifest(Identity):
    """Everything that a complete store says of itself.

    `lines` counts all input, bad lines included; `refused` the records that a rule of the task's
    source left out, by its reason; `unread` what records that were read have and nobody reads;
    `space_marks` U+2581, which read back as spaces.
    """

    language: str
    splits: dict[str, Split]
    lines: int
    bad_lines: int
    refused: dict[str, int]
    space_marks: int
    content_sha256: str
    unread: dict[str, int] = dataclasses.field(default_factory=dict)

    @classmethod
    def from_json(cls, text: bytes) -> "Manifest":
        """ValueError, TypeError or KeyError where it is damaged."""
        fields = seals.opened(text)
        fields["units"] = tuple(fields["units"])
        for name, split in fields["splits"].items():
            lists = {key: tuple(split[key]) for key in ("parts", "offsets")}
            fields["splits"][name] = Split(**{**split, **lists})
        return cls(**fields)


def read_manifest(folder: Folder, text: bytes) -> Manifest:
    """The manifest of a store; InputError for a damaged one, or one of another version."""
    try:
        version = json.loads(text)["format_version"]
        if version == FORMAT_VERSION:
            return Manifest.from_json(text)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"token store {folder.path!r} has a damaged {MANIFEST} ({error}): `python run.py cache` "
            "writes it again from the parts, and keeps them."
        ) from error
    raise InputError(
        f"token store {folder.path!r} has format version {version}, and this software reads "
        f"{FORMAT_VERSION}: delete it and run `python run.py cache` again."
    )
