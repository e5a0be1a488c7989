"""The oracle: MAML and ProtoNet as plain Python loops over tasks and steps, with nothing shared and nothing clever."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from taskaware.innerloop import InnerLoop
from taskaware.innerloop.meta_batch import MetaBatch, meta_batch


def logits_of(body: nn.Module, parameters: Mapping[str, Tensor], features: Tensor, class_mask: Tensor) -> Tensor:
    logits = torch.func.functional_call(body, dict(parameters), (features,))
    return logits + (class_mask - 1) * 1e4


def loop_loss(body: nn.Module, inner: InnerLoop, batch: MetaBatch) -> Tensor:
    """Mean query loss after the inner steps; masks are honoured by leaving the padding out."""
    losses = []
    for task in range(batch.tasks):
        real, asked = batch.support.mask[task] > 0, batch.query.mask[task] > 0
        features, labels = batch.support.features[task][real], batch.support.labels[task][real]
        parameters = dict(body.named_parameters())
        for step in range(inner.config.steps):
            loss = F.cross_entropy(logits_of(body, parameters, features, batch.class_mask[task]), labels)
            gradients = torch.autograd.grad(loss, list(parameters.values()), create_graph=inner.config.order == 2)
            moves = [_clipped(each, inner.config.clip) for each in gradients]
            rates = inner.log_rates[step].exp()
            parameters = {
                name: value - rates[index] * moves[index] for index, (name, value) in enumerate(parameters.items())
            }
        logits = logits_of(body, parameters, batch.query.features[task][asked], batch.class_mask[task])
        losses.append(F.cross_entropy(logits, batch.query.labels[task][asked]))
    return torch.stack(losses).mean()


def protonet_loop_loss(body: nn.Module, batch: MetaBatch) -> Tensor:
    losses = []
    for task in range(batch.tasks):
        real, asked = batch.support.mask[task] > 0, batch.query.mask[task] > 0
        embedded, labels = body(batch.support.features[task][real]), batch.support.labels[task][real]
        ways = int(batch.class_mask[task].sum())
        means = torch.stack([embedded[labels == label].mean(0) for label in range(ways)])
        queries = body(batch.query.features[task][asked])
        losses.append(F.cross_entropy(-torch.cdist(queries, means).square(), batch.query.labels[task][asked]))
    return torch.stack(losses).mean()


def gradients_of(loss: Tensor, *modules: nn.Module) -> list[Tensor]:
    parameters = [each for module in modules for each in module.parameters()]
    return list(torch.autograd.grad(loss, parameters))


def relative_difference(seen: list[Tensor], expected: list[Tensor]) -> float:
    """The norm of all differences over the norm of all expected gradients."""
    difference = sum(float((a.double() - b.double()).square().sum()) for a, b in zip(seen, expected, strict=True))
    return (difference / sum(float(each.double().square().sum()) for each in expected)) ** 0.5


def random_tasks(
    tasks: int, ways: int, shots: int, queries: int, shape: tuple[int, ...], dtype: torch.dtype, seed: int = 0
) -> MetaBatch:
    """Gaussian classes: features [T, N * shots, *shape] and labels."""
    rng = torch.Generator().manual_seed(seed)
    centres = torch.randn(tasks, ways, 1, *shape, generator=rng, dtype=torch.float64)

    def draw(count: int) -> tuple[Tensor, Tensor]:
        noise = torch.randn(tasks, ways, count, *shape, generator=rng, dtype=torch.float64)
        labels = torch.arange(ways).repeat_interleave(count).expand(tasks, -1)
        return (centres + noise).flatten(1, 2).to(dtype), labels.contiguous()

    return meta_batch(*draw(shots), *draw(queries), ways=ways)


def _clipped(gradient: Tensor, clip: float) -> Tensor:
    return gradient * (clip / (gradient.square().sum() + 1e-12).sqrt()).clamp(max=1.0) if clip else gradient
