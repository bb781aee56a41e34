"""A SentencePiece vocabulary as the files that transformers loads: tokenizer.json and its configs.

transformers 5 has no slow Llama tokenizer, so the ids must come out of a `tokenizers` pipeline. A
BPE vocabulary goes through exactly: its merges are the pairs of pieces whose join is a piece, in
the order of the join's score. A unigram vocabulary goes through the library's Unigram model, which
sums scores in float64 where SentencePiece has float32, so two paths that are as likely may end the
other way; `token_ids` measures how often, and nobody is told 'equal'. So it is with a normalizer of
the vocabulary's own and decomposed letters (ours have none): the library looks a letter and its
marks up as one and drops what the first match leaves.
"""

import base64
import json
import pathlib

from sentencepiece import sentencepiece_model_pb2

from polylm_jax.checkpoints.hf import literals
from polylm_jax.checkpoints.hf.literals import CONTROL, NORMAL, UNKNOWN, UNUSED, USER_DEFINED
from polylm_jax.errors import InputError
from polylm_jax.tokenizer.tokenizer import SPACE_MARK, Tokenizer

UNIGRAM, BPE = 1, 2  # sentencepiece_model.proto, TrainerSpec.ModelType


def model_proto(tokenizer: Tokenizer) -> sentencepiece_model_pb2.ModelProto:
    """The parsed model file: its pieces with scores, and the specs it was trained with."""
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(tokenizer.content)
    return proto


def check(tokenizer: Tokenizer) -> sentencepiece_model_pb2.ModelProto:
    """The parsed model file; InputError for a vocabulary that no tokenizer.json can stand for."""
    proto = model_proto(tokenizer)
    kind = proto.trainer_spec.model_type
    if kind not in (UNIGRAM, BPE):
        raise InputError(
            f"vocabulary of SentencePiece model_type {kind} can't be written for transformers: "
            "train a BPE vocabulary (model_type = 'bpe')."
        )
    _check_user_defined(proto)
    if proto.trainer_spec.treat_whitespace_as_suffix:
        raise InputError(
            "vocabulary was trained with treat_whitespace_as_suffix = true, which can't be written "
            "for transformers: train it with false, where a blank belongs to the word after it."
        )
    return proto


def _check_user_defined(proto: sentencepiece_model_pb2.ModelProto) -> None:
    """InputError for a piece that the normalizer would change: SentencePiece keeps it as it is."""
    spec = proto.normalizer_spec
    pieces = [piece.piece for piece in proto.pieces if piece.type == USER_DEFINED]
    if not pieces:
        return
    import tokenizers

    charsmap = spec.precompiled_charsmap
    of_charsmap = tokenizers.normalizers.Precompiled(charsmap).normalize_str if charsmap else str
    for piece in pieces:
        text = piece.replace(SPACE_MARK, "")  # of a text's blanks, made after this
        kept = of_charsmap(text)
        if spec.remove_extra_whitespaces:
            kept = " ".join(part for part in kept.split(" ") if part)
        if kept != text:
            raise InputError(
                f"vocabulary has the user-defined piece {piece!r}, which its normalizer would make "
                f"{kept!r} of: transformers can't keep it, so train it without a normalizer."
            )


def write_tokenizer(
    tokenizer: Tokenizer, folder: pathlib.Path, max_length: int, chat_template: str = ""
) -> None:
    """Write tokenizer.model, tokenizer.json, tokenizer_config.json, special_tokens_map.json.

    Args:
      tokenizer: the vocabulary.
      folder: where the files go; it exists.
      max_length: the model's positions, in tokens.
      chat_template: a Jinja template that puts markers round the turns, or "" for none.

    Raises:
      InputError: as `check`.
    """
    proto = check(tokenizer)
    (folder / "tokenizer.model").write_bytes(tokenizer.content)
    _write_json(folder / "tokenizer.json", _pipeline(proto, _carriage_return(tokenizer)))
    special = _special_tokens(tokenizer)
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": max_length,
        "add_bos_token": False,
        "add_eos_token": False,
        "add_prefix_space": proto.normalizer_spec.add_dummy_prefix,
        "clean_up_tokenization_spaces": False,
        # A user's "</s>" is text. Without this, transformers turns it into id 2.
        "split_special_tokens": True,
        "padding_side": "left",
        **special,
    }
    if chat_template:
        config["chat_template"] = chat_template
    _write_json(folder / "tokenizer_config.json", config)
    _write_json(folder / "special_tokens_map.json", special)


def _write_json(path: pathlib.Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _special_tokens(tokenizer: Tokenizer) -> dict[str, str]:
    """The control pieces by role. `</s>` also pads: batches of prompts need some id there."""
    piece = tokenizer.processor.id_to_piece
    named = {"unk_token": tokenizer.unk_id, "bos_token": tokenizer.bos_id}
    named |= {"eos_token": tokenizer.eos_id, "pad_token": tokenizer.eos_id}
    return {role: piece(index) for role, index in named.items() if index >= 0}


def _carriage_return(tokenizer: Tokenizer) -> str:
    """What the vocabulary's normalizer makes of it, between two letters."""
    found = tokenizer.processor.normalize("x\ry")
    return found[found.index("x") + 1 : found.index("y")].replace(SPACE_MARK, " ")


def _pipeline(proto: sentencepiece_model_pb2.ModelProto, carriage_return: str) -> dict:
    """tokenizer.json: normalizer -> model -> decoder; special pieces listed as added tokens."""
    is_bpe = proto.trainer_spec.model_type == BPE
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": _added_tokens(proto),
        "normalizer": _normalizer(proto.normalizer_spec, carriage_return),
        "pre_tokenizer": _pre_tokenizer(proto),
        "post_processor": None,
        "decoder": _decoder(proto.normalizer_spec.add_dummy_prefix),
        "model": _bpe(proto) if is_bpe else _unigram(proto),
    }


