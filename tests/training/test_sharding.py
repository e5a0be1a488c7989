"""Does an encoder that is spread over processes learn what a whole one does, and is no configuration ignored?"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file

from taskaware.core.config import build, override, read_yaml
from taskaware.core.errors import TrainingError
from taskaware.training import RunConfig
from taskaware.training.sharding import shard, sharding_requested
from taskaware.training.tuned import tuned_encoder

FSDP = Path(__file__).parents[2] / "configs" / "accelerate" / "fsdp.yaml"
TUNING = "tuning={steps: 6, meta_batch: 3, way: 3, examples: 2, rank: 2, learning_rate: 0.02, warmup: 1, bfloat16: off}"

LAUNCHED = """\
from accelerate import PartialState
from torch.distributed.tensor import DTensor
from taskaware.cli.main import main
from taskaware.training.tuning import Tuning

learn = Tuning.step


def counted(self, step):
    if step:
        return learn(self, step)
    frozen = [each for each in self.encoder.parameters() if not each.requires_grad]
    held = sum(each.to_local().numel() if isinstance(each, DTensor) else each.numel() for each in frozen)
    print(f"share {held / sum(each.numel() for each in frozen):.3f}", flush=True)
    return learn(self, step)


Tuning.step = counted
try:
    main()
finally:
    PartialState().destroy_process_group()
"""


def tuned_adapter(config: RunConfig) -> dict[str, torch.Tensor]:
    return load_file(Path(config.output) / f"{config.name}.encoder" / "adapter-1.safetensors")


def test_two_processes_that_share_an_encoder_tune_it_as_one_does(run_file: Path, tiny_model: Path) -> None:
    """The meta-batch of 3 leaves one process without a task, and with layers to gather."""
    assignments = [f"encoder={{name: {tiny_model}, layers: [1], cache: false}}", TUNING]
    whole, shared = (
        build(RunConfig, override(read_yaml(run_file), [*assignments, f"name={name}"]), "")
        for name in ("whole", "shared")
    )
    tuned_encoder(whole, resume=False, report=lambda *_: None)
    script = run_file.parent / "launched.py"
    script.write_text(LAUNCHED, encoding="utf-8")
    command = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(FSDP)]
    command += ["--num_processes", "2", "--main_process_port", "0", str(script), "train", str(run_file)]
    command += [part for each in [*assignments, "name=shared"] for part in ("--set", each)]
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=200, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    shares = [float(each) for each in re.findall(r"share (\d\.\d{3})", done.stdout)]
    assert len(shares) == 2 and sum(shares) == pytest.approx(1.0, abs=2e-3) and max(shares) < 0.52
    expected, found = tuned_adapter(whole), tuned_adapter(shared)
    assert any(value.abs().max() > 0.01 for name, value in expected.items() if name.endswith("up"))
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=2e-5, rtol=1e-3, msg=name)  # a step of float16


def as_one_of_two(patch: pytest.MonkeyPatch, **changed: str) -> Accelerator:
    """A process that was launched with fsdp.yaml, but for what is changed."""
    accelerator = Accelerator()
    settings = {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2", "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP"}
    for name, value in {**settings, **changed}.items():
        patch.setenv(name, value)
    patch.setattr(Accelerator, "num_processes", property(lambda self: 2))
    return accelerator


def test_sharding_happens_only_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not sharding_requested(Accelerator())
    assert sharding_requested(as_one_of_two(monkeypatch))


@pytest.mark.parametrize(
    "setting",
    [
        "FSDP_VERSION=1",
        "FSDP_AUTO_WRAP_POLICY=SIZE_BASED_WRAP",
        "FSDP_RESHARD_AFTER_FORWARD=false",
        "FSDP_CPU_RAM_EFFICIENT_LOADING=true",
        "FSDP_OFFLOAD_PARAMS=true",
        "FSDP_ACTIVATION_CHECKPOINTING=true",
        "ACCELERATE_USE_PARALLELISM_CONFIG=true",
    ],
)
def test_a_configuration_that_cannot_be_used_is_refused(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, _, value = setting.partition("=")
    accelerator = as_one_of_two(monkeypatch, **{name: value})
    with pytest.raises(TrainingError, match=f"{name} is '{value.lower()}', expected"):
        sharding_requested(accelerator)


def test_deepspeed_and_a_single_process_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    accelerator = as_one_of_two(monkeypatch)
    monkeypatch.setattr(Accelerator, "num_processes", property(lambda self: 1))
    with pytest.raises(TrainingError, match="1 process"):
        sharding_requested(accelerator)
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    with pytest.raises(TrainingError, match="DeepSpeed"):
        sharding_requested(accelerator)


def test_nothing_to_shard_is_an_error(run_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accelerator = as_one_of_two(monkeypatch, FSDP_TRANSFORMER_CLS_TO_WRAP="NoSuchLayer")
    with pytest.raises(TrainingError, match=r"NoSuchLayer.*fsdp_transformer_layer_cls_to_wrap"):
        shard(accelerator, torch.nn.Linear(2, 2), bfloat16=False)
    with pytest.raises(TrainingError, match="`tuning` is not set"):
        tuned_encoder(build(RunConfig, read_yaml(run_file), ""), resume=False, report=lambda *_: None)
