"""How does an encoder learn that is too large for one device?

Zhao et al. 2023, "PyTorch FSDP", https://arxiv.org/abs/2304.11277, in its second version: each of W processes holds 1/W
of the frozen weights; a layer is gathered to read texts, let go, and gathered again for its backward pass. What learns
is small and stays whole on every process, so gradients, clipping, optimiser and files are those of training unsharded.

The configuration is accelerate's, but torch shards: accelerate 1.15 ignores such a configuration on CPUs in silence,
and tests could not run what runs on GPUs.
"""

import os

import torch
from accelerate import Accelerator
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

from taskaware.core.errors import TrainingError

_DEFAULT_AND_EXPECTED = {
    "ACCELERATE_USE_PARALLELISM_CONFIG": ("false", "false"),
    "FSDP_VERSION": ("1", "2"),
    "FSDP_AUTO_WRAP_POLICY": ("no_wrap", "transformer_based_wrap"),
    "FSDP_RESHARD_AFTER_FORWARD": ("true", "true"),
    "FSDP_CPU_RAM_EFFICIENT_LOADING": ("false", "false"),  # transformers would load empty weights
    "FSDP_OFFLOAD_PARAMS": ("false", "false"),
    "FSDP_ACTIVATION_CHECKPOINTING": ("false", "false"),
    "FSDP_IGNORED_MODULES": ("", ""),
}


def sharding_requested(accelerator: Accelerator) -> bool:
    """Whether `accelerate launch` was given an FSDP configuration. Raises TrainingError for one that cannot be used."""
    if _setting("ACCELERATE_USE_DEEPSPEED", "false") == "true":
        raise TrainingError("DeepSpeed was configured, expected FSDP; shard with configs/accelerate/fsdp.yaml")
    if _setting("ACCELERATE_USE_FSDP", "false") != "true":
        return False
    for name, (default, expected) in _DEFAULT_AND_EXPECTED.items():
        if (seen := _setting(name, default)) != expected:
            raise TrainingError(f"FSDP: {name} is {seen!r}, expected {expected!r}; see configs/accelerate/fsdp.yaml")
    if accelerator.num_processes == 1:
        raise TrainingError("FSDP: 1 process, expected several to share the encoder; start more, or none with FSDP")
    return True


def shard(accelerator: Accelerator, encoder: nn.Module, *, bfloat16: bool) -> None:
    """Leaves each process 1/W of what is frozen in `encoder`, layer by layer on its device; what learns stays as it is.

    bfloat16 gathers layers in it: autocast would keep a copy of every layer until the backward pass.
    """
    given = os.environ.get("FSDP_TRANSFORMER_CLS_TO_WRAP", "")
    named = {name for module in encoder.modules() for name in getattr(module, "_no_split_modules", None) or ()}
    names = set(given.split(",")) if given else named
    layers = [module for module in encoder.modules() if type(module).__name__ in names]
    if not layers:
        raise TrainingError(
            f"FSDP: the encoder has no layers of class {sorted(names)}; set "
            "fsdp_config.fsdp_transformer_layer_cls_to_wrap to the class of its layers"
        )
    mesh = init_device_mesh(accelerator.device.type, (accelerator.num_processes,))
    policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16 if bfloat16 else None, cast_forward_inputs=False)
    learned = {each for each in encoder.parameters() if each.requires_grad}
    for module in (*reversed(layers), encoder):  # what lies inside comes first
        fully_shard(module, mesh=mesh, reshard_after_forward=True, mp_policy=policy, ignored_params=learned)


def _setting(name: str, default: str) -> str:
    return os.environ.get(name, default).lower()
