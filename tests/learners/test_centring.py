"""Centring: what all classes share decides nothing, and few vectors shrink it toward 0."""

import pytest
import torch
from torch import Tensor

from taskaware.bodies import BodyConfig, ResidualBody

D, W, N = 6, 10, 4


@pytest.fixture
def body() -> ResidualBody:
    torch.manual_seed(0)
    return ResidualBody(BodyConfig(hidden=3), D, W)


def unshrunk(body: ResidualBody) -> ResidualBody:
    with torch.no_grad():
        body.log_shrinkage.fill_(-40.0)
    return body


def code() -> Tensor:
    return torch.linspace(-1, 1, 6)


def test_what_all_label_texts_share_does_not_matter_without_shrinkage(body: ResidualBody) -> None:
    words, shared = torch.randn(N, D), torch.randn(D)
    own = unshrunk(body).embed_words(words, torch.zeros(6))
    torch.testing.assert_close(own, body.embed_words(words + 3 * shared, torch.zeros(6)))


def test_what_all_examples_share_does_not_matter_without_shrinkage(body: ResidualBody) -> None:
    features, shared = torch.randn(5, W), torch.cat([torch.randn(D), torch.zeros(W - D)])
    mask = torch.ones(5)
    for each in (features, features + 3 * shared):
        lifted = unshrunk(body).lift(each, torch.zeros(6))
        found = body.embed(each, torch.zeros(6), body.middle(lifted, mask))
        torch.testing.assert_close(found.norm(dim=-1), torch.ones(5))
        torch.testing.assert_close(lifted - body.middle(lifted, mask), lifted - lifted.mean(0))


def test_padding_and_absent_words_have_no_part_in_the_centre(body: ResidualBody) -> None:
    words, features = torch.randn(N, D), torch.randn(5, W)
    padded = torch.cat([words, torch.zeros(2, D)])
    found = body.embed_words(padded, code())
    torch.testing.assert_close(found[:N], body.embed_words(words, code()))
    assert not found[N:].any()
    lifted = body.lift(features, code())
    torch.testing.assert_close(
        body.middle(lifted, torch.tensor([1.0, 1, 1, 0, 0])), body.middle(lifted[:3], torch.ones(3))
    )


def test_without_examples_the_centre_is_zero_and_it_grows_with_their_number(body: ResidualBody) -> None:
    lifted = body.lift(torch.randn(1, W), code())
    assert not body.middle(lifted[:0], torch.ones(0)).any()
    norms = [body.middle(lifted.expand(count, D), torch.ones(count)).norm() for count in (1, 2, 8)]
    assert norms[0] < norms[1] < norms[2] < lifted.norm()


def test_centring_can_be_turned_off() -> None:
    body = ResidualBody(BodyConfig(hidden=3, centring=False), D, W)
    lifted = body.lift(torch.randn(5, W), code())
    assert not body.middle(lifted, torch.ones(5)).any()


def test_many_codes_at_once_equal_one_after_another(body: ResidualBody) -> None:
    codes, features, words = torch.randn(3, 6), torch.randn(5, W), torch.randn(N, D)
    mask = torch.tensor([1.0, 1, 1, 1, 0])
    lifted = body.lift(features, codes[:, None])
    middles = body.middle(lifted, mask)
    for index, each in enumerate(codes):
        torch.testing.assert_close(middles[index], body.middle(body.lift(features, each), mask))
        torch.testing.assert_close(body.embed_words(words, codes[:, None])[index], body.embed_words(words, each))
