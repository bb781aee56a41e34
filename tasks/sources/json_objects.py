"""A line of JSON as an object, or what is wrong with it: the project's one reader, by another name."""

from polylm_jax.runtime.text_lines import NOT_JSON, NOT_OBJECT, NOT_UTF8, parse_json

__all__ = ["NOT_JSON", "NOT_OBJECT", "NOT_UTF8", "parse_json"]
