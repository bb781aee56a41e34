"""A line of JSON as an object, or what is wrong with it."""

import json

import orjson

NOT_UTF8 = "not UTF-8"
NOT_JSON = "not JSON"
NOT_OBJECT = "not a JSON object"


def parse_json(raw: bytes) -> dict | str:
    """The object that a line holds, or the reason why there is none."""
    try:
        return _object(orjson.loads(raw))
    except orjson.JSONDecodeError:
        pass  # it may still be what only Python's reads: NaN, a half surrogate, a huge integer
    try:
        return _object(json.loads(raw.decode()))
    except UnicodeDecodeError:
        return NOT_UTF8
    except (ValueError, RecursionError):
        return NOT_JSON


def _object(parsed: object) -> dict | str:
    return parsed if type(parsed) is dict else NOT_OBJECT
