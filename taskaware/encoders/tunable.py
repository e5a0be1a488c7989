"""How does an encoder learn? The same model as `SentenceEncoder`, through which gradients flow to a low-rank adapter.

This file imports torch and sentence-transformers: import it when a model loads.
Letters: n texts, D width of the sentence vector.
"""

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from taskaware.core.errors import EncoderError
from taskaware.encoders.base import EncoderConfig
from taskaware.encoders.lora import adapter_tensors, add_low_rank
from taskaware.encoders.sentence import load_model


@final
class TunableEncoder(nn.Module):
    """A frozen sentence-transformers model beside a low-rank adapter that is its only parameter.

    At birth its vectors are those of the frozen model, up to rounding.
    """

    def __init__(self, config: EncoderConfig, *, rank: int, length: int, seed: int) -> None:
        super().__init__()
        if config.name == "hashing" or config.adapter is not None:
            raise EncoderError(
                f"encoder {config.name!r}, adapter {config.adapter!r}: expected a transformer without an adapter to "
                "tune; leave `tuning` or `encoder.adapter` out of the configuration"
            )
        # Attention written out: its backward pass in bfloat16 is twice as fast on CPUs, and it has a second derivative.
        self._model = load_model(config.name, "cpu", config.local_files_only, attention="eager").eval()
        self._model.max_seq_length = min(length, self._model.max_seq_length or length)
        self._added = add_low_rank(self._model, rank, seed)

    def forward(self, texts: Sequence[str]) -> Tensor:
        """n texts -> [n, D] float32 of unit length, differentiable in the adapter. Dropout is off."""
        device = next(self._model.parameters()).device
        read = getattr(self._model, "preprocess", None) or self._model.tokenize  # the name before version 5
        tokens = {name: value.to(device) for name, value in read(list(texts)).items() if isinstance(value, Tensor)}
        return functional.normalize(self._model(tokens)["sentence_embedding"].float(), dim=-1)

    def round_frozen(self) -> None:
        """Keeps the frozen maps in bfloat16: what autocast would make of them for every batch anew."""
        for added in self._added.values():
            added.linear.to(torch.bfloat16)

    def adapter(self) -> dict[str, Tensor]:
        """What was learned so far, for `save_adapter`."""
        return adapter_tensors(self._added)
