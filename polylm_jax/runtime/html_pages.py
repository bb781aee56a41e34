"""Pages of HTML from templates/, each one file: no network, no scripts, readable on a phone.

Whatever a page is given is text and escaped; markup is what a template writes or calls `safe`.
"""

import functools
import pathlib

import jinja2


@functools.cache
def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(pathlib.Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"thousands": "{:,}".format, "percent": "{:.1%}".format}
    return made


def page(template: str, **values: object) -> str:
    """The whole page of a template by its file's name; jinja2.UndefinedError for a value it lacks."""
    return _environment().get_template(template).render(values)
