"""How are configurations declared, read and overridden?

A section is a frozen pydantic model beside the class it configures. YAML holds values only. An unknown key is an
error that names the nearest known one.
"""

import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from taskaware.core.errors import ConfigError


class Config(BaseModel):
    """A frozen, strict section of configuration: unknown keys and wrong types are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def _word(value: Any) -> Any:
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


AutoOnOff = Annotated[Literal["auto", "on", "off"], BeforeValidator(_word)]  # YAML reads a bare on or off as a bool

ConfigType = TypeVar("ConfigType", bound=BaseModel)


class _Loader(yaml.SafeLoader):
    """Reads 1e-3 as a number, as YAML 1.2 does; YAML 1.1 wants 1.0e-3 and takes all else for text."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file. Raises ConfigError when it is missing, unreadable or no mapping."""
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read as YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected a mapping of keys to values, saw {type(values).__name__}")
    return values


def override(values: dict[str, Any], assignments: Sequence[str]) -> dict[str, Any]:
    """Applies `section.key=value` assignments (values are YAML) to a copy of nested `values`."""
    result: dict[str, Any] = _deep_copy(values)
    for assignment in assignments:
        name, separator, text = assignment.partition("=")
        if not separator:
            raise ConfigError(f"--set {assignment!r}: expected section.key=value")
        *parents, leaf = name.strip().split(".")
        section = result
        for parent in parents:
            section = section.setdefault(parent, {})
            if not isinstance(section, dict):
                raise ConfigError(f"--set {assignment!r}: {parent!r} is a value, not a section")
        try:
            section[leaf] = yaml.load(text, _Loader)
        except yaml.YAMLError as error:
            raise ConfigError(f"--set {assignment!r}: {text!r} is no YAML value") from error
    return result


def build(kind: type[ConfigType], values: dict[str, Any], origin: str) -> ConfigType:
    """Validates `values` into `kind`; every problem is listed with its key, the value seen and the value expected."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        lines = [_explain(kind, problem) for problem in error.errors()]
        raise ConfigError(f"{origin}: " + "; ".join(lines)) from None


def _explain(kind: type[BaseModel], problem: Any) -> str:
    location = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        nearest = difflib.get_close_matches(str(problem["loc"][-1]), _keys(kind), n=1)
        hint = f", did you mean {nearest[0]!r}?" if nearest else ""
        return f"unknown key {location!r}{hint}"
    return f"{location}: {problem['msg']}, saw {problem['input']!r}"


def _keys(kind: type[BaseModel]) -> list[str]:
    keys: list[str] = []
    for name, field in kind.model_fields.items():
        keys.append(name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            keys.extend(_keys(field.annotation))
    return keys


def _deep_copy(values: Any) -> Any:
    return {key: _deep_copy(value) for key, value in values.items()} if isinstance(values, dict) else values
