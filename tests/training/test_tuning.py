"""Does tuning teach the encoder what its episodes ask, keep what validation chooses, and land in the run folder?"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file
from torch.nn import functional

from taskaware.core.config import build, override, read_yaml
from taskaware.core.errors import EncoderError, TrainingError
from taskaware.core.seeds import generator
from taskaware.core.vectors import unit
from taskaware.pipeline import TaskAware
from taskaware.training import RunConfig
from taskaware.training.config import TuningConfig
from taskaware.training.session import train_and_save
from taskaware.training.tuned import tuned_encoder
from taskaware.training.tuning import Tuning, draw_texts, words_and_examples_loss

TUNING = "tuning={steps: 12, way: 3, examples: 2, rank: 2, length: 16, learning_rate: 0.02, warmup: 1}"


@pytest.fixture
def config(run_file: Path, tiny_model: Path) -> RunConfig:
    """The tiny run, over a transformer that can be tuned."""
    encoder = f"encoder={{name: {tiny_model}, layers: [1], cache: false}}"
    return build(RunConfig, override(read_yaml(run_file), [encoder, TUNING]), str(run_file))


def test_the_loss_equals_a_loop_that_leaves_each_text_out_of_its_own_class_mean() -> None:
    torch.manual_seed(0)
    examples, labels, scale = unit(torch.randn(3, 4, 5)), unit(torch.randn(3, 5)), torch.tensor(7.0)
    losses = []
    for own in range(3):
        for index in range(4):
            means = torch.stack([examples[each].mean(0) for each in range(3)])
            means[own] = (examples[own].sum(0) - examples[own, index]) / 3
            text, target = examples[own, index], torch.tensor(own)
            for weight, classes in ((1.0, labels), (0.5, unit(means)), (1.0, unit(means + labels))):
                losses.append(weight * functional.cross_entropy(scale * classes @ text, target))
    expected = torch.stack(losses).sum() / 12 / 2.5
    torch.testing.assert_close(words_and_examples_loss(examples, labels, scale), expected)


def test_an_episode_of_texts_has_distinct_texts_of_the_classes_that_its_labels_describe(config: RunConfig) -> None:
    assert config.tuning is not None
    tuning = Tuning(config, config.tuning, Accelerator(), seed=0)
    for index in range(20):
        episode = draw_texts(tuning.sources, config.tuning, generator("test", index))
        assert len(set(episode.texts)) == len(episode.texts) == 2 * len(episode.labels) == 6
        assert len(set(episode.labels)) == 3
    again = [draw_texts(tuning.sources, config.tuning, generator("test", 3)) for _ in range(2)]
    assert again[0] == again[1]


def test_the_order_and_number_of_batches_in_which_texts_are_read_changes_no_vector(config: RunConfig) -> None:
    assert config.tuning is not None
    tuning = Tuning(config, config.tuning.model_copy(update={"bfloat16": "off"}), Accelerator(), seed=0)
    texts = ["a long text about cheese and rain", "snow", "the dog is here", "hammer saw", "it", "rain rain rain rain"]
    expected = torch.cat([tuning.encoder([text]) for text in texts])
    for batches in (1, 2, 4):
        torch.testing.assert_close(tuning._read(texts, batches), expected, atol=1e-5, rtol=0)


def test_a_meta_batch_counts_each_episode_alike_and_those_that_fill_it_up_not_at_all(config: RunConfig) -> None:
    assert config.tuning is not None
    tuning = Tuning(config, config.tuning.model_copy(update={"bfloat16": "off"}), Accelerator(), seed=0)
    count = config.tuning.meta_batch
    single = [tuning._loss(0, range(index, index + 1)) for index in range(count + 1)]
    torch.testing.assert_close(tuning._loss(0, range(count + 1)), torch.stack(single).sum())
    assert single[-1] == 0 and all(loss > 0 for loss in single[:-1])


def test_tuning_lowers_its_loss_and_validation_picks_the_best_strength(config: RunConfig) -> None:
    losses: list[float] = []
    found = tuned_encoder(config, resume=False, report=lambda step, steps, loss: losses.append(loss))
    assert len(losses) == 12 and np.mean(losses[-4:]) < np.mean(losses[:4])
    stored = json.loads((Path(config.output) / "tiny.encoder" / "tuning.json").read_text(encoding="utf-8"))
    best = max(stored["scores"].values())
    kept = found.adapter.rpartition("adapter-")[2].removesuffix(".safetensors") if found.adapter else "0.0"
    assert stored["scores"][{"1": "1.0"}.get(kept, kept)] == best
    assert set(stored["scores"]) == {"0.0", "0.5", "1.0"}


def test_a_strength_of_zero_keeps_the_frozen_encoder(config: RunConfig) -> None:
    assert config.tuning is not None
    frozen = config.model_copy(update={"tuning": config.tuning.model_copy(update={"strengths": (0.0,)})})
    assert tuned_encoder(frozen, resume=False, report=lambda *_: None) == config.encoder


def test_a_soup_is_the_mean_of_the_tunings_of_seeds_that_follow_each_other(config: RunConfig) -> None:
    def adapter(seed: int, soup: int) -> dict[str, torch.Tensor]:
        assert config.tuning is not None
        tuning = config.tuning.model_copy(update={"soup": soup, "strengths": (1.0,), "bfloat16": "off"})
        changed = config.model_copy(update={"seed": seed, "tuning": tuning})
        path = tuned_encoder(changed, resume=False, report=lambda step, steps, _: seen.append((step, steps))).adapter
        assert path is not None
        return load_file(path)

    seen: list[tuple[int, int]] = []
    mixed = adapter(3, 2)
    assert seen == [(step + 1, 24) for step in range(24)]
    first, second = adapter(3, 1), adapter(4, 1)
    for name in (each.removesuffix(".up") for each in first if each.endswith(".up")):
        found, one, two = (each[f"{name}.up"].float() @ each[f"{name}.down"].float() for each in (mixed, first, second))
        assert (one - two).abs().max() > 1e-3
        torch.testing.assert_close(found, (one + two) / 2, atol=1e-4, rtol=1e-2)


def test_resuming_takes_a_finished_tuning_as_it_is_and_another_configuration_tunes_anew(config: RunConfig) -> None:
    calls: list[int] = []

    def count(step: int, steps: int, loss: float) -> None:
        calls.append(step)

    first = tuned_encoder(config, resume=True, report=count)
    assert tuned_encoder(config, resume=True, report=count) == first and len(calls) == 12
    tuned_encoder(config.model_copy(update={"seed": 9}), resume=True, report=count)
    assert len(calls) == 24


def test_a_tuned_run_and_its_adapted_tasks_take_their_encoder_with_them(config: RunConfig, tmp_path: Path) -> None:
    assert config.tuning is not None
    always = config.model_copy(update={"tuning": config.tuning.model_copy(update={"strengths": (1.0,)})})
    folder = train_and_save(always, resume=False, report=lambda progress: None).folder
    moved = folder.rename(tmp_path / "moved")
    assert "cc0-1.0: things, moods" in (moved / "README.md").read_text(encoding="utf-8")
    for path in (Path(config.output) / "tiny.encoder").iterdir():
        path.unlink()
    model = TaskAware.from_pretrained(moved)
    assert "+" in model.encoder.fingerprint
    task = model.adapt(str(tmp_path / "held_out.md"), [("rain snow", "weather"), ("soup bread", "food")])
    task.save(tmp_path / "adapted")
    loaded = type(task).load((tmp_path / "adapted").rename(tmp_path / "elsewhere"))
    np.testing.assert_allclose(loaded.probabilities(["dog rain"]), task.probabilities(["dog rain"]), rtol=1e-4)


def test_what_cannot_be_tuned_is_refused(run_file: Path, config: RunConfig) -> None:
    hashing = build(RunConfig, override(read_yaml(run_file), [TUNING]), str(run_file))
    with pytest.raises(EncoderError, match="tuning"):
        tuned_encoder(hashing, resume=False, report=lambda *_: None)
    many = config.model_copy(update={"tuning": TuningConfig(examples=100)})
    with pytest.raises(TrainingError, match=r"tuning\.examples"):
        tuned_encoder(many, resume=False, report=lambda *_: None)
