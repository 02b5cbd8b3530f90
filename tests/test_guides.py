"""The Chinese guides say the same as the English ones where it matters most: commands, and where links lead."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
GUIDES = sorted(one.name for one in (DOCS / "zh").glob("*.md"))
BLOCK = re.compile(r"^```(?:sh|bash|toml)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s#]+)(?:#[^)]*)?\)")
SAME_COMMANDS = ("ledger.md", "verify-by-hand.md", "identity.md", "evidence-bundle.md")


def commands(guide: Path) -> list[str]:
    """Return the blocks to type, without comments and without what they print for people."""
    blocks = BLOCK.findall(guide.read_text(encoding="utf-8"))
    plain = [re.sub(r"echo \"[^\"]*\"", 'echo ""', re.sub(r"\s*(?<!\S)# .*", "", block)) for block in blocks]
    return [one.strip() for one in plain]


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("name", SAME_COMMANDS)
def test_whoever_types_what_the_chinese_guide_says_types_the_same(name: str) -> None:
    chinese = commands(DOCS / "zh" / name)
    for block in commands(DOCS / name):
        assert block in chinese


@pytest.mark.parametrize("name", GUIDES)
def test_each_guide_leads_to_the_other_language(name: str) -> None:
    assert f"[English](../{name})" in (DOCS / "zh" / name).read_text(encoding="utf-8")
    assert f"[中文](zh/{name})" in (DOCS / name).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "page",
    [ROOT / "README.md", ROOT / "README.zh.md", *DOCS.glob("*.md"), *(DOCS / "zh").glob("*.md")],
    ids=lambda one: str(one.relative_to(ROOT)),
)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = [one for one in LINK.findall(text) if not one.startswith(("http://", "https://", "mailto:"))]
    assert [one for one in targets if not (page.parent / one).exists()] == []
