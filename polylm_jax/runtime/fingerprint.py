"""What decides the numbers of a run, as nested names and values, and how two of them differ."""

from collections.abc import Iterable, Mapping, Sequence


def flat(fingerprint: Mapping) -> dict[str, object]:
    """{'schedule': [{'rows': 8}], 'seed': 0} -> {'schedule.0.rows': 8, 'seed': 0}."""
    leaves: dict[str, object] = {}

    def visit(name: str, value: object) -> None:
        items: Iterable[tuple[object, object]]
        if isinstance(value, Mapping):
            items = value.items()
        elif isinstance(value, Sequence) and not isinstance(value, str):
            items = enumerate(value)
        else:
            leaves[name] = value
            return
        for key, inner in items:
            visit(f"{name}.{key}" if name else str(key), inner)

    visit("", fingerprint)
    return leaves


def shown(value: object) -> str:
    """A value in a sentence; of a hash the first 12 digits."""
    text = str(value)
    return f"{text[:12]}..." if len(text) > 40 else text


def differences(old: Mapping, new: Mapping) -> list[str]:
    """ "seed: 0 -> 1" for every name whose value isn't the same; 'absent' where a side lacks it."""
    before, after = flat(old), flat(new)
    names = [*after, *(name for name in before if name not in after)]
    return [
        f"{name}: {shown(before.get(name, 'absent'))} -> {shown(after.get(name, 'absent'))}"
        for name in names
        if name not in before or name not in after or before[name] != after[name]
    ]
