"""Does every section of the speed benchmark run, on work too small to time?"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SMALL = {"tasks": 2, "ways": 3, "shots": 2, "queries": 2, "steps": 1, "width": 8}


@pytest.mark.slow
def test_every_section_of_the_speed_benchmark_runs_and_is_reported(run_file: Path, tmp_path: Path) -> None:
    settings = {
        **yaml.safe_load((ROOT / "configs/benchmarks/speed.yaml").read_text(encoding="utf-8")),
        "threads": 1,
        "rounds": 1,
        "growth": {"tasks": [2]},
        "growth_rounds": 1,
        "workloads": {
            "a": {**SMALL, "title": "MAML", "kind": "maml", "order": 2, "body": "stack"},
            "d": {**SMALL, "title": "ProtoNet", "kind": "protonet", "order": 1, "body": "stack", "outputs": 4},
        },
        "adapt": {"classes": 3, "shots": 2, "past": 2, "limit_ms": 50.0, "rounds": 1, "text_rounds": 1},
        "step": {"run": str(run_file), "learners": ["protonet"], "steps": 6, "processes": [1]},
    }
    (tmp_path / "speed.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    command = [sys.executable, str(ROOT / "scripts/benchmark_speed.py"), str(tmp_path / "speed.yaml")]
    command += ["--out", str(tmp_path / "out")]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "out/results.json").read_text(encoding="utf-8"))
    assert set(found["workloads"]) == {"a", "d"}
    assert all(work["times"]["taskaware"] for work in found["workloads"].values())
    assert found["growth"]["tasks"]["2"]["taskaware"] > 0
    assert all(stages["whole"] > 0 for stages in found["adapt"].values()) and found["adapt"]
    assert all(row["ratio"] > 0 for row in found["read"].values()) and found["read"]
    assert all(0 < row["share"] < 1 for row in found["step"].values()) and found["step"]
    assert found["scaling"]["1"] > 0
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"results.json", "table.md", "speed.png"}
