"""Does a tuned encoder start as the frozen one, does its file bring back what was learned, and may both be read?"""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from taskaware.core.errors import EncoderError
from taskaware.encoders import EncoderConfig, load_encoder
from taskaware.encoders.adapters import average_adapters, save_adapter
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


def save(encoder: TunableEncoder, path: Path, strength: float = 1.0) -> None:
    save_adapter(path, encoder.adapter(), strength)


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


def test_a_saved_adapter_gives_the_same_vectors_to_float16_and_another_fingerprint(
    tiny_model: Path, tmp_path: Path
) -> None:
    encoder = tuned(tiny_model)
    save(encoder, tmp_path / "adapter.safetensors")
    frozen, loaded = (
        load_encoder(config_of(tiny_model)),
        load_encoder(config_of(tiny_model, tmp_path / "adapter.safetensors")),
    )
    np.testing.assert_allclose(encoder(TEXTS).detach().numpy(), loaded.encode(TEXTS), atol=2e-3)
    assert np.abs(frozen.encode(TEXTS) - loaded.encode(TEXTS)).max() > 1e-3
    assert loaded.fingerprint != frozen.fingerprint and loaded.fingerprint.startswith(frozen.fingerprint)


def test_strength_scales_the_change_and_zero_is_the_frozen_encoder(tiny_model: Path, tmp_path: Path) -> None:
    encoder, path = tuned(tiny_model), tmp_path / "adapter.safetensors"
    save(encoder, path)
    whole = load_file(path)
    save(encoder, path, 0.5)
    half = load_file(path)
    assert all(torch.equal(half[name], whole[name] * (0.5 if name.endswith(".up") else 1.0)) for name in whole)
    save(encoder, path, 0.0)
    np.testing.assert_allclose(
        load_encoder(config_of(tiny_model, path)).encode(TEXTS),
        load_encoder(config_of(tiny_model)).encode(TEXTS),
        atol=1e-6,
    )


def test_the_change_of_an_average_is_the_mean_of_the_changes() -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = {"a.down": (2, 5), "a.up": (3, 2), "b.down": (2, 3), "b.up": (7, 2)}
    adapters = [{name: torch.randn(shape, generator=generator) for name, shape in shapes.items()} for _ in range(3)]
    mean = average_adapters(adapters)
    for name in ("a", "b"):
        changes = torch.stack([each[f"{name}.up"] @ each[f"{name}.down"] for each in adapters])
        torch.testing.assert_close(mean[f"{name}.up"] @ mean[f"{name}.down"], changes.mean(0))
    alone = average_adapters(adapters[:1])
    assert all(torch.equal(alone[name], value) for name, value in adapters[0].items())


@pytest.mark.parametrize("damage", ["missing", "garbage", "fewer", "wider"])
def test_an_adapter_that_does_not_fit_is_refused_by_name(tiny_model: Path, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "adapter.safetensors"
    save(tuned(tiny_model), path)
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


@pytest.fixture
def adapted(tiny_model: Path, tmp_path: Path) -> EncoderConfig:
    """An encoder with an adapter that has learned something, at random."""
    save(tuned(tiny_model), tmp_path / "adapter.safetensors")
    return config_of(tiny_model, tmp_path / "adapter.safetensors")


@pytest.mark.parametrize("share", [0.25, 0.6])
def test_cosines_are_the_weighted_mean_of_both_encoders(adapted: EncoderConfig, share: float) -> None:
    both = load_encoder(adapted.model_copy(update={"frozen": share})).encode(TEXTS)
    alone, untuned = load_encoder(adapted).encode(TEXTS), load_encoder(adapted.untuned()).encode(TEXTS)
    np.testing.assert_allclose(both @ both.T, (1 - share) * alone @ alone.T + share * untuned @ untuned.T, atol=1e-5)


def test_features_are_the_joint_vector_and_then_the_tuned_layers(adapted: EncoderConfig) -> None:
    alone, both = load_encoder(adapted), load_encoder(adapted.model_copy(update={"frozen": 0.3}))
    assert (both.dimension, both.width) == (2 * alone.dimension, alone.width + alone.dimension)
    features = both.features(TEXTS)
    assert features.shape == (len(TEXTS), both.width) and features.dtype == np.float32
    np.testing.assert_allclose(features[:, : both.dimension], both.encode(TEXTS), atol=1e-6)
    np.testing.assert_allclose(features[:, both.dimension :], alone.features(TEXTS)[:, alone.dimension :], atol=1e-5)
    assert both.layers == alone.layers and both.features([]).shape == (0, both.width)


def test_shares_and_adapters_have_fingerprints_of_their_own(adapted: EncoderConfig) -> None:
    shares = [load_encoder(adapted.model_copy(update={"frozen": share})).fingerprint for share in (0.0, 0.2, 0.3)]
    assert len({*shares, load_encoder(adapted.untuned()).fingerprint}) == 4


def test_without_an_adapter_there_is_one_encoder_only(adapted: EncoderConfig) -> None:
    plain = load_encoder(adapted.untuned())
    again = load_encoder(adapted.untuned().model_copy(update={"frozen": 0.3}))
    assert again.fingerprint == plain.fingerprint
    np.testing.assert_array_equal(again.features(TEXTS), plain.features(TEXTS))
