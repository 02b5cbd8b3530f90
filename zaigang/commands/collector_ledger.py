"""`zaigang collector checkpoint` and `proof`: what the ledger shows to somebody who does not trust it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from collector.errors import NotFound
from collector.ledger.models import SignedCheckpoint

Opened = Callable[[Path | None, Path | None], AbstractContextManager[Any]]
ConfigOption = Annotated[Path | None, typer.Option("--config", help="Settings file (TOML).")]
DataOption = Annotated[Path | None, typer.Option("--data", help="Folder of the database and the keys.")]
OutOption = Annotated[Path | None, typer.Option(help="File to write; standard output otherwise.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def attach(app: typer.Typer, opened: Opened) -> None:
    """Add the commands; `opened` opens what a command works on."""

    @app.command()
    def checkpoint(
        out: OutOption = None, config: ConfigOption = None, data: DataOption = None, as_json: JsonOption = False
    ) -> None:
        """Print the newest checkpoint of the ledger, signing it first if entries have come since the last one."""
        with opened(config, data) as held:
            checkpoints = held.services.checkpoints
            checkpoints.sign()
            newest: SignedCheckpoint | None = checkpoints.newest()
            if newest is None:
                raise NotFound("the ledger is empty; the first checkpoint comes with the first entry")
            note = held.services.proofs.checkpoint()
            vkey = checkpoints.signer.public.text()
        if as_json:
            shown = {"size": newest.size, "root": newest.root.hex(), "signed_at": newest.signed_at, "log": vkey}
            note = json.dumps(shown | {"note": note.decode()}, ensure_ascii=False, indent=2).encode() + b"\n"
        _write(note, out)
        if not as_json:
            Console(stderr=True).print(f"log key (vkey): {vkey}", highlight=False, soft_wrap=True)

    @app.command()
    def proof(
        leaf_index: Annotated[int, typer.Argument(help="The entry's place, from 0.")],
        size: Annotated[
            int | None, typer.Option(help="Under the checkpoint of this size; the newest otherwise.")
        ] = None,
        out: OutOption = None,
        config: ConfigOption = None,
        data: DataOption = None,
    ) -> None:
        """Print the proof that an entry stands in the ledger, as one C2SP .tlog-proof file."""
        with opened(config, data) as held:
            if size is None:
                held.services.checkpoints.sign()
            text = held.services.proofs.entry(leaf_index, size).encode()
        _write(text, out)


def _write(data: bytes, out: Path | None) -> None:
    if out is None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    else:
        out.write_bytes(data)
