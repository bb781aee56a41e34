"""The end of a run: the shards of each language joined, the report beside them, all of it at once."""

import json
import pathlib
import shutil
from collections.abc import Mapping

from polylm_jax.corpus import plan, report
from polylm_jax.languages.registry import LANGUAGES
from polylm_jax.runtime import html_pages, output_folder

PART_BYTES = 1 << 30  # of one file, compressed


class Publish:
    """Makes OUTPUT: LL-00000.jsonl.zst, report.json and report.html. It is there whole or not at all."""

    def __init__(self, output: str, work: str, overwrite: bool = False):
        self.output, self.work, self.overwrite = output, work, overwrite

    def __call__(self, data=None, rank: int = 0, world_size: int = 1) -> None:
        final = pathlib.Path(self.work) / "final"
        parts = sorted(final.glob("*/*.jsonl.zst"))
        needed = sum(path.stat().st_size for path in parts)
        with output_folder.building(self.output, needed, self.overwrite) as place:
            for folder in sorted({path.parent for path in parts}):
                join(sorted(folder.glob("*.jsonl.zst")), place, folder.name)
            found = report.made(pathlib.Path(self.work), plan.settings_of(pathlib.Path(self.work)))
            text = json.dumps(found, ensure_ascii=False, indent=1, default=dict)
            (place / "report.json").write_text(text, encoding="utf-8")
            (place / "report.html").write_text(page(found), encoding="utf-8")


def page(found: Mapping) -> str:
    """The report as a page."""
    stages = [f"#{stage}" for stage in report.STAGES]
    given = {"report": found, "stages": stages, "name_of": _name_of}
    return html_pages.page("corpus.html", title="Corpus cleaning", **given)


def _name_of(code: str) -> str:
    """'Thai (th)', of a pair its codes."""
    return f"{LANGUAGES[code].name} ({code})" if code in LANGUAGES else code


def join(parts: list[pathlib.Path], place: pathlib.Path, name: str) -> None:
    """Frames of zstd one after another are one zstd file: joined without reading them again."""
    number, size, file = 0, 0, None
    try:
        for part in parts:
            if file is None or size + part.stat().st_size > PART_BYTES:
                if file is not None:
                    file.close()
                file, size = (place / f"{name}-{number:05d}.jsonl.zst").open("wb"), 0
                number += 1
            with part.open("rb") as source:
                shutil.copyfileobj(source, file, 1 << 20)
            size += part.stat().st_size
    finally:
        if file is not None:
            file.close()
