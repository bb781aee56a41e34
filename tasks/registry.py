"""Adding to SeqIO's registry: the same thing twice is fine, another under the same name isn't."""

import functools
import re
from collections.abc import Callable, Mapping, Sequence

import seqio
import tensorflow as tf

from polylm_jax.errors import InputError
from polylm_jax.runtime.paths import without_home
from polylm_jax.text import registrations
from tasks.sources.source import RecordSource

_NAME = re.compile(r"[\w.:#]+")  # what SeqIO takes, so no hyphen
_DEFINITIONS: dict[str, object] = {}
registrations.FORGETTING.append(lambda name: _DEFINITIONS.pop(name, None))


def add_task(
    name: str, source: RecordSource, preprocessor: Callable, vocabulary: str
) -> seqio.Task:
    """Registers source -> preprocessor -> tokenize -> EOS as a SeqIO task, or finds it there."""
    steps = [preprocessor, seqio.preprocessors.tokenize, seqio.preprocessors.append_eos]
    return _added(name, source, steps, vocabulary, output_features)


def add_evaluation_task(
    name: str,
    source: seqio.DataSource,
    preprocessor: Callable,
    vocabulary: str,
    postprocess: Callable,
    metric_fns: Sequence[Callable],
) -> seqio.Task:
    """Registers source -> preprocessor -> tokenize, without EOS, with metrics, or finds it there.

    `source` has a `definition()`, as ours have; the preprocessor gives `inputs` and `targets`.
    """
    steps = [preprocessor, seqio.preprocessors.tokenize]
    scored = {"postprocess_fn": postprocess, "metric_fns": list(metric_fns)}
    return _added(name, source, steps, vocabulary, evaluation_features, **scored)


def _added(
    name: str, source, steps: list, vocabulary: str, features: Callable, **scored
) -> seqio.Task:
    definition = (source.definition(), steps[0], vocabulary)
    if not _is_there(name, definition, seqio.TaskRegistry.names()):
        output = features(vocabulary)
        seqio.TaskRegistry.add(name, source, output, preprocessors=steps, **scored)
        _DEFINITIONS[name] = definition
    return seqio.TaskRegistry.get(name)


def add_mixture(name: str, rates: Mapping[str, object]) -> seqio.Mixture:
    """Registers a SeqIO mixture of task name -> rate (a share of tokens), or finds it there."""
    definition = dict(rates)
    if not _is_there(name, definition, seqio.MixtureRegistry.names()):
        seqio.MixtureRegistry.add(name, list(rates.items()))
        _DEFINITIONS[name] = definition
    return seqio.MixtureRegistry.get(name)


@functools.cache
def output_features(vocabulary: str) -> dict[str, seqio.Feature]:
    """`targets` in a SentencePiece vocabulary, which is opened when it's first used."""
    vocabulary = seqio.SentencePieceVocabulary(without_home(vocabulary, "vocabulary"))
    return {"targets": seqio.Feature(vocabulary, add_eos=True, dtype=tf.int32)}


@functools.cache
def evaluation_features(vocabulary: str) -> dict[str, seqio.Feature]:
    """`inputs` and `targets` in a SentencePiece vocabulary, neither closed with EOS."""
    vocabulary = seqio.SentencePieceVocabulary(without_home(vocabulary, "vocabulary"))
    feature = seqio.Feature(vocabulary, add_eos=False, dtype=tf.int32)
    return {"inputs": feature, "targets": feature}


def _is_there(name: str, definition: object, names: Sequence[str]) -> bool:
    if not _NAME.fullmatch(name):
        raise InputError(
            f"name {name!r} can't be registered: letters, digits and . : _ # make a name."
        )
    if name not in names:
        return False
    if name not in _DEFINITIONS or _DEFINITIONS[name] != definition:
        raise InputError(
            f"name {name!r} is already registered for something else: "
            "give the new one another name."
        )
    return True
