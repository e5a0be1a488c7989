"""How are named kinds (learners, conditioners, encoders) looked up?"""

import difflib
from collections.abc import Callable
from typing import Generic, TypeVar

from taskaware.core.errors import ConfigError

Item = TypeVar("Item")


class Registry(Generic[Item]):
    """A table from names to items; an unknown name is an error that suggests the nearest known one."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._items: dict[str, Item] = {}

    def register(self, name: str) -> Callable[[Item], Item]:
        """Decorator that enters an item under `name`. A name is taken once."""

        def enter(item: Item) -> Item:
            if name in self._items:
                raise ConfigError(f"{self.kind} {name!r} is registered twice")
            self._items[name] = item
            return item

        return enter

    def __getitem__(self, name: str) -> Item:
        if name not in self._items:
            nearest = difflib.get_close_matches(name, self._items, n=1)
            hint = f", did you mean {nearest[0]!r}?" if nearest else ""
            raise ConfigError(f"unknown {self.kind} {name!r}{hint} Known: {', '.join(self.names())}")
        return self._items[name]

    def names(self) -> list[str]:
        """All registered names, sorted."""
        return sorted(self._items)
