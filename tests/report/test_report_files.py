"""Laws of reports: every measurement has a row, the page stands alone, the words follow the numbers."""

import csv
import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from taskaware.evaluation.results import SOURCES, AblationResult, Measurement, only
from taskaware.evaluation.shapley import coalitions
from taskaware.report import ReportFiles, write_report
from taskaware.report.findings import find, summary

EPISODES = 30
FACTORS = (
    "memory: off",
    "label texts: shuffled",
    "a | <b>$bold$</b>",
    "description: wording 1",
    "description: wording 2",
)
CHOICES = tuple(only(*coalition) for coalition in coalitions(SOURCES) if 0 < len(coalition) < len(SOURCES))
ATTRIBUTES = ("src", "href", "srcset", "data", "action", "poster", "background")


def ablation(arms: tuple[str, ...], shots: tuple[int, ...] = (0, 1)) -> AblationResult:
    """Label texts are worth 20 points, everything else nothing."""
    measurements = []
    for number in shots:
        base = np.random.default_rng(number).binomial(20, 0.6, EPISODES) / 40
        for arm in arms:
            reads = arm not in ("none", "label texts: shuffled") and (not arm.startswith("only:") or "label" in arm)
            measurements.append(Measurement(arm, number, tuple((base + 0.2 * reads).tolist())))
    return AblationResult(
        name="words & <numbers>",
        dataset="mail",
        way=5,
        episodes=EPISODES,
        seed=7,
        query=4,
        created="2026-01-01",
        command="taskaware ablate runs/a b.yaml",
        measurements=tuple(measurements),
        notes={"memory: off": "no past tasks", "Encoder": "tiny"},
    )


FULL = ablation(("true", "none", *FACTORS, *CHOICES))


class Page(HTMLParser):
    """Collects what a browser would fetch, run or show in place of a picture."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.alternatives: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ATTRIBUTES]
        self.alternatives += [value or "" for name, value in attrs if name == "alt"]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> ReportFiles:
    return write_report(FULL, tmp_path_factory.mktemp("report") / "new")


def test_all_files_exist_and_figures_are_pictures(files: ReportFiles) -> None:
    assert list(files.figures) == ["contribution", "shots", "forest", "wording"]
    for path in files.figures.values():
        assert path.read_bytes().startswith(b"\x89PNG")
    for path in (files.page, files.table, files.csv, files.json):
        assert path.stat().st_size > 500


def test_tables_have_one_row_per_arm_and_number_of_shots(files: ReportFiles) -> None:
    with files.csv.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == len(FULL.measurements) == len(FULL.arms) * len(FULL.shots)
    for row, item in zip(rows, FULL.measurements, strict=True):
        assert (row["arm"], int(row["shots"])) == (item.arm, item.shots)
        assert float(row["accuracy"]) == pytest.approx(np.mean(item.accuracy))
        assert (row["p_holm"] == "") == (item.arm == "true")
    lines = files.table.read_text().splitlines()
    assert len(lines) == 2 + len(rows)
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {7}


def test_json_holds_the_measurements_and_no_infinity(files: ReportFiles) -> None:
    values = json.loads(files.json.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert [tuple(item["accuracy"]) for item in values["result"]["measurements"]] == [
        item.accuracy for item in FULL.measurements
    ]
    assert len(values["contrasts"]) == len(FULL.measurements) - len(FULL.shots)
    assert values["attribution"]["1"]["label texts"]["mean"] == pytest.approx(0.2)


def test_the_page_needs_nothing_from_outside(files: ReportFiles) -> None:
    text = files.page.read_text()
    page = Page(text)
    assert all(address.startswith("data:image/png;base64,") for address in page.addresses)
    assert not {"script", "link", "iframe", "object", "embed"} & set(page.tags)
    assert not re.search(r"https?://|url\(|@import", text)
    assert "default-src 'none'" in text and "prefers-color-scheme: dark" in text


def test_every_picture_has_words_and_every_name_is_escaped(files: ReportFiles) -> None:
    text = files.page.read_text()
    page = Page(text)
    assert page.tags.count("img") == 4 and all(len(words) > 40 for words in page.alternatives)
    assert "<b>" not in text and "words &amp; &lt;numbers&gt;" in text
    for fact in ("taskaware ablate runs/a b.yaml", "<dt>Seed</dt><dd>7</dd>", "30 per arm", "no past tasks", "tiny"):
        assert fact in text


def test_the_summary_says_what_helped_and_what_did_not(files: ReportFiles) -> None:
    words = summary(find(FULL))
    assert words in html.unescape(files.page.read_text())
    assert "What helped, in points of accuracy: label texts (+20.0 with no example and +20.0 with 1)." in words
    unclear = words[words.index("includes 0") :]
    assert all(source in unclear for source in ("description (0 and 1", "background (0 and 1", "memory (0 and 1"))
    assert "cost accuracy" not in words


def test_without_combinations_the_summary_speaks_of_changes_instead() -> None:
    words = summary(find(ablation(("true", "none", *FACTORS))))
    assert "made the model worse: \N{LEFT DOUBLE QUOTATION MARK}label texts: shuffled" in words
    assert "What helped" not in words


def test_the_least_ablation_has_a_report_and_old_figures_go(tmp_path: Path) -> None:
    write_report(FULL, tmp_path)
    files = write_report(ablation(("true",), shots=(5,)), tmp_path)
    assert list(files.figures) == ["shots"]
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["shots.png"]


def test_the_same_result_gives_the_same_files(files: ReportFiles, tmp_path: Path) -> None:
    again = write_report(FULL, tmp_path)
    assert again.page.read_bytes() == files.page.read_bytes()
    assert again.json.read_bytes() == files.json.read_bytes()
