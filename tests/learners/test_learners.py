"""Which laws does every learner obey?"""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from taskaware.bodies import BodyConfig
from taskaware.conditioners import FilmConditioner, FilmConfig, Switches
from taskaware.core.values import Episode, Examples, Neighbours, TaskContext, map_tensors, stack
from taskaware.core.vectors import unit
from taskaware.innerloop import InnerLoop, InnerLoopConfig
from taskaware.learners import LearnerConfig, build_learner, learners
from taskaware.learners.base import Learner, cross_entropy

D, W, A, K, M, B = 6, 9, 9, 3, 2, 2


def random_episode(
    ways: int = 3, shots: int = 2, query: int = 4, *, words: bool = True, past: bool = True, seed: int = 0
) -> Episode:
    torch.manual_seed(seed)
    centres = torch.randn(ways, D)

    def examples(count: int) -> Examples:
        labels = torch.arange(ways).repeat_interleave(count)
        sentence = unit(centres[labels] + 0.5 * torch.randn(len(labels), D))
        features = torch.cat([sentence, torch.randn(len(labels), W - D)], dim=1)
        return Examples(features, labels, torch.ones(len(labels)))

    near = Neighbours(
        adapters=torch.randn(K, A) * past,
        task_similarity=torch.rand(K, 3) * past,
        task_mask=torch.ones(K) * past,
        class_texts=unit(torch.randn(ways, M, D)) * past,
        class_prototypes=torch.randn(ways, M, D) * past,
        class_similarity=torch.rand(ways, M) * past,
        class_slots=torch.ones(ways, M) * past,
    )
    context = TaskContext(
        description=unit(torch.randn(D)) * words,
        background=unit(torch.randn(B, D)) * words,
        background_mask=torch.ones(B) * words,
        label_texts=unit(centres + 0.5 * torch.randn(ways, D)) * words,
        class_mask=torch.ones(ways),
        present=torch.ones(3) * words,
        code_mask=torch.ones(A),
        neighbours=near,
    )
    return Episode(examples(shots), examples(query), context)


def learner_of(
    name: str, conditioner: str = "film", steps: int = 2, seed: int = 1, centring: bool = True, **inner: Any
) -> Learner:
    torch.manual_seed(seed)
    config = LearnerConfig(
        name=name,
        conditioner=conditioner,  # type: ignore[arg-type]
        body=BodyConfig(hidden=4, centring=centring),
        inner=InnerLoopConfig(steps=steps, **inner),
    )
    return build_learner(config, D, W).eval()


every_learner = pytest.mark.parametrize("name", learners.names())


@every_learner
@pytest.mark.parametrize("conditioner", ["film", "none"])
@pytest.mark.parametrize(("ways", "shots"), [(2, 0), (3, 1), (7, 3)])
@pytest.mark.parametrize("words", [True, False])
def test_every_learner_scores_queries_with_finite_logits_and_gradients(
    name: str, conditioner: str, ways: int, shots: int, words: bool
) -> None:
    learner = learner_of(name, conditioner)
    episode = random_episode(ways, shots, words=words)
    logits = learner(episode)
    assert logits.shape == (4 * ways, ways)
    cross_entropy(logits, episode.query).backward()
    gradients = [parameter.grad for parameter in learner.parameters() if parameter.grad is not None]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


@every_learner
def test_a_meta_batch_equals_a_loop_over_its_tasks(name: str) -> None:
    learner = learner_of(name)
    batch = [random_episode(seed=seed) for seed in range(4)]
    together = torch.func.vmap(learner)(stack(batch))
    for each, logits in zip(batch, together, strict=True):
        torch.testing.assert_close(learner(each), logits, atol=1e-4, rtol=1e-4)


@every_learner
def test_a_second_task_leaves_no_trace_on_the_first(name: str) -> None:
    learner = learner_of(name)
    first = random_episode(seed=0)
    before = learner(first)
    learner(random_episode(seed=1))
    assert torch.equal(before, learner(first))


@every_learner
@pytest.mark.parametrize("shots", [0, 2])
def test_padding_changes_no_logit_and_padded_classes_get_no_probability(name: str, shots: int) -> None:
    learner = learner_of(name)
    episode = random_episode(3, shots)
    padded = learner(_pad(episode))
    torch.testing.assert_close(padded[: len(episode.query.mask), :3], learner(episode), atol=1e-4, rtol=1e-4)
    assert padded.softmax(-1)[:, 3:].max() < 1e-6


