"""How is the same meta-gradient computed with other libraries? One function each, as their own documentation does it.

Packages that cannot be imported are reported with the reason. learn2learn and easyfsl import torchvision, gym and more
in their `__init__`, none of which these algorithms need: an empty package stands in for the `__init__`, and the
algorithm's own module is loaded from its file, unchanged.
"""

import importlib
import sys
import types
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from taskaware.innerloop.meta_batch import MetaBatch

RATE = 0.1
Peer = Callable[[nn.Module, MetaBatch, int, int], Tensor]
"""(body, batch, steps, order) -> mean query loss."""


class UnavailableError(Exception):
    """A peer that cannot do a workload here, and why."""


def learn2learn_maml(body: nn.Module, batch: MetaBatch, steps: int, order: int) -> Tensor:
    """learn2learn.algorithms.MAML, task by task as in its examples."""
    module = _bare("learn2learn", "learn2learn.algorithms", "learn2learn.algorithms.maml")
    maml = module.MAML(body, lr=RATE, first_order=order == 1)
    losses = []
    for task in range(batch.tasks):
        learner = maml.clone()
        for _ in range(steps):
            learner.adapt(F.cross_entropy(learner(batch.support.features[task]), batch.support.labels[task]))
        losses.append(F.cross_entropy(learner(batch.query.features[task]), batch.query.labels[task]))
    return torch.stack(losses).mean()


def higher_maml(body: nn.Module, batch: MetaBatch, steps: int, order: int) -> Tensor:
    """higher.innerloop_ctx, task by task."""
    higher = _import("higher")
    detach = (lambda gradients: [each.detach() for each in gradients]) if order == 1 else None
    losses = []
    for task in range(batch.tasks):
        optimizer = torch.optim.SGD(body.parameters(), lr=RATE)
        with higher.innerloop_ctx(body, optimizer, copy_initial_weights=False) as (learner, inner):
            for _ in range(steps):
                loss = F.cross_entropy(learner(batch.support.features[task]), batch.support.labels[task])
                inner.step(loss, grad_callback=detach)
            losses.append(F.cross_entropy(learner(batch.query.features[task]), batch.query.labels[task]))
    return torch.stack(losses).mean()


def torchopt_maml(body: nn.Module, batch: MetaBatch, steps: int, order: int) -> Tensor:
    """torchopt.MetaSGD, task by task."""
    if order == 1:
        raise UnavailableError("no first-order mode")
    torchopt = _import("torchopt")
    optimizer = torchopt.MetaSGD(body, lr=RATE)
    start, fresh = torchopt.extract_state_dict(body), torchopt.extract_state_dict(optimizer)
    losses = []
    for task in range(batch.tasks):
        for _ in range(steps):
            optimizer.step(F.cross_entropy(body(batch.support.features[task]), batch.support.labels[task]))
        losses.append(F.cross_entropy(body(batch.query.features[task]), batch.query.labels[task]))
        torchopt.recover_state_dict(body, start)
        torchopt.recover_state_dict(optimizer, fresh)
    return torch.stack(losses).mean()


def learn2learn_protonet(body: nn.Module, batch: MetaBatch, steps: int, order: int) -> Tensor:
    """learn2learn.nn.PrototypicalClassifier, task by task."""
    module = _bare("learn2learn", "learn2learn.nn", "learn2learn.nn.protonet")
    losses = []
    for task in range(batch.tasks):
        classifier = module.PrototypicalClassifier()
        classifier.fit_(body(batch.support.features[task]), batch.support.labels[task])
        losses.append(F.cross_entropy(classifier(body(batch.query.features[task])), batch.query.labels[task]))
    return torch.stack(losses).mean()


def easyfsl_protonet(body: nn.Module, batch: MetaBatch, steps: int, order: int) -> Tensor:
    """easyfsl.methods.PrototypicalNetworks, task by task; its distances are not squared."""
    module = _bare("easyfsl", "easyfsl.methods", "easyfsl.methods.prototypical_networks")
    network = module.PrototypicalNetworks(body)
    losses = []
    for task in range(batch.tasks):
        network.process_support_set(batch.support.features[task], batch.support.labels[task])
        losses.append(F.cross_entropy(network(batch.query.features[task]), batch.query.labels[task]))
    return torch.stack(losses).mean()


PEERS: dict[str, dict[str, Peer]] = {
    "maml": {"learn2learn": learn2learn_maml, "higher": higher_maml, "TorchOpt": torchopt_maml},
    "protonet": {"learn2learn": learn2learn_protonet, "easyfsl": easyfsl_protonet},
}


def _import(name: str) -> Any:
    try:  # whatever a foreign package raises is the reason that is reported
        return importlib.import_module(name)
    except Exception as error:
        raise UnavailableError(f"{type(error).__name__}: {error}") from error


def _bare(root: str, package: str, module: str) -> Any:
    """A module below two packages whose own `__init__` is not run."""
    if root not in sys.modules:
        found = find_spec(root)
        if found is None or found.origin is None:
            raise UnavailableError("not installed")
        _stand_in(root, Path(found.origin).parent)
    _stand_in(package, Path(sys.modules[root].__path__[0]) / package.rpartition(".")[2])
    return _import(module)


def _stand_in(name: str, folder: Path) -> None:
    if name not in sys.modules:
        package = types.ModuleType(name)
        package.__path__ = [str(folder)]
        sys.modules[name] = package
