"""The tables of the README are those that the command knows, and it writes nothing else."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest
import typer

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("readme_tables", ROOT / "scripts" / "readme_tables.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "RESULTS", tmp_path)
    return module


def checked(tables: ModuleType, readme: Path) -> int:
    with pytest.raises(typer.Exit) as found:
        tables.main(readme, check=True)
    return found.value.exit_code


def test_every_table_of_the_readme_is_known_and_none_is_forgotten(tables: ModuleType) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert sorted(match[2] for match in tables._TABLE.finditer(text)) == sorted(tables.TABLES)


def test_only_tables_with_results_are_written(tables: ModuleType, tmp_path: Path) -> None:
    accuracy = {"taskaware": [0.5, 1.0], "mix": [0.0, 0.5], "LR": None}
    units = [{"dataset": "toys", "fold": fold, "way": 5, "shots": 1, "accuracy": accuracy} for fold in (1, 2)]
    (tmp_path / "intents").mkdir()
    (tmp_path / "intents" / "results.json").write_text(json.dumps({"units": units}))
    readme = tmp_path / "README.md"
    readme.write_text(
        "before\n<!-- table intents -->\nold\n<!-- end -->\nbetween\n<!-- table full -->\nkept\n<!-- end -->\n"
    )
    assert checked(tables, readme) == 1 and "old" in readme.read_text()
    tables.main(readme)
    after = readme.read_text()
    assert "old" not in after and "kept" in after and after.startswith("before\n") and "\nbetween\n" in after
    assert "| toys | 1 | **75.0 ± 45.9** | 25.0 ± 45.9 |  |" in after  # 4 episodes: Student's 3.182 * 28.87 / 2
    assert checked(tables, readme) == 1  # nothing differs, but the results of one table are missing
    readme.write_text(after.replace("<!-- table full -->\nkept\n<!-- end -->\n", ""))
    assert checked(tables, readme) == 0


def test_an_unknown_table_is_an_error(tables: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("<!-- table nope -->\n<!-- end -->\n")
    with pytest.raises(SystemExit, match="no table 'nope'; known: pairs"):
        tables.main(tmp_path / "README.md")


def test_setfit_is_compared_on_the_draws_that_it_was_run_on(tables: ModuleType, tmp_path: Path) -> None:
    accuracy = {"taskaware": [0.5, 0.7, 0.0], "LR": [0.4, 0.4, 1.0], "LR + texts": [0.3, 0.5, 1.0]}
    unit = {"dataset": "toys", "fold": None, "way": None, "accuracy": accuracy, "facts": {"setfit_steps": [9, 9]}}
    seconds = {"SetFit": {"text": 20.4}, "taskaware": {"text": 0.26}}
    run = {**unit, "shots": 3, "accuracy": {**accuracy, "SetFit": [0.2, 0.3]}, "seconds": seconds}
    (tmp_path / "full_label_sets").mkdir()
    (tmp_path / "full_label_sets" / "results.json").write_text(json.dumps({"units": [{**unit, "shots": 1}, run]}))
    _, *rows = tables.setfit_table()
    assert rows == [["toys", "3", "2", "25.0", "**60.0**", "40.0", "40.0", "9", "20", "0.3"]]
