"""What do the hidden layers of a sentence-transformers model say of a text, in the pass that makes its vector?

Jawahar et al. 2019, "What Does BERT Learn about the Structure of Language?", https://aclanthology.org/P19-1356: lower
and middle layers hold form, which the last gives up for meaning. This module imports torch: import it when a model runs.
Letters: n texts, D width of the sentence vector, L named layers, H width of a hidden layer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling
from sentence_transformers.util import batch_to_device
from torch import Tensor
from transformers import PreTrainedModel

from taskaware.core.errors import EncoderError

Features = dict[str, Tensor]


@dataclass(frozen=True)
class Reading:
    """sentence [n, D] as the model's last module gives it; hidden [n, L * H], the named layers side by side."""

    sentence: NDArray[np.float32]
    hidden: NDArray[np.float32]


def prepare(model: SentenceTransformer, layers: tuple[int, ...]) -> SentenceTransformer:
    """The model without dropout; its transformer bodies keep their hidden states if layers are wanted."""
    if layers:
        for module in model.modules():
            if isinstance(module, PreTrainedModel):
                module.config.output_hidden_states = True
    return model.eval()


@torch.inference_mode()
def read(model: SentenceTransformer, texts: Sequence[str], layers: tuple[int, ...], batch_size: int) -> Reading:
    """Runs a prepared model once over at least one text, the longest first. Raises EncoderError for layers it lacks."""
    order = np.argsort([-len(text) for text in texts], kind="stable")
    prompt = model.prompts.get(model.default_prompt_name) if model.default_prompt_name else None
    sentences, hidden = [], []
    for start in range(0, len(order), batch_size):
        batch = model.preprocess([texts[row] for row in order[start : start + batch_size]], prompt=prompt)
        output = model(batch_to_device(batch, model.device))
        sentences.append(output["sentence_embedding"].float().cpu())
        hidden.append(_means(output, layers).float().cpu())
    back = torch.from_numpy(np.argsort(order))
    return Reading(torch.cat(sentences)[back].numpy(), torch.cat(hidden)[back].numpy())


def _means(output: Features, layers: tuple[int, ...]) -> Tensor:
    """[n, L * H]. Pooling by sentence-transformers knows padding, on either side, and batches without any."""
    if not layers:
        return output["sentence_embedding"][:, :0]
    states = output.get("all_layer_embeddings")
    if states is None:
        raise EncoderError(
            f"encoder.layers: expected a transformer with the layers {list(layers)}, saw a model with 0 layers "
            "that can be read; set encoder.layers to []"
        )
    last = len(states) - 1
    absent = [layer for layer in layers if not -len(states) <= layer <= last]
    if absent:
        raise EncoderError(
            f"encoder.layers: expected numbers from 0 (embeddings) to {last} (this model has {last} layers), or "
            f"from -1 (the last) to {-len(states)}, saw {absent}"
        )
    pooling = Pooling(states[0].shape[-1], pooling_mode="mean")
    pooled = [pooling({**output, "token_embeddings": states[layer]})["sentence_embedding"] for layer in layers]
    return torch.cat(pooled, dim=1)
