"""Which folder does the name of a run mean?"""

from pathlib import Path

_PUBLISHED = Path(__file__).resolve().parents[1] / "models"


def run_folder(name: str | Path) -> Path:
    """The folder at that path or, where there is none, the model of that name that came with the package.

    A name that neither has is returned as a path: reading it says what is missing.
    """
    path = Path(name).expanduser()
    return path if path.is_dir() or str(name) not in published() else _PUBLISHED / name


def published() -> list[str]:
    """Names of the models that came with the package."""
    return sorted(path.name for path in _PUBLISHED.glob("*") if (path / "config.json").is_file())
