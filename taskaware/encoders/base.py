"""Which text encoder does a configuration name?"""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from taskaware.core.config import Config
from taskaware.core.registry import Registry
from taskaware.encoders.beside import BesideEncoder
from taskaware.encoders.cache import CachedEncoder
from taskaware.encoders.hashing import HashingEncoder
from taskaware.encoders.protocol import TextEncoder
from taskaware.encoders.sentence import MINILM, SentenceEncoder

__all__ = ["EncoderConfig", "TextEncoder", "load_encoder"]


def _tuple(value: Any) -> Any:
    """YAML and JSON know lists only, which strict validation does not take for tuples."""
    return tuple(value) if isinstance(value, list) else value


class EncoderConfig(Config):
    """Which encoder reads the words.

    name: "all-MiniLM-L6-v2" (from a wheel, offline), "hashing" (no model, for tests), a sentence-transformers or
    transformers id, or a local folder. dimension applies to "hashing" only; local_files_only forbids the network.
    layers: the hidden layers in `features`; the middle ones know tone and style better than the sentence vector does.
    adapter: a file with a low-rank change of the weights, which a run with `tuning` writes; None leaves them alone.
    frozen: beside an adapter, the share of cosines that the sentence vector without it decides (`beside.py`).
    """

    name: str = MINILM
    adapter: str | None = None
    frozen: float = Field(default=0.0, ge=0.0, lt=1.0)
    layers: Annotated[tuple[int, ...], BeforeValidator(_tuple)] = (4, 2)
    local_files_only: bool = True
    batch_size: int = Field(default=128, ge=1)
    cache: bool = True
    device: str = "cpu"
    dimension: int = Field(default=256, ge=1)

    def untuned(self) -> "EncoderConfig":
        """The same encoder as it was before any run changed it: what baselines read with."""
        return self.model_copy(update={"adapter": None})


encoders: Registry[Callable[[EncoderConfig], TextEncoder]] = Registry("encoder")


@encoders.register("hashing")
def _hashing(config: EncoderConfig) -> TextEncoder:
    return HashingEncoder(config.dimension, config.layers)


def _sentence(config: EncoderConfig) -> TextEncoder:
    return SentenceEncoder(
        config.name,
        layers=config.layers,
        local_files_only=config.local_files_only,
        batch_size=config.batch_size,
        device=config.device,
        adapter=config.adapter,
    )


def load_encoder(config: EncoderConfig) -> TextEncoder:
    """The encoder that `config` names, behind the disk cache when config.cache. Raises EncoderError.

    A name that no registered encoder has is a sentence-transformers id or a folder.
    """
    encoder = _loaded(config)
    if config.adapter and config.frozen:
        return BesideEncoder(encoder, _loaded(config.untuned()), config.frozen)
    return encoder


def _loaded(config: EncoderConfig) -> TextEncoder:
    encoder = (encoders[config.name] if config.name in encoders.names() else _sentence)(config)
    return CachedEncoder(encoder) if config.cache else encoder
