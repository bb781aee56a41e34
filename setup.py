"""What pyproject.toml can't say: extras from the requirements files, and the recipes in the wheel.

`tasks/`, `gin_configs/` and run.py stand beside the package in a checkout. In a wheel they go into
`polylm_jax/checkout`, so that no top-level `tasks` lands among other people's packages; the console
script puts that folder on the path, as Python does with run.py's own.
"""

import pathlib

from setuptools import find_packages, setup

HERE = pathlib.Path(__file__).parent
EXTRAS = ("clean", "corpus", "serve", "evaluate", "self_instruct", "tpu", "gpu", "test", "docs")
INSIDE = "polylm_jax.checkout"


def required(name: str) -> list[str]:
    """The requirements of a file and of those that it includes, requirements.txt's own left out."""
    found = []
    for line in (HERE / name).read_text(encoding="utf-8").splitlines():
        if line.startswith("-r "):
            found += required(line[3:].strip()) if line != "-r requirements.txt" else []
        elif line and not line.startswith("#"):
            found.append(line)
    return found


tasks = find_packages(include=["tasks", "tasks.*"])
setup(
    packages=[
        *find_packages(include=["polylm_jax", "polylm_jax.*"]),
        INSIDE,
        *(f"{INSIDE}.{name}" for name in tasks),
    ],
    package_dir={INSIDE: ".", f"{INSIDE}.tasks": "tasks"},
    package_data={
        "polylm_jax": ["**/*.html", "**/*.jsonl", "**/*.json", "**/*.toml", "**/*.j2"],
        INSIDE: ["gin_configs/**/*.gin"],
        f"{INSIDE}.tasks": ["**/*.toml", "**/*.txt", "**/*.json", "**/*.jsonl", "**/*.tsv"],
    },
    include_package_data=False,
    extras_require={name: required(f"requirements-{name}.txt") for name in EXTRAS},
)
