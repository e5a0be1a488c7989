"""Text encoders: words in, unit vectors and features out; the only package that imports sentence-transformers."""

from taskaware.encoders.base import EncoderConfig, TextEncoder, load_encoder

__all__ = ["EncoderConfig", "TextEncoder", "load_encoder"]