def _pad(episode: Episode) -> Episode:
    context, near = episode.context, episode.context.neighbours

    def grow(tensor: Tensor, axis: int = 0) -> Tensor:
        shape = list(tensor.shape)
        shape[axis] = 2
        return torch.cat([tensor, tensor.new_zeros(shape)], dim=axis)

    near = replace(
        map_tensors(grow, near),
        class_texts=grow(grow(near.class_texts), 1),
        class_prototypes=grow(grow(near.class_prototypes), 1),
        class_similarity=grow(grow(near.class_similarity), 1),
        class_slots=grow(grow(near.class_slots), 1),
    )
    context = replace(
        context,
        background=grow(context.background),
        background_mask=grow(context.background_mask),
        label_texts=grow(context.label_texts),
        class_mask=grow(context.class_mask),
        neighbours=near,
    )
    return Episode(map_tensors(grow, episode.support), episode.query, context)


@every_learner
def test_renaming_the_classes_renames_the_logits(name: str) -> None:
    learner, episode = learner_of(name), random_episode()
    order = torch.tensor([2, 0, 1])
    place = order.argsort()
    near = episode.context.neighbours
    renamed = replace(
        episode,
        support=replace(episode.support, labels=place[episode.support.labels]),
        context=replace(
            episode.context,
            label_texts=episode.context.label_texts[order],
            neighbours=replace(
                near,
                class_texts=near.class_texts[order],
                class_prototypes=near.class_prototypes[order],
                class_similarity=near.class_similarity[order],
                class_slots=near.class_slots[order],
            ),
        ),
    )
    torch.testing.assert_close(learner(renamed), learner(episode)[:, order], atol=1e-4, rtol=1e-4)


def test_zero_inner_steps_of_protomaml_are_protonet() -> None:
    episode = random_episode()
    protonet, protomaml = learner_of("protonet", steps=0), learner_of("protomaml", steps=0)
    protomaml.load_state_dict({**protomaml.state_dict(), **protonet.state_dict()})
    assert torch.equal(protonet(episode), protomaml(episode))


def test_at_birth_one_shot_protonet_is_the_training_free_mix_but_for_centring_and_the_gate() -> None:
    episode = random_episode(5, 1, past=False)
    means = episode.support.features[:, :D]
    mix = unit(means + episode.context.label_texts)
    with torch.no_grad():
        learner = learner_of("protonet", centring=False)
        learner.conditioner.gate.doubt.zero_()  # type: ignore[union-attr]
        learner.conditioner.gate.refuted.zero_()  # type: ignore[union-attr]
        learner.conditioner.gate.even.zero_()  # type: ignore[union-attr]
        predicted = learner(episode).argmax(-1)
    assert torch.equal(predicted, (episode.query.features[:, :D] @ mix.T).argmax(-1))


def test_without_words_and_memory_film_at_birth_equals_none() -> None:
    episode = random_episode(words=False, past=False)
    torch.testing.assert_close(learner_of("protonet")(episode), learner_of("protonet", "none")(episode))


def test_a_code_of_zeros_is_the_frozen_space_of_the_encoder() -> None:
    body, features = learner_of("protonet").body, random_episode().support.features
    torch.testing.assert_close(body.embed(features, torch.zeros(8), torch.zeros(D)), unit(features[:, :D]))


def test_attention_sums_to_one_and_stays_with_the_identity_when_nothing_is_remembered() -> None:
    learner = learner_of("protonet")
    for past in (True, False):
        episode = random_episode(past=past)
        attention = learner.adapt(episode.support, episode.context).modulation.attention
        torch.testing.assert_close(attention.sum(), torch.tensor(1.0))
        assert past or attention[-1] > 0.999


def test_switches_turn_off_film_and_the_words_in_prototypes() -> None:
    episode = random_episode()
    learner = learner_of("protonet")
    learner.conditioner = FilmConditioner(FilmConfig(), Switches(film=False, prior=False))
    modulation = learner.adapt(episode.support, episode.context).modulation
    assert not modulation.code.any() and not modulation.prior.any()
    assert torch.equal(modulation.gate, torch.ones(3))


def test_the_gate_is_zero_without_examples_and_grows_with_shots_contradiction_and_ways() -> None:
    gate = FilmConditioner(FilmConfig()).gate
    counts, half, five, none = torch.tensor([0.0, 1.0, 5.0]), torch.tensor(0.5), torch.tensor(5.0), torch.tensor(0.0)
    values = gate(counts, half, none, five, none)
    assert values[0] == 0 and values[1] < values[2]
    torch.testing.assert_close(values[1], torch.tensor(0.43), atol=0.01, rtol=0)
    contradicted, agreed = (gate(counts, torch.tensor(value), half, five, none)[1:] for value in (-1.0, 1.0))
    assert (contradicted > agreed).all()
    sixty = torch.tensor(60.0)
    assert (gate(counts, none, half, sixty, none)[1:] > gate(counts, none, half, five, none)[1:]).all()
    assert torch.equal(gate(counts, half, half, sixty, none), gate(counts, half, half, five, none))


