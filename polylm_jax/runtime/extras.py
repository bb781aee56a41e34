"""Packages that one kind of work needs, and how to install them where they are missing."""

# Extra -> the modules that come with it: requirements-EXTRA.txt, pip install "polylm-jax[EXTRA]".
EXTRAS = {
    "clean": "datatrove xxhash lingua pycld2 ftfy phonenumbers sklearn warcio trafilatura resiliparse",
    "corpus": "kenlm fasttext",
    "serve": "starlette uvicorn prometheus_client",
    "evaluate": "lm_eval sacrebleu rouge_score",
    "self_instruct": "openai httpx tenacity rapidfuzz babel",
    "tpu": "libtpu",
}


def extra_of(module: str) -> str | None:
    """'datatrove.data' -> 'clean'; None for what no extra brings."""
    top = module.partition(".")[0]
    return next((extra for extra, modules in EXTRAS.items() if top in modules.split()), None)


def missing(error: BaseException | None) -> str | None:
    """One sentence for a module of an extra that isn't installed; None for any other error."""
    # Gin raises a copy without the name, the first one in its context.
    while error is not None and not (isinstance(error, ModuleNotFoundError) and error.name):
        error = error.__cause__ or error.__context__
    name = error.name or "" if isinstance(error, ModuleNotFoundError) else ""
    extra = extra_of(name)
    if extra is None:
        return None
    return (
        f"the Python package {name.partition('.')[0]!r} isn't installed, which this needs: "
        f"pip install -r requirements-{extra}.txt, or pip install 'polylm-jax[{extra}]'."
    )
