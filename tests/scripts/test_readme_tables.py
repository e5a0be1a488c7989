"""Does a table of the README change where there are results for it, and only there?"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
METHODS = ("taskaware", "mix", "mix.5", "proto", "label", "LR", "LR + texts")
PAGE = "before\n<!-- table setfit -->\nas it was\n<!-- end -->\n<!-- table {} -->\nold\n<!-- end -->\nafter\n"


def _written(folder: Path, table: str) -> str:
    page = folder / "README.md"
    page.write_text(PAGE.format(table), encoding="utf-8")
    subprocess.run([sys.executable, str(ROOT / "scripts/readme_tables.py"), str(page)], cwd=folder, check=True)
    return page.read_text(encoding="utf-8")


def test_a_table_without_results_or_whose_method_was_left_out_stays_as_it_is(tmp_path: Path) -> None:
    assert _written(tmp_path, "full") == PAGE.format("full")
    accuracy = {name: [0.5, 0.7] for name in METHODS}
    unit = {"dataset": "intents", "fold": None, "way": None, "shots": 1, "accuracy": accuracy}
    results = tmp_path / "runs/benchmarks/full_label_sets/results.json"
    results.parent.mkdir(parents=True)
    results.write_text(json.dumps({"units": [unit]}), encoding="utf-8")
    page = _written(tmp_path, "full")
    assert "as it was" in page
    assert "old" not in page
    assert "**60.0" in page
