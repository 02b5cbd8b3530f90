"""The two README files of a bundle: what it is, what was found, the six answers, how to check it."""

from __future__ import annotations

from collector.evidence_bundles.facts import Facts
from collector.evidence_bundles.questions import answers

_HOLE = {
    "before_the_first_statement": ("第一次声明之前", "before the first statement"),
    "after_the_last_statement": ("最后一次声明之后", "after the last statement"),
    "stopped_in_order": ("正常停机", "stopped in order"),
    "ended_without_a_word": ("断电或崩溃，未作声明", "ended without a word: power cut or crash"),
}
MAX_HOLES = 200  # of each kind, listed a terminal; the rest is counted


def readme_en(facts: Facts) -> str:
    """The English text."""
    lines = [
        "ZAIGANG EVIDENCE BUNDLE",
        "",
        "This README, the CSV and the PDF are not authoritative. Authoritative are only the signed bytes under chains/",
        "and checkpoints/, checked against keys that you have from elsewhere.",
        "",
        f"About:   {'worker' if facts.about_worker else 'site'} {facts.about}",
        f"Period:  {facts.since} to {facts.until} (UTC)",
        f"Made:    {facts.made_at}",
        f"Ledger:  {facts.origin}, {facts.tree_size} entries",
        "",
        "How to check it: docs/evidence-bundle.md of Zaigang; three ways that do not depend on each other:",
        "  zaigang verify FILE --trust TRUST.json",
        "  the page verify-bundle.html, opened from a disk without a network",
        "  verify-bundle.sh, which needs openssl, unzip and a POSIX shell",
        "",
    ]
    for one in answers(facts):
        lines += [one.question_en, one.en, ""]
    lines += ["COVERAGE AND GAPS", ""]
    for terminal in facts.terminals:
        lines.append(f"{terminal.device}, chain {terminal.chain}: {terminal.late} late event(s)")
        for hole in terminal.coverage.holes[:MAX_HOLES]:
            lines.append(f"  no statement from {hole.since} to {hole.until}: {_HOLE[hole.why][1]}")
        if len(terminal.coverage.holes) > MAX_HOLES:
            lines.append(f"  and {len(terminal.coverage.holes) - MAX_HOLES} more")
        lines += [f"  {one.en}" for one in terminal.given_up[:MAX_HOLES]]
        if len(terminal.given_up) > MAX_HOLES:
            lines.append(f"  and {len(terminal.given_up) - MAX_HOLES} more")
    if facts.problems:
        lines += ["", "PROBLEMS FOUND WHEN THIS WAS MADE", "", *facts.problems]
    lines += [
        "",
        "WHAT THIS PROVES, AND WHAT NOT",
        "Any change, deletion, reordering or insertion after a checkpoint can be detected by anyone who holds a later",
        "checkpoint, time-stamp or receipt. It does not prove that a camera or a clock told the truth, nor that an",
        "operator who owns terminals and collector did not hold back events that nobody has a receipt for.",
    ]
    return "\n".join(lines) + "\n"


def readme_zh(facts: Facts) -> str:
    """The Chinese text."""
    lines = [
        "在岗 电子证据包",
        "",
        "本说明、CSV 和 PDF 不具有权威性。权威的只有 chains/ 与 checkpoints/ 下的签名字节，",
        "须以您从别处取得的公钥核验。",
        "",
        f"范围：{'员工' if facts.about_worker else '工地'} {facts.about}",
        f"期间：{facts.since} 至 {facts.until}（UTC）",
        f"制作：{facts.made_at}",
        f"账本：{facts.origin}，{facts.tree_size} 条记录",
        "",
        "核验方法见在岗项目 docs/evidence-bundle.md；三种方法互不依赖：",
        "  zaigang verify 文件 --trust TRUST.json",
        "  verify-bundle.html 网页，直接从磁盘打开，无需联网",
        "  verify-bundle.sh，只需 openssl、unzip 和 POSIX shell",
        "",
    ]
    for one in answers(facts):
        lines += [one.question_zh, one.zh, ""]
    lines += ["值守声明与缺口", ""]
    for terminal in facts.terminals:
        lines.append(f"{terminal.device}，链 {terminal.chain}：迟到事件 {terminal.late} 个")
        for hole in terminal.coverage.holes[:MAX_HOLES]:
            lines.append(f"  {hole.since} 至 {hole.until} 无声明：{_HOLE[hole.why][0]}")
        if len(terminal.coverage.holes) > MAX_HOLES:
            lines.append(f"  另有 {len(terminal.coverage.holes) - MAX_HOLES} 段")
        lines += [f"  {one.zh}" for one in terminal.given_up[:MAX_HOLES]]
        if len(terminal.given_up) > MAX_HOLES:
            lines.append(f"  另有 {len(terminal.given_up) - MAX_HOLES} 段")
    if facts.problems:
        lines += ["", "制作时发现的问题", "", *facts.problems]
    lines += [
        "",
        "能证明什么，不能证明什么",
        "检查点之后的任何改动、删除、换序或插入，持有更晚的检查点、时间戳或回执的任何人都能发现。",
        "它不能证明摄像头或时钟说了真话，也不能证明同时掌握终端和考勤中心的一方没有扣下无人持有回执的事件。",
    ]
    return "\n".join(lines) + "\n"
