"""`zaigang kiosk clip`: the clips of spot checks that lie on this terminal: list, export, erase."""

from __future__ import annotations

import base64
import getpass
import json
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from zaigang.commands.kiosk_asked import Config, JsonOption, ask_terminal

app = typer.Typer(help="Clips of spot checks kept on this terminal.", no_args_is_help=True)
Call = Annotated[str, typer.Argument(help="Id of the spot check, as `list` shows it.", metavar="ID")]
Reason = Annotated[str, typer.Option(help="Why; it is signed into the terminal's chain.")]
By = Annotated[str, typer.Option(help="Who; your user name where not given. It is signed, too.")]


@app.command("list")
def list_(
    config: Config = None,
    as_json: JsonOption = False,
) -> None:
    """Show which clips are kept; no picture is opened."""
    held = ask_terminal(config, {"do": "clips"})["clips"]
    if as_json:
        typer.echo(json.dumps(held, ensure_ascii=False))
        return
    table = Table("id", "worker", "made", "frames", "seconds", "commitment", highlight=False)
    for one in held:
        seconds = f"{one['duration_ms'] / 1000:.1f}"
        table.add_row(one["command"], one["worker"], one["made"], str(one["frames"]), seconds, one["commitment"][:16])
    Console().print(table)


@app.command()
def export(
    command: Call,
    out: Annotated[Path, typer.Argument(help="The file to write (Motion JPEG); the proof goes beside it, .json.")],
    reason: Reason,
    by: By = "",
    config: Config = None,
) -> None:
    """Write a clip in clear, and what checks it: SHA-256 of salt and file is the commitment in the signed answer."""
    proof_file = out.with_name(out.name + ".json")
    if out.exists() or proof_file.exists():
        raise typer.BadParameter(f"{out} or its .json is there already; nothing is overwritten")
    if not out.parent.is_dir():
        raise typer.BadParameter(f"{out.parent} is no folder")  # before the release is signed
    done = ask_terminal(
        config, {"do": "release_clip", "command": command, "by": by or getpass.getuser(), "reason": reason}
    )
    _write(out, base64.b64decode(done.pop("video")))
    done.pop("running", None)
    _write(proof_file, (json.dumps(done, ensure_ascii=False, indent=1) + "\n").encode())
    Console(stderr=True).print(f"{out} and {proof_file.name} are written; signed as seq {done['seq']}", highlight=False)


@app.command()
def erase(command: Call, reason: Reason, by: By = "", config: Config = None) -> None:
    """Remove one clip before its time is over."""
    done = ask_terminal(
        config, {"do": "erase_clip", "command": command, "by": by or getpass.getuser(), "reason": reason}
    )
    Console(stderr=True).print(f"the clip is gone; signed as seq {done['seq']}", highlight=False)


def _write(path: Path, content: bytes) -> None:
    """For its owner's eyes only, and never over another file."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(content)
