"""What verifying a bundle came to, for people (a page on the screen, Chinese and English) and for programs (JSON)."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from evidence.bundle_gaps import CoverageFound, coverage_of
from evidence.bundle_given_up import given_up
from evidence.bundle_receipt import ReceiptFound
from evidence.bundle_report import ChainFound, Report
from evidence.keys import PublicKey
from evidence.statements import COLLECTOR
from zaigang.plain import plain

MAX_ROWS = 40  # punches and problems shown on a screen; JSON has all of them


def conclusion(report: Report, receipts: list[ReceiptFound]) -> tuple[str, str]:
    """The one sentence that matters, English and Chinese."""
    bad = len(report.problems) + report.more_problems + sum(not one.ok for one in receipts)
    if report.ok and all(one.ok for one in receipts):
        return (
            f"Everything holds: {report.events} events in {len(report.chains)} chain(s), "
            f"{len(report.punches)} attempts to punch, {len(receipts)} receipt(s).",
            f"全部成立：{len(report.chains)} 条链，{report.events} 个事件，{len(report.punches)} 次打卡，"
            f"{len(receipts)} 张回执。",
        )
    return f"This does not hold: {bad} problem(s).", f"不成立：发现 {bad} 处问题。"


def show(console: Console, name: str, report: Report, receipts: list[ReceiptFound]) -> None:
    """Print everything that a reader needs to know."""
    if report.manifest is not None:
        _show_head(console, name, report)
        _show_chains(console, report)
        _show_punches(console, report)
    for problem in report.problems[:MAX_ROWS]:
        console.print(Text(plain(str(problem)), "red"), soft_wrap=True)
    more = len(report.problems) + report.more_problems - MAX_ROWS
    if more > 0:
        console.print(Text(f"{more} more problems; --json has them", "red"))
    for note in report.notes:
        console.print(Text(plain(note), "yellow"), soft_wrap=True)
    for receipt in receipts:
        console.print(Text(plain(_receipt_words(receipt)), "green" if receipt.ok else "red"), soft_wrap=True)
    good = report.ok and all(one.ok for one in receipts)
    for sentence in conclusion(report, receipts):
        console.print(Text(sentence, "bold green" if good else "bold red"), soft_wrap=True)
    if good:
        console.print(
            Text(
                "That nothing was left out which the ledger never took, only receipts can show (--receipt TEXT).\n"
                "从未进入账本的事件，只有回执能够证明其被遗漏。"
            ),
            soft_wrap=True,
        )


def as_json(name: str, report: Report, receipts: list[ReceiptFound]) -> dict[str, Any]:
    """Everything that was found, for programs."""
    good = report.ok and all(one.ok for one in receipts)
    manifest = report.manifest
    return {
        "ok": good,
        "conclusion": list(conclusion(report, receipts)),
        "bundle": name,
        "origin": None if manifest is None else manifest.origin,
        "made_at": None if manifest is None else manifest.made_at,
        "scope": None if manifest is None else manifest.scope.model_dump(mode="json"),
        "tree_size": report.tree_size,
        "cosignatures": report.cosignatures,
        "timestamps": report.timestamps,
        "timestamps_not_run": report.timestamps_not_run,
        "events": report.events,
        "after_revocation": report.after_revocation,
        "chains": [_chain_json(one, report) for one in report.chains.values()],
        "punches": [asdict(one) for one in report.punches],
        "notes": report.notes,
        "receipts": [_receipt_json(one, report) for one in receipts],
        "problems": [asdict(one) for one in report.problems],
        "more_problems": report.more_problems,
    }


def _show_head(console: Console, name: str, report: Report) -> None:
    manifest = report.manifest
    assert manifest is not None
    scope = manifest.scope
    table = Table(title=plain(name), title_justify="left", show_header=False, box=None)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("about 范围", Text(plain(f"site {scope.site}" if scope.site else f"worker {scope.worker}")))
    table.add_row("period 期间", f"{scope.since} – {scope.until}")
    table.add_row("ledger 账本", Text(plain(f"{manifest.origin}, {report.tree_size} entries")))
    table.add_row("witnesses 见证", f"{report.cosignatures} cosignature(s)")
    table.add_row("time-stamps 时间戳", ", ".join(report.timestamps) or "none checked 无")
    console.print(table)


def _show_chains(console: Console, report: Report) -> None:
    table = Table(title="Chains 链", title_justify="left")
    for heading in (
        "device 终端",
        "key 指纹",
        "events 事件",
        "not shown 未示",
        "late 迟到",
        "observed 有人值守",
        "saw 见过账本",
    ):
        table.add_column(heading, overflow="fold")
    for one in report.chains.values():
        table.add_row(*(Text(plain(cell, keep="\n")) for cell in _chain_row(one, report)))
    console.print(table)
    for one in report.chains.values():
        runs = given_up(one.lines, report.statements)
        for run in runs[:MAX_ROWS]:
            words = f"{one.entry.device}: {run.zh}\n{one.entry.device}: {run.en}"
            console.print(Text(plain(words, keep="\n"), "yellow"), soft_wrap=True)
        if len(runs) > MAX_ROWS:
            console.print(Text(f"{len(runs) - MAX_ROWS} more; --json has them", "yellow"))


def _chain_row(one: ChainFound, report: Report) -> tuple[str, ...]:
    covered = _coverage(one, report)
    hidden = {"outside": one.outside, "withheld": one.withheld, "erased": one.erased, "missing": one.missing}
    percent = 100 * covered.observed_s // max(1, covered.period_s)
    return (
        f"{one.entry.device}\n{one.entry.chain[:8]}…",
        "—"
        if one.key is None
        else f"{PublicKey.parse(one.key).fingerprint}\n{'pinned' if one.pinned else 'not pinned'}",
        str(one.events),
        "\n".join(f"{what} {count}" for what, count in hidden.items() if count) or "—",
        str(one.late),
        "—" if one.entry.device == COLLECTOR else f"{percent} %, {len(covered.holes)} hole(s){_saw(one)}",
    )


def _show_punches(console: Console, report: Report) -> None:
    table = Table(title="Punches 打卡", title_justify="left")
    for heading in (
        "time UTC",
        "worker 工号",
        "",
        "method 方式",
        "verdict 结论",
        "device 终端",
        "entry 账本",
        "after 签于其后",
    ):
        table.add_column(heading, overflow="fold")
    for one in report.punches[:MAX_ROWS]:
        verdict = one.verdict if one.verdict == one.signed_verdict else f"{one.verdict} (signed {one.signed_verdict})"
        late = f"\nlate: {one.late}" if one.late else ""
        cells = (
            one.time[:19].replace("T", " "),
            one.worker or "—",
            one.log_type or "—",
            one.method,
            verdict + late,
            f"{one.device} seq {one.seq}",
            str(one.leaf_index) + ("" if one.not_before is None else f"\nafter 晚于 {one.not_before}"),
        )
        table.add_row(*(Text(plain(cell, keep="\n")) for cell in cells))
    console.print(table)
    counts = Counter(one.verdict for one in report.punches)
    console.print(
        f"{len(report.punches)} attempts: "
        + ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items()))
    )


def _saw(one: ChainFound) -> str:
    """Up to where the terminal saw the ledger: what it signed afterwards was signed after that."""
    return f"\nsaw 见过 {one.seen[-1][1]} entries at seq {one.seen[-1][0]}" if one.seen else ""


def _coverage(one: ChainFound, report: Report) -> CoverageFound:
    assert report.manifest is not None
    return coverage_of(one.coverage, report.manifest.scope.since, report.manifest.scope.until)


def _chain_json(one: ChainFound, report: Report) -> dict[str, Any]:
    return {
        **one.entry.model_dump(mode="json"),
        "key": one.key,
        "pinned": one.pinned,
        "events": one.events,
        "outside": one.outside,
        "withheld": one.withheld,
        "erased": one.erased,
        "missing": one.missing,
        "given_up": [asdict(run) for run in given_up(one.lines, report.statements)],
        "late": one.late,
        "unread_bodies": one.unread_bodies,
        "unsigned_checkpoints": one.unsigned_checkpoints,
        "seen": [{"seq": seq, "size": size} for seq, size in one.seen],
        "coverage": asdict(_coverage(one, report)),
    }


def _receipt_words(found: ReceiptFound) -> str:
    if found.error is not None:
        return f"receipt: [{found.error.code}] {found.error}"
    assert found.receipt is not None and found.shown is not None
    said = found.receipt
    return f"receipt: {said.device} seq {said.seq} of {said.time} stands as ledger entry {found.shown.leaf_index}"


def _receipt_json(found: ReceiptFound, report: Report) -> dict[str, Any]:
    error = found.error
    shown = found.shown
    return {
        "receipt": found.text,
        "ok": found.ok,
        "leaf_index": None if shown is None else shown.leaf_index,
        "salt": None if shown is None else shown.salt.hex(),
        "proof": [] if shown is None else [one.hex() for one in shown.proof],
        "problem": None if error is None else {"code": error.code, "message": str(error)},
    }