def _added_tokens(proto: sentencepiece_model_pb2.ModelProto) -> list[dict]:
    """The control pieces. User-defined ones are the model's own: as added tokens they would be cut
    out of a text before it is normalized, blanks not yet U+2581 and each part with a prefix anew.
    """
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return [
        {"id": index, "content": piece.piece, "special": True, **flags}
        for index, piece in enumerate(proto.pieces)
        if piece.type in (UNKNOWN, CONTROL)
    ]


def _names(proto: sentencepiece_model_pb2.ModelProto) -> list[str]:
    """The pieces as the model knows them; one that SentencePiece never makes has a blank before it.

    No blank is left in a text that was normalized, so nothing is found under such a name.
    """
    taken = {piece.piece for piece in proto.pieces if piece.type != UNUSED}
    names = []
    for piece in proto.pieces:
        name = piece.piece
        while piece.type == UNUSED and (name == piece.piece or name in taken):
            name = f" {name}"
        taken.add(name)
        names.append(name)
    return names


def _pre_tokenizer(proto: sentencepiece_model_pb2.ModelProto) -> dict | None:
    """What is cut before the model: user-defined pieces of BPE, and control pieces in a text.

    SentencePiece's BPE takes user-defined pieces out first, the longest at each place; its unigram
    model scores them like others, 0.0, better than any.
    """
    splits = []
    own = literals.user_defined(proto)
    is_bpe = proto.trainer_spec.model_type == BPE
    if own and is_bpe:
        splits.append(_split(literals.longest_first(own), "Isolated"))
    if (own or not is_bpe) and (pattern := literals.cut_pattern(proto)):
        splits.append(_split(pattern, "MergedWithPrevious"))
    return {"type": "Sequence", "pretokenizers": splits} if splits else None


def _split(pattern: str, behavior: str) -> dict:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": behavior, "invert": False}


def _normalizer(spec: sentencepiece_model_pb2.NormalizerSpec, carriage_return: str) -> dict:
    """The model's own normalization, then spaces as U+2581, with a prefix where it was trained so."""
    steps: list[dict] = []
    if spec.precompiled_charsmap:
        # Before a line feed it would be looked up with it, as one, and the line feed be lost.
        pattern = {"Regex": "\r(?=\n)"}
        steps.append({"type": "Replace", "pattern": pattern, "content": carriage_return})
        charsmap = base64.b64encode(spec.precompiled_charsmap).decode("ascii")
        steps.append({"type": "Precompiled", "precompiled_charsmap": charsmap})
    if spec.remove_extra_whitespaces:
        steps.append({"type": "Strip", "strip_left": True, "strip_right": True})
        steps.append({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "})
    if spec.add_dummy_prefix:
        steps.append({"type": "Prepend", "prepend": SPACE_MARK})
    steps.append({"type": "Replace", "pattern": {"String": " "}, "content": SPACE_MARK})
    return {"type": "Sequence", "normalizers": steps}


def _decoder(dummy_prefix: bool) -> dict:
    steps: list[dict] = [
        {"type": "Replace", "pattern": {"String": SPACE_MARK}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
    ]
    if dummy_prefix:
        steps.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    return {"type": "Sequence", "decoders": steps}


def _bpe(proto: sentencepiece_model_pb2.ModelProto) -> dict:
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": proto.trainer_spec.unk_piece,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": True,
        "byte_fallback": proto.trainer_spec.byte_fallback,
        # A user-defined piece has no merges; cut out before, it is a piece as a whole.
        "ignore_merges": bool(literals.user_defined(proto)),
        "vocab": {name: index for index, name in enumerate(_names(proto))},
        "merges": _merges(proto),
    }


def _merges(proto: sentencepiece_model_pb2.ModelProto) -> list[list[str]]:
    """Each way to join two pieces into a piece, best score of the join first.

    SentencePiece merges the adjacent pair whose join has the highest score, wherever the halves
    came from; a rank per (left, right) with the join's own order says the same.
    """
    score = {p.piece: p.score for p in proto.pieces if p.type == NORMAL}
    ranked = []
    for index, piece in enumerate(proto.pieces):
        if piece.type != NORMAL:
            continue
        for cut in range(1, len(piece.piece)):
            left, right = piece.piece[:cut], piece.piece[cut:]
            if left in score and right in score:
                ranked.append((-piece.score, index, left, right))
    ranked.sort()
    return [[left, right] for _, _, left, right in ranked]


def _unigram(proto: sentencepiece_model_pb2.ModelProto) -> dict:
    worst = min((piece.score for piece in proto.pieces if piece.type == NORMAL), default=0.0)
    pairs = zip(_names(proto), proto.pieces, strict=True)
    return {
        "type": "Unigram",
        "unk_id": proto.trainer_spec.unk_id,
        "byte_fallback": proto.trainer_spec.byte_fallback,
        "vocab": [[name, _unigram_score(piece, worst)] for name, piece in pairs],
    }


def _unigram_score(piece: sentencepiece_model_pb2.ModelProto.SentencePiece, worst: float) -> float:
    """Its own score; of what no text may become, the worst of the normal pieces.

    An unknown character costs 10 more than the worst piece there is: a lower score for control
    pieces would make '</s>' as a whole cheaper than its '<' alone. `_pre_tokenizer` cuts those.
    """
    return piece.score if piece.type in (NORMAL, USER_DEFINED) else worst
