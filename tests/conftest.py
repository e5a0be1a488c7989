"""Small tasks, encoders and models that all tests share: offline, on the CPU, in milliseconds."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from taskaware.core.values import TaskCard
from taskaware.encoders.hashing import HashingEncoder
from taskaware.episodes import EncodedTask, encode_task

WORDS = {
    "animal": ["dog", "cat", "horse", "bird", "sheep", "fish"],
    "weather": ["rain", "snow", "storm", "sun", "fog", "wind"],
    "food": ["bread", "soup", "apple", "cheese", "cake", "rice"],
    "tool": ["hammer", "saw", "drill", "nail", "screw", "ladder"],
}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKAWARE_CACHE", str(tmp_path_factory.getbasetemp() / "embeddings"))
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def encoder() -> HashingEncoder:
    return HashingEncoder(32, layers=(1,))


def toy_texts(seed: int = 0, rows: int = 12) -> tuple[list[str], list[str]]:
    rng = np.random.default_rng(seed)
    texts, labels = [], []
    for label, words in WORDS.items():
        for _ in range(rows):
            texts.append(" ".join(rng.choice(words, 3)) + f" {rng.integers(1000)}")
            labels.append(label)
    return texts, labels


def toy_card(name: str = "toy", **words: object) -> TaskCard:
    labels = {label: f"it is about {label}" for label in WORDS}
    values: dict[str, object] = {"description": "say what kind of thing it is", "background": ("things differ",)}
    return TaskCard(id=name, dataset=name, labels=labels, **{**values, **words})  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def toy(encoder: HashingEncoder) -> EncodedTask:
    card = toy_card(paraphrases=("which kind of thing is meant",))
    return encode_task(card, *toy_texts(), encoder)


RUN = """\
name: tiny
output: {output}
seed: 3
encoder: {{name: hashing, dimension: 32, layers: [1], cache: false}}
learner: {{name: protonet, body: {{hidden: 8}}, inner: {{steps: 2}}}}
retrieval: {{tasks: 3, classes: 2}}
data:
  - {{card: {folder}/things.md}}
  - {{card: {folder}/moods.md, adapter: identity}}
validation: [{{card: {folder}/held_out.md, split: null}}]
episodes: {{way: [2, 3], shots: [0, 1, 2], query: 2}}
training: {{steps: 6, meta_batch: 5, validate_every: 3, validation_episodes: 4, validation_shots: [1]}}
"""

CARD = """\
---
pretty_name: {name}
license: cc0-1.0
language: en
taskaware:
  source: {{path: {name}.jsonl}}
  {extra}
  description: "{description}"
  paraphrases: ["{description} in other words"]
  background: ["some background"]
  labels: {{{labels}}}
---
"""


def write_card(folder: Path, name: str, seed: int, description: str, split: bool = True) -> Path:
    texts, labels = toy_texts(seed)
    rows = [{"text": f"{name} {t}", "label": c, "part": "train"} for t, c in zip(texts, labels, strict=True)]
    (folder / f"{name}.jsonl").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    shown = ", ".join(f"{label}: {description} {label}" for label in WORDS)
    extra = "row_split: part" if split else "columns: {text: text}"
    path = folder / f"{name}.md"
    path.write_text(CARD.format(name=name, description=description, labels=shown, extra=extra), encoding="utf-8")
    return path


def make_run(folder: Path) -> Path:
    write_card(folder, "things", 1, "the thing")
    write_card(folder, "moods", 2, "the mood")
    write_card(folder, "held_out", 3, "another question", split=False)
    path = folder / "tiny.yaml"
    path.write_text(RUN.format(folder=folder, output=folder / "runs"), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def write_run() -> Callable[[Path], Path]:
    """Writes cards and a run's YAML that trains in seconds."""
    return make_run


@pytest.fixture
def run_file(tmp_path: Path) -> Path:
    """A run's YAML over cards in tmp_path that trains in seconds."""
    return make_run(tmp_path)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentence-transformers folder: BERT with 2 layers of width 16 and random weights, mean pooling."""
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    root = tmp_path_factory.mktemp("tiny")
    words = sorted({word for each in WORDS.values() for word in each} | {"it", "is", "about", "the", "thing", "mood"})
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    (root / "vocab.txt").write_text("\n".join([*special, *words]), encoding="utf-8")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(special) + len(words),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
    )
    BertModel(config).save_pretrained(root / "bert")
    BertTokenizerFast(str(root / "vocab.txt")).save_pretrained(root / "bert")
    SentenceTransformer(str(root / "bert"), device="cpu").save(str(root / "model"), create_model_card=False)
    return root / "model"
