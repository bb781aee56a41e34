"""pytorch_model.bin files read tensor by tensor, without running what a pickle asks for."""

import dataclasses
import pathlib
import pickle
from collections.abc import Iterable

import ml_dtypes
import numpy as np

from polylm_jax.checkpoints.hf.safetensors_stream import joined
from polylm_jax.errors import InputError

SINGLE = "pytorch_model.bin"
INDEX = "pytorch_model.bin.index.json"
# Pages of a mapped file count as memory until it is unmapped: one file is open at a time, and opened
# anew this often.
REOPEN_BYTES = 1 << 30


@dataclasses.dataclass(eq=False)
class TorchFile:
    """One file, mapped where its format allows that (files of PyTorch before 1.6 don't).

    opened: that one of a model's files whose tensors are there, shared by all of them.
    """

    path: pathlib.Path
    opened: list["TorchFile"]

    def __post_init__(self):
        self._read = 0
        self._tensors = {}

    def _open(self) -> None:
        for file in self.opened:
            file._tensors = {}
        self._tensors, self._read = self._load(), 0
        self.opened[:] = [self]

    def _load(self) -> dict:
        import torch

        try:
            try:
                found = torch.load(self.path, map_location="cpu", weights_only=True, mmap=True)
            except RuntimeError:  # an old format: no way to map it
                found = torch.load(self.path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            raise InputError(
                f"{self.path} holds more than weights, and nothing in it was run: use a copy in "
                "safetensors, or from someone you trust."
            ) from error
        except (RuntimeError, EOFError, ValueError) as error:
            raise InputError(
                f"{self.path} is not a file of PyTorch weights: copy or download it again."
            ) from error
        if not isinstance(found, dict) or not all(map(torch.is_tensor, found.values())):
            raise InputError(
                f"{self.path} is not a state dict of tensors: save model.state_dict()."
            )
        return found

    def places(self) -> dict[str, "TorchPlace"]:
        self._open()
        return {
            name: TorchPlace(self, name, tuple(tensor.shape), _dtype(tensor))
            for name, tensor in self._tensors.items()
        }

    def read(self, name: str, start: int, count: int) -> np.ndarray:
        """float32 elements [start, start + count) of a tensor laid flat, copied."""
        import torch

        if not self._tensors or self._read > REOPEN_BYTES:
            self._open()
        flat = self._tensors[name].reshape(-1)[start : start + count]
        self._read += flat.nbytes
        return flat.to(torch.float32, copy=True).numpy()


def _dtype(tensor) -> np.dtype:
    """NumPy's of a tensor, float32, bfloat16 and float16 among them; `V1` where it has none."""
    try:
        return np.dtype(getattr(ml_dtypes, name := str(tensor.dtype).removeprefix("torch."), name))
    except TypeError:
        return np.dtype("V1")


@dataclasses.dataclass(frozen=True)
class TorchPlace:
    """A tensor of such a file; dtype: as the file has it."""

    file: TorchFile
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def path(self) -> pathlib.Path:
        return self.file.path

    def read(self, start: int, count: int) -> np.ndarray:
        """float32 elements [start, start + count) of the tensor laid flat."""
        return self.file.read(self.name, start, count)


def read_places(files: Iterable[pathlib.Path]) -> dict[str, TorchPlace]:
    """Every tensor of the files; InputError where PyTorch is missing or a file is damaged."""
    try:
        import torch  # noqa: F401  (asked here whether it is there)
    except ImportError as error:
        raise InputError(
            ".bin files need PyTorch to be read: install torch, or get the model as safetensors."
        ) from error
    opened: list[TorchFile] = []
    return joined(files, lambda path: TorchFile(path, opened).places())
