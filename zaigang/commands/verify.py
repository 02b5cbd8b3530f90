"""`zaigang verify`: check bundles and exported chains offline against keys that the reader trusts."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from evidence.chain import ChainCheck
from zaigang.bundle_check import is_bundle
from zaigang.chain_file import ChainFile, Finding, check_file
from zaigang.commands.verify_bundle import verify_bundles
from zaigang.plain import plain
from zaigang.receipt_check import CheckedReceipt, check_collector_receipt, check_punch_receipt
from zaigang.trust import Trust, TrustError, read_trust

HOLDS, WRONG, UNREADABLE = 0, 1, 2
RECEIPT_PREFIX = "zaigang-receipt-"
MAX_LINES_UNREADABLE = 3  # of a file that is no chain at all: enough to see what it is instead


def command(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE…", help="Evidence bundles, or chains with one envelope a line.")
    ],
    trust: Annotated[Path, typer.Option(metavar="TRUST.json", help="The keys that you trust (docs/protocol.md).")],
    punch_receipt: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="A worker's QR text: its event must stand in a chain.")
    ] = None,
    receipt: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE|TEXT", help="A collector's receipt: a chain must reach as far. Or a worker's QR text."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Check evidence bundles or exported chains offline: every signature, every link, every number, every proof.

    Exit code 0: everything holds. 1: something is wrong. 2: something could not be read.
    """
    texts = [*(punch_receipt or ()), *(text for text in receipt or () if text.startswith(RECEIPT_PREFIX))]
    paths = [Path(text) for text in receipt or () if not text.startswith(RECEIPT_PREFIX)]
    try:
        if any(path.is_file() and is_bundle(path) for path in files):
            raise typer.Exit(verify_bundles(files, trust, texts, paths, as_json=as_json))
        trusted = read_trust(trust)
        checked = _check_files(files, trusted)
        receipts = [check_punch_receipt(text, trusted, checked) for text in texts]
        receipts += [check_collector_receipt(path, trusted, checked) for path in paths]
    except (TrustError, OSError) as error:
        typer.echo(f"zaigang verify: {plain(str(error))}", err=True)
        raise typer.Exit(UNREADABLE) from error
    code = _exit_code(checked, receipts)
    if as_json:
        print(json.dumps(_as_json(checked, receipts, code), ensure_ascii=False, indent=2))
    else:
        _print(Console(), checked, receipts, code)
    raise typer.Exit(code)


def _check_files(paths: Sequence[Path], trust: Trust) -> list[ChainFile]:
    keys = trust.device_keys()
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeRemainingColumn())
    results = []
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        for path in paths:
            size = path.stat().st_size if path.is_file() else None
            task = progress.add_task(plain(path.name), total=size or None)
            results.append(check_file(path, ChainCheck(keys), _telling(progress, task)))
            progress.remove_task(task)
    return results


def _telling(progress: Progress, task: TaskID) -> Callable[[int], None]:
    return lambda read_bytes: progress.update(task, completed=read_bytes)


def _exit_code(files: Sequence[ChainFile], receipts: Sequence[CheckedReceipt]) -> int:
    if any(one.unreadable for one in files):
        return UNREADABLE
    return HOLDS if all(one.ok for one in files) and all(one.ok for one in receipts) else WRONG


def _print(console: Console, files: Sequence[ChainFile], receipts: Sequence[CheckedReceipt], code: int) -> None:
    table = Table(title="Chains", title_justify="left")
    for name in ("device", "chain", "events", "first, last", "kinds", "head"):
        table.add_column(name, overflow="fold", no_wrap=name == "first, last")
    for one in files:
        table.add_row(*_row(one))
    console.print(table)
    for one in files:
        _print_findings(console, one)
    unread = sum(one.check.report.unread_bodies for one in files)
    if unread:
        console.print(Text(f"{unread} event(s) stand, but this version cannot read what they say.", "yellow"))
    for each in receipts:
        words = f"{each.says or each.name}: holds" if each.finding is None else _words(each.finding)
        console.print(Text(f"receipt {plain(words)}", "green" if each.ok else "red"), soft_wrap=True)
    for line in _conclusion(files, receipts, code):
        console.print(Text(line, "bold green" if code == HOLDS else "bold red"), soft_wrap=True)
    if code == HOLDS and not receipts:
        console.print(Text("Whether events are missing after a chain's head, only a receipt can show."), soft_wrap=True)


