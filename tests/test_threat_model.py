"""docs/threat-model.md names tests that exist, or says that there are none; both languages have the same rows."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "docs" / "threat-model.md", ROOT / "docs" / "zh" / "threat-model.md"]
LIST = "## The tests of each row"


def _rows(text: str) -> list[str]:
    return re.findall(r"^\| ([A-Z][0-9]+) \|", text, re.MULTILINE)


def _listed() -> list[tuple[str, str, list[str]]]:
    """(row, file, tests) of each line of the list."""
    text = PAGES[0].read_text().partition(LIST)[2]
    lines = re.findall(r"^\| ([A-Z][0-9]+) \| (\S+) \| (.+) \|$", text, re.MULTILINE)
    assert len(lines) == len(_rows(text))
    return [(row, file.strip("`"), re.findall(r"`(test_\w+)`", tests)) for row, file, tests in lines]


def test_every_row_is_in_the_list_and_no_other() -> None:
    rows = _rows(PAGES[0].read_text().partition(LIST)[0])
    assert len(rows) == len(set(rows))
    assert list(dict.fromkeys(row for row, _, _ in _listed())) == rows


@pytest.mark.parametrize(("row", "file", "tests"), _listed(), ids=lambda value: value if isinstance(value, str) else "")
def test_a_named_test_exists(row: str, file: str, tests: list[str]) -> None:
    if file == "-":
        assert [one for one, _, _ in _listed()].count(row) == 1
        return
    tree = ast.parse((ROOT / file).read_text())
    there = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert tests
    assert not [name for name in tests if name not in there]


def test_the_chinese_page_has_the_same_rows() -> None:
    english, chinese = (_rows(page.read_text().partition(LIST)[0]) for page in PAGES)
    assert chinese == english


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md", ROOT / "README.zh.md", ROOT / "SECURITY.md"])
def test_what_a_page_links_to_is_there(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
    assert not [link for link in links if not (page.parent / link).exists()]


@pytest.mark.parametrize("name", ["README.md", "README.zh.md", "SECURITY.md"])
def test_it_is_found_from(name: str) -> None:
    assert "threat-model.md)" in (ROOT / name).read_text()
