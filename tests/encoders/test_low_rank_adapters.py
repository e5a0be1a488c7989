"""Does a tuned encoder start as the frozen one, and does its file bring back exactly what was learned?"""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from taskaware.core.errors import EncoderError
from taskaware.encoders import EncoderConfig, load_encoder
from taskaware.encoders.tunable import TunableEncoder

TEXTS = ["the dog is about rain", "it is cheese", "hammer saw snow cat"]


def config_of(model: Path, adapter: Path | None = None) -> EncoderConfig:
    return EncoderConfig(name=str(model), layers=(1,), adapter=str(adapter) if adapter else None, cache=False)


def tuned(model: Path, size: float = 0.3) -> TunableEncoder:
    """An encoder whose adapter has learned something, at random."""
    encoder = TunableEncoder(config_of(model), rank=2, length=16, seed=0)
    generator = torch.Generator().manual_seed(1)
    for parameter in encoder.parameters():
        if parameter.requires_grad:
            parameter.data += size * torch.randn(parameter.shape, generator=generator)
    return encoder


def test_at_birth_a_tunable_encoder_gives_the_vectors_of_the_frozen_one(tiny_model: Path) -> None:
    fresh = TunableEncoder(config_of(tiny_model), rank=2, length=16, seed=0)
    np.testing.assert_allclose(
        fresh(TEXTS).detach().numpy(), load_encoder(config_of(tiny_model)).encode(TEXTS), atol=1e-5
    )


def test_only_the_adapter_learns_and_gradients_reach_all_of_it(tiny_model: Path) -> None:
    encoder = tuned(tiny_model)
    encoder(TEXTS).square().sum(0)[0].backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.requires_grad == name.endswith((".up", ".down"))
        assert not parameter.requires_grad or (parameter.grad is not None and parameter.grad.abs().sum() > 0)


def test_a_saved_adapter_gives_the_same_vectors_and_another_fingerprint(tiny_model: Path, tmp_path: Path) -> None:
    encoder = tuned(tiny_model)
    encoder.save_adapter(tmp_path / "adapter.safetensors")
    frozen, loaded = (
        load_encoder(config_of(tiny_model)),
        load_encoder(config_of(tiny_model, tmp_path / "adapter.safetensors")),
    )
    np.testing.assert_allclose(encoder(TEXTS).detach().numpy(), loaded.encode(TEXTS), atol=1e-5)
    assert np.abs(frozen.encode(TEXTS) - loaded.encode(TEXTS)).max() > 1e-3
    assert loaded.fingerprint != frozen.fingerprint and loaded.fingerprint.startswith(frozen.fingerprint)


def test_strength_scales_the_change_and_zero_is_the_frozen_encoder(tiny_model: Path, tmp_path: Path) -> None:
    encoder, path = tuned(tiny_model), tmp_path / "adapter.safetensors"
    encoder.save_adapter(path)
    whole = load_file(path)
    encoder.save_adapter(path, 0.5)
    half = load_file(path)
    assert all(torch.equal(half[name], whole[name] * (0.5 if name.endswith(".up") else 1.0)) for name in whole)
    encoder.save_adapter(path, 0.0)
    np.testing.assert_allclose(
        load_encoder(config_of(tiny_model, path)).encode(TEXTS),
        load_encoder(config_of(tiny_model)).encode(TEXTS),
        atol=1e-6,
    )


@pytest.mark.parametrize("damage", ["missing", "garbage", "fewer", "wider"])
def test_an_adapter_that_does_not_fit_is_refused_by_name(tiny_model: Path, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "adapter.safetensors"
    tuned(tiny_model).save_adapter(path)
    tensors = load_file(path)
    name = next(key for key in tensors if key.endswith(".down"))
    if damage == "missing":
        path.unlink()
    elif damage == "garbage":
        path.write_bytes(b"no tensors")
    else:
        kept = {key: value for key, value in tensors.items() if key != name}
        save_file(kept if damage == "fewer" else {**kept, name: torch.zeros(2, 99)}, path)
    with pytest.raises(EncoderError, match=r"adapter\.safetensors"):
        load_encoder(config_of(tiny_model, path)).encode(TEXTS)


def test_an_encoder_without_a_transformer_or_with_an_adapter_cannot_be_tuned(tiny_model: Path) -> None:
    for config in (EncoderConfig(name="hashing"), config_of(tiny_model, Path("some.safetensors"))):
        with pytest.raises(EncoderError, match="tuning"):
            TunableEncoder(config, rank=2, length=16, seed=0)
