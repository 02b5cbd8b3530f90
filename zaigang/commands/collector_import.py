"""`zaigang collector import`: envelopes from a USB stick into the ledger, receipts back onto it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer
from rich.console import Console
from rich.progress import Progress

from collector.ingest.deliveries import Delivered, Deliveries, read_lines

RECEIPTS_SUFFIX = ".receipts.jsonl"
_OUTCOMES = ("admitted", "known", "waiting", "contradicting", "refused")


def import_files(
    deliveries: Deliveries, files: list[Path], receipts: Path | None, handovers: bytes = b""
) -> list[dict[str, Any]]:
    """Take every file; return a row each. A file that cannot be read is a row with an `error`.

    `handovers`, one a line, go before the receipts: these may be signed by a key that the terminal does not know yet.
    """
    return [_import_one(deliveries, file, receipts, handovers) for file in files]


def _import_one(deliveries: Deliveries, file: Path, receipts: Path | None, handovers: bytes) -> dict[str, Any]:
    row: dict[str, Any] = {"file": str(file), "lines": 0, **dict.fromkeys(_OUTCOMES, 0), "refusals": {}}
    row |= {"receipts": None, "error": None}
    try:
        with file.open("rb") as opened, _progress() as bar:
            task = bar.add_task(file.name, total=file.stat().st_size or None)
            done = deliveries.take(_told(opened, bar, task), file.name)
    except OSError as error:
        return row | {"error": f"the file cannot be read: {error.strerror or error}"}
    row |= {"lines": done.lines, **{one: done.outcomes[one] for one in _OUTCOMES}, "refusals": dict(done.refusals)}
    if done.lines == 0:
        return row | {"error": "the file is empty: there is no event in it"}
    if not done.receipts:
        return row
    out = (receipts or file.parent) / f"{file.name.removesuffix('.jsonl')}{RECEIPTS_SUFFIX}"
    try:
        _write_receipts(out, done, handovers)
    except OSError as error:
        return row | {"error": f"the receipts cannot be written to {out}: {error.strerror or error}; use --receipts"}
    return row | {"receipts": str(out)}


def _write_receipts(out: Path, done: Delivered, handovers: bytes) -> None:
    part = out.with_name(f"{out.name}.part")
    lines = [*handovers.splitlines(), *(answer.payload for answer in done.receipts.values())]
    part.write_bytes(b"".join(line + b"\n" for line in lines))
    part.replace(out)


def _progress() -> Progress:
    return Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())


def _told(opened: BinaryIO, bar: Progress, task: Any) -> Iterator[bytes]:
    for line in read_lines(opened):
        bar.update(task, completed=opened.tell())
        yield line


FilesArgument = Annotated[list[Path], typer.Argument(help="What `zaigang kiosk export` wrote; one envelope a line.")]
ReceiptsOption = Annotated[
    Path | None, typer.Option("--receipts", help="Folder for the receipts; beside each file otherwise.")
]
