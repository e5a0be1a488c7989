"""What do the hidden layers of a sentence-transformers model say of a text, in the pass that makes its vector?

Jawahar et al. 2019, "What Does BERT Learn about the Structure of Language?", https://aclanthology.org/P19-1356: lower
and middle layers hold form, which the last gives up for meaning. This file imports torch: import it when a model loads.
Letters: B texts in a batch, S tokens, D width of the sentence vector, L named layers, H width of a hidden layer.
"""

from typing import Any, final

import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor, nn
from transformers import PreTrainedModel

from taskaware.core.errors import EncoderError


def append_layers(model: SentenceTransformer, layers: tuple[int, ...]) -> SentenceTransformer:
    """The same model, whose vectors go on with the mean token vectors of the layers: [D] becomes [D + L * H]."""
    if layers:
        for module in model.modules():
            if isinstance(module, PreTrainedModel):
                module.config.output_hidden_states = True
        model.add_module("taskaware_layers", LayerMeans(layers))
    return model


@final
class LayerMeans(nn.Module):
    """The last module of a model: it finds what those before it left behind, so that one pass serves both."""

    def __init__(self, layers: tuple[int, ...]) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, features: dict[str, Any]) -> dict[str, Any]:
        """sentence_embedding [B, D] -> [B, D + L * H]. Raises EncoderError for layers that the model lacks."""
        states = self._states(features.get("all_layer_embeddings"))
        means = [_mean(state, features["attention_mask"]).float() for state in states]
        return {**features, "sentence_embedding": torch.cat([features["sentence_embedding"].float(), *means], dim=1)}

    def _states(self, states: tuple[Tensor, ...] | None) -> list[Tensor]:
        if states is None:
            raise EncoderError(
                f"encoder.layers: expected a transformer with the layers {list(self.layers)}, saw a model with 0 "
                "layers that can be read; set encoder.layers to []"
            )
        count = len(states) - 1  # the embeddings come first
        absent = [layer for layer in self.layers if not -count - 1 <= layer <= count]
        if absent:
            raise EncoderError(
                f"encoder.layers: this model has {count} layers: expected 0 (embeddings) to {count}, or -1 (the last) "
                f"to {-count - 1} (embeddings), saw {absent}"
            )
        return [states[layer] for layer in self.layers]


def _mean(state: Tensor, mask: Tensor) -> Tensor:
    """Over real tokens. state [B, S, H], mask [B, S] -> [B, H]."""
    weights = mask.to(state.dtype)
    return torch.einsum("bs,bsh->bh", weights, state) / weights.sum(dim=1, keepdim=True).clamp(min=1.0)