def _row(one: ChainFile) -> tuple[Text, ...]:
    report = one.check.report
    kinds = "\n".join(f"{kind} {count}" for kind, count in sorted(report.kinds.items()))
    head = f"seq {report.head.seq}\n{report.head.hash[:12]}…" if report.head else "—"
    times = f"{_short(report.first_time)}\n{_short(report.last_time)}"
    cells = (
        report.device or "—",
        f"{report.chain[:8]}…" if report.chain else "—",
        str(report.events),
        times,
        kinds,
        head,
    )
    return tuple(Text(plain(cell, keep="\n")) for cell in cells)


def _short(time: str | None) -> str:
    return f"{time[:10]} {time[11:19]}Z" if time else "—"


def _print_findings(console: Console, one: ChainFile) -> None:
    if one.unreadable:
        console.print(Text(plain(f"{one.name}: {one.unreadable}"), "red"), soft_wrap=True)
    shown = one.findings[:MAX_LINES_UNREADABLE] if one.unreadable else one.findings
    for finding in shown:
        console.print(Text(plain(f"{one.name} {_words(finding)}"), "red"), soft_wrap=True)
    more = len(one.findings) + one.more_findings - len(shown)
    if more:
        console.print(Text(plain(f"{one.name}: {more} more problems"), "red"), soft_wrap=True)


def _words(finding: Finding) -> str:
    where = f"line {finding.line} " if finding.line is not None else ""
    seq = f"seq {finding.seq} " if finding.seq is not None else ""
    return f"{where}{seq}[{finding.code}] {finding.message}"


def _conclusion(files: Sequence[ChainFile], receipts: Sequence[CheckedReceipt], code: int) -> tuple[str, str]:
    events = sum(one.check.report.events for one in files)
    problems = sum(len(one.findings) + one.more_findings for one in files) + sum(not one.ok for one in receipts)
    if code == HOLDS:
        return (
            f"Everything holds: {events} events in {len(files)} chain(s), {len(receipts)} receipt(s).",
            f"全部成立：{len(files)} 条链，{events} 个事件，{len(receipts)} 张回执。",
        )
    if code == WRONG:
        return f"This does not hold: {problems} problem(s).", f"不成立：发现 {problems} 处问题。"
    unread = sum(one.unreadable is not None for one in files)
    return f"Not verified: {unread} file(s) could not be read.", f"未能核验：{unread} 个文件无法读取。"


def _as_json(files: Sequence[ChainFile], receipts: Sequence[CheckedReceipt], code: int) -> dict[str, Any]:
    return {
        "ok": code == HOLDS,
        "conclusion": list(_conclusion(files, receipts, code)),
        "files": [_file_as_json(one) for one in files],
        "receipts": [
            {"receipt": one.name, "says": one.says, "ok": one.ok, "problem": _finding_as_json(one.finding)}
            for one in receipts
        ],
    }


def _file_as_json(one: ChainFile) -> dict[str, Any]:
    report = one.check.report
    return {
        "file": one.name,
        "ok": one.ok,
        "unreadable": one.unreadable,
        "device": report.device,
        "chain": report.chain,
        "lines": one.lines,
        "events": report.events,
        "first_time": report.first_time,
        "last_time": report.last_time,
        "kinds": report.kinds,
        "unread_bodies": report.unread_bodies,
        "head": {"seq": report.head.seq, "hash": report.head.hash} if report.head else None,
        "problems": [_finding_as_json(finding) for finding in one.findings],
        "more_problems": one.more_findings,
    }


def _finding_as_json(finding: Finding | None) -> dict[str, Any] | None:
    if finding is None:
        return None
    return {"line": finding.line, "seq": finding.seq, "code": finding.code, "message": finding.message}
