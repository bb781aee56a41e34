"""Any causal language model in a transformers folder, with its own tokenizer: what its tokens cost."""

import pathlib

import numpy as np

from polylm_jax.errors import InputError
from polylm_jax.evaluation.requests import rolling
from polylm_jax.evaluation.text_costs import Token
from polylm_jax.runtime.paths import without_home


class TransformersModel:
    """A folder's model in float32 on a CPU, or on a GPU where PyTorch has one.

    Raises InputError for a folder that transformers can't load, or a tokenizer without offsets.
    """

    def __init__(self, folder: str):
        try:
            import torch
            import transformers
        except ImportError as error:
            raise InputError(
                f"{error.name} is not installed, which reads THEIRS: pip install torch transformers."
            ) from error
        place = pathlib.Path(without_home(folder, "THEIRS"))
        if not place.is_dir():
            raise InputError(f"THEIRS = {folder!r} is no local folder: download the model first.")
        self._torch = torch
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            self.tokenizer = transformers.AutoTokenizer.from_pretrained(
                place, local_files_only=True
            )
            load = transformers.AutoModelForCausalLM.from_pretrained
            model = load(place, dtype=torch.float32, local_files_only=True)
        except (OSError, ValueError, KeyError) as error:
            raise InputError(
                f"THEIRS = {folder!r} can't be loaded by transformers "
                f"({str(error).splitlines()[0][:200]}): name a folder with model and tokenizer."
            ) from error
        if not self.tokenizer.is_fast:
            raise InputError(
                f"THEIRS = {folder!r} has a tokenizer without offsets: save it with tokenizer.json."
            )
        self.model = model.eval().to(self._device)
        self.max_length = int(getattr(model.config, "max_position_embeddings", 0) or 2048)

    @property
    def _prefix(self) -> int:
        """What a text begins after: as config.json says, else the tokenizer's own."""
        own = getattr(self.model.config, "bos_token_id", None)
        ids = (own, self.tokenizer.bos_token_id, self.tokenizer.eos_token_id, 0)
        return next(token for token in ids if token is not None)

    def costs(self, text: str) -> list[Token]:
        """Each token of a text after the model's own beginning, in windows of its length."""
        found = self.tokenizer(
            text, add_special_tokens=False, return_offsets_mapping=True, verbose=False
        )
        ids = np.array(found["input_ids"], np.int32)
        nats = [
            n for window in rolling(ids, self._prefix, self.max_length) for n in self._of(window)
        ]
        places = np.cumsum([0, *(len(character.encode()) for character in text)])
        spans = [(int(places[a]), int(places[b])) for a, b in found["offset_mapping"]]
        return [Token(*span, cost) for span, cost in zip(spans, nats, strict=True)]

    def _of(self, window) -> list[float]:
        torch, count = self._torch, len(window.continuation)
        ids = np.concatenate([window.context, window.continuation]).astype(np.int64)
        with torch.no_grad():
            tokens = torch.from_numpy(ids[None]).to(self._device)
            logits = self.model(tokens[:, :-1]).logits[0, -count:].double()
            log_p = torch.log_softmax(logits, dim=-1)
            labels = tokens[0, -count:]
            return (-log_p.gather(1, labels[:, None])[:, 0]).cpu().tolist()
