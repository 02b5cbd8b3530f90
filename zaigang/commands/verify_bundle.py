"""The part of `zaigang verify` that checks evidence bundles."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from evidence.bundle_receipt import check_collector_receipt
from evidence.envelope import MAX_ENVELOPE_BYTES
from evidence.errors import EvidenceError
from evidence.trust import BundleTrust
from zaigang.bundle_check import CheckedBundle, check_bundle, read_bundle_trust
from zaigang.bundle_view import as_json as bundle_json
from zaigang.bundle_view import show
from zaigang.plain import plain
from zaigang.timestamp_check import token_check

HOLDS, WRONG = 0, 1


def verify_bundles(
    files: Sequence[Path], trust: Path, texts: list[str], receipts: Sequence[Path], *, as_json: bool
) -> int:
    """Check bundles and print what they come to; return the exit code. Raises TrustError and OSError.

    `texts` are workers' QR codes, `receipts` files with a collector's receipt. Each must hold in every bundle.
    """
    trusted = read_bundle_trust(trust)
    checked = [_check(path, trusted, texts) for path in files]
    collected = [_collector_receipt(path, trusted, one) for one in checked for path in receipts]
    good = all(one.ok for one in checked) and all(problem is None for _, problem in collected)
    if as_json:
        results = [bundle_json(one.name, one.report, one.receipts) for one in checked]
        words = [{"receipt": name, "ok": problem is None, "problem": problem} for name, problem in collected]
        print(json.dumps({"ok": good, "bundles": results, "receipts": words}, ensure_ascii=False, indent=2))
        return HOLDS if good else WRONG
    console = Console()
    for one in checked:
        show(console, one.name, one.report, one.receipts)
    for name, problem in collected:
        text = (
            f"receipt {name}: holds" if problem is None else f"receipt {name}: [{problem['code']}] {problem['message']}"
        )
        console.print(Text(plain(text), "green" if problem is None else "red"), soft_wrap=True)
    return HOLDS if good else WRONG


def _check(path: Path, trust: BundleTrust, texts: list[str]) -> CheckedBundle:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(plain(path.name), total=None)

        def tell(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        return check_bundle(path, trust, texts, token_check(), tell)


def _collector_receipt(path: Path, trust: BundleTrust, bundle: CheckedBundle) -> tuple[str, dict[str, Any] | None]:
    with path.open("rb") as file:
        data = file.read(MAX_ENVELOPE_BYTES + 2).removesuffix(b"\n")
    try:
        check_collector_receipt(data, trust, bundle.report)
    except EvidenceError as error:
        return str(path), {"code": error.code, "message": str(error)}
    return str(path), None
