"""Does the model-free encoder keep the promises of a text encoder?"""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskaware.encoders.hashing import HashingEncoder


@given(st.lists(st.text(), max_size=5), st.integers(min_value=1, max_value=64))
def test_every_text_becomes_a_unit_vector(texts: list[str], dimension: int) -> None:
    vectors = HashingEncoder(dimension).encode(texts)
    assert vectors.shape == (len(texts), dimension)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=1e-5)


@given(st.lists(st.text(), max_size=5))
def test_a_text_has_the_same_vector_in_any_company(texts: list[str]) -> None:
    encoder = HashingEncoder()
    alone = [encoder.encode([text])[0] for text in texts]
    np.testing.assert_array_equal(encoder.encode(texts), np.array(alone, dtype=np.float32).reshape(len(texts), 256))


@given(st.lists(st.text(), max_size=5), st.lists(st.integers(-3, 12), max_size=3))
def test_features_are_the_sentence_vector_and_one_block_a_layer(texts: list[str], layers: list[int]) -> None:
    encoder = HashingEncoder(16, tuple(layers))
    features = encoder.features(texts)
    assert features.shape == (len(texts), encoder.width) == (len(texts), 16 * (1 + len(layers)))
    assert features.dtype == np.float32
    np.testing.assert_array_equal(features[:, :16], encoder.encode(texts))
    for place, layer in enumerate(layers, 1):  # a block depends on its layer only, and on no other text
        block = features[:, 16 * place : 16 * (place + 1)]
        alone = [HashingEncoder(16, (layer,)).features([text])[0, 16:] for text in texts]
        np.testing.assert_array_equal(block, np.array(alone, dtype=np.float32).reshape(len(texts), 16))


@pytest.mark.parametrize("layer", [4, -1])
def test_a_layer_sees_how_a_text_is_written_where_the_sentence_vector_sees_words(layer: int) -> None:
    texts = ["THE PARCEL IS LATE!!!", "the parcel is late", "MY CARD WAS SWALLOWED!!!"]
    features = HashingEncoder(256, (layer,)).features(texts)
    words, style = features[:, :256], features[:, 256:]
    assert words[0] @ words[1] > 0.99 > words[0] @ words[2]
    assert style[0] @ style[2] > style[0] @ style[1]


def test_texts_that_share_words_are_nearer_than_texts_that_do_not() -> None:
    first, near, stem, far = HashingEncoder().encode(
        ["the parcel arrived late", "a parcel that arrived broken", "parcels arriving", "my card was swallowed"]
    )
    assert first @ near > first @ far + 0.2
    assert first @ stem > first @ far + 0.1


def test_another_process_gives_the_same_vectors() -> None:
    program = (
        "from taskaware.encoders.hashing import HashingEncoder;"
        "print(HashingEncoder(32, (4, 2)).features(['one text']).tobytes().hex())"
    )
    seen = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert seen.stdout.strip() == HashingEncoder(32, (4, 2)).features(["one text"]).tobytes().hex()


def test_another_dimension_has_another_fingerprint_and_other_layers_do_not() -> None:
    assert HashingEncoder(32).fingerprint != HashingEncoder(64).fingerprint
    assert HashingEncoder(32).fingerprint == HashingEncoder(32, (4, 2)).fingerprint
