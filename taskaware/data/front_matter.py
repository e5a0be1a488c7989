"""How is the YAML at the top of a Markdown card read?

Stricter and plainer than YAML 1.1: a key may appear once, keys are always text, and yes/no/on/off are words (a label
may be called `yes`, a language `no`).
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from taskaware.core.errors import CardError

_FENCE = re.compile(r"^---[ \t]*$", re.MULTILINE)
_BOOLEAN = "tag:yaml.org,2002:bool"
_STRING = "tag:yaml.org,2002:str"
_MERGE = "tag:yaml.org,2002:merge"


@dataclass(frozen=True)
class FrontMatter:
    """The YAML mapping at the top of a card and the Markdown below it."""

    values: dict[str, Any]
    body: str


class _CardLoader(yaml.SafeLoader):
    """SafeLoader that rejects duplicate keys (after stripping) and keeps keys as they are written."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key must be plain text", key.start_mark)
            if key.tag == _MERGE:
                continue
            key.tag, key.value = _STRING, str(key.value).strip()
            if key.value in seen:
                problem = f"{key.value!r} appears twice (first in line {seen[key.value]}); expected once, remove one"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen[key.value] = key.start_mark.line + 1
        return super().construct_mapping(node, deep)


_CardLoader.yaml_implicit_resolvers = {
    first: [entry for entry in entries if not (entry[0] == _BOOLEAN and first in "yYnNoO")]
    for first, entries in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_front_matter(path: Path) -> FrontMatter:
    """Splits a card into YAML and body. Raises CardError naming the file and the line."""
    text = _read(path)
    opening = _FENCE.match(text)
    if opening is None:
        raise CardError(f"{path}: line 1: expected '---' (YAML front matter), saw {text[:40].splitlines()[:1]}")
    closing = _FENCE.search(text, opening.end())
    if closing is None:
        raise CardError(f"{path}: the front matter opened in line 1 is never closed; expected a second line '---'")
    values = _load(path, "\n" + text[opening.end() + 1 : closing.start()])  # "\n": line numbers as in the file
    return FrontMatter(values, text[closing.end() :].strip())


def _read(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CardError(f"{path}: cannot be read: {error.strerror or error}") from error
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise CardError(f"{path}: byte {error.start} is not UTF-8; save the card as UTF-8") from error


def _load(path: Path, text: str) -> dict[str, Any]:
    try:
        values = yaml.load(text, Loader=_CardLoader)
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise CardError(f"{path}: {line}{error.problem or error}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise CardError(f"{path}: cannot be read as YAML: {error}") from error
    if not isinstance(values, dict):
        raise CardError(f"{path}: expected front matter of keys and values, saw {type(values).__name__}")
    return values