def test_past_tasks_whose_examples_could_be_relied_on_open_the_gate() -> None:
    episode, gates = random_episode(3, 2), []
    learner = build_learner(
        LearnerConfig(name="logistic", body=BodyConfig(hidden=4), film=FilmConfig(relied=2.0)), D, W
    )
    for relied in (-1.0, 0.0, 1.0):
        code = torch.zeros(K, A)
        code[:, -1] = relied
        context = replace(episode.context, neighbours=replace(episode.context.neighbours, adapters=code))
        gates.append(learner.adapt(episode.support, context).modulation.gate)
    assert (gates[0] < gates[1]).all() and (gates[1] < gates[2]).all()


def test_a_gate_that_is_not_learned_has_no_gradient() -> None:
    learner = build_learner(LearnerConfig(name="logistic", film=FilmConfig(learn_gate=False)), D, W)
    assert not any(each.requires_grad for each in learner.conditioner.gate.parameters())
    assert any(each.requires_grad for each in learner.conditioner.tasks.parameters())


def test_evidence_moves_attention_to_the_space_in_which_the_support_set_separates() -> None:
    episode = random_episode(3, 4, words=False)
    learner = learner_of("protonet")
    with torch.no_grad():
        learner.body.expand.mul_(100)
    quiet = replace(episode.context.neighbours, task_similarity=torch.zeros(3, 3))
    context = replace(episode.context, neighbours=quiet)
    attention = learner.adapt(episode.support, context).modulation.attention
    likelihood = []
    for code in [*quiet.adapters, torch.zeros(8)]:
        lifted = learner.body.lift(episode.support.features, code)
        embedded = unit(lifted - learner.body.middle(lifted, episode.support.mask))
        likelihood.append(_leave_one_out(embedded, episode.support, learner.body.scale()).item())
    assert int(torch.tensor(likelihood).argmax()) == int(attention.argmax())


@torch.no_grad()
def _leave_one_out(embedded: Tensor, support: Examples, scale: Tensor) -> Tensor:
    total = torch.zeros(())
    for index, label in enumerate(support.labels):
        keep = torch.arange(len(support.labels)) != index
        centres = [embedded[keep & (support.labels == each)].sum(0) for each in range(3)]
        total = total + (scale * unit(torch.stack(centres)) @ embedded[index]).log_softmax(-1)[label]
    return total


def test_inner_steps_without_clipping_are_torch_sgd() -> None:
    torch.manual_seed(0)
    inputs, start = torch.randn(5, 3), torch.randn(3)
    inner = InnerLoop(InnerLoopConfig(steps=4, learning_rate=0.05, clip=0.0), ("weight",))
    found = inner(lambda each: (inputs @ each["weight"] - 1).square().mean(), {"weight": start})["weight"]
    expected = start.clone().requires_grad_()
    optimizer = torch.optim.SGD([expected], lr=0.05)
    for _ in range(4):
        optimizer.zero_grad()
        (inputs @ expected - 1).square().mean().backward()
        optimizer.step()
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", ["maml", "protomaml"])
def test_the_meta_gradient_equals_finite_differences(name: str) -> None:
    learner = learner_of(name, steps=3).double()
    episode = map_tensors(lambda t: t.double() if t.is_floating_point() else t, random_episode())
    learner.conditioner = FilmConditioner(FilmConfig(evidence=False, trial=False)).double()
    parameter = learner.body.expand

    def loss() -> Tensor:
        return cross_entropy(learner(episode), episode.query)

    (gradient,) = torch.autograd.grad(loss(), parameter)
    direction = torch.randn_like(parameter)
    with torch.no_grad():
        parameter.add_(1e-5 * direction)
        above = loss()
        parameter.sub_(2e-5 * direction)
        below = loss()
    torch.testing.assert_close((gradient * direction).sum(), (above - below) / 2e-5, rtol=1e-6, atol=1e-9)


def test_first_and_second_order_agree_on_the_loss_but_not_on_its_gradient() -> None:
    gradients, losses = [], []
    for order in (1, 2):
        learner, episode = learner_of("maml", steps=3, order=order), random_episode()
        loss = cross_entropy(learner(episode), episode.query)
        losses.append(loss.detach())
        gradients.append(torch.autograd.grad(loss, learner.body.reduce)[0])
    torch.testing.assert_close(*losses)
    assert not torch.allclose(*gradients)


@pytest.mark.parametrize("name", ["maml", "protomaml"])
def test_inner_steps_lower_the_loss_on_the_support_set(name: str) -> None:
    episode = random_episode(3, 5)
    losses = []
    for steps in (0, 5):
        learner = learner_of(name, steps=steps)
        adapted = learner.adapt(episode.support, episode.context)
        losses.append(cross_entropy(learner.logits(adapted, episode.support.features), episode.support))
    assert losses[1] < losses[0]
