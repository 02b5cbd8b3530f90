"""`zaigang kiosk`: run a terminal, show how it is and its key; the other commands hang in here from their own files."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console

from zaigang.commands import kiosk_clip, kiosk_joining, kiosk_peers, kiosk_selftest, kiosk_stick, kiosk_workers
from zaigang.commands.kiosk_asked import Config, JsonOption, ask_terminal

END_WITHIN_S = 30.0  # the parts stop within 10 s where nothing hangs

app = typer.Typer(help="The punch terminal.", no_args_is_help=True)
app.add_typer(kiosk_clip.app, name="clip")
app.add_typer(kiosk_peers.app, name="peers")
kiosk_workers.add_to(app)
kiosk_stick.add_to(app)
app.command()(kiosk_joining.join)
app.command()(kiosk_selftest.selftest)


@app.command()
def run(config: Config = None) -> None:
    """Run the terminal until SIGTERM or Ctrl-C."""
    import structlog

    from kiosk.app import Kiosk
    from kiosk.log import configure
    from kiosk.settings import KioskSettings

    configure()
    over = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        over.set()

    failed = False
    try:
        with Kiosk(KioskSettings.load(config)) as kiosk:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, end)
            while not failed and not over.wait(1.0):
                failed = kiosk.failed.is_set()
            if failed:
                _end_whatever_hangs()
    except Exception:
        if not failed:
            raise
        structlog.get_logger(__name__).exception("terminal_not_stopped")
    if failed:
        _end_now()


def _end_whatever_hangs() -> None:
    """What hangs may keep the parts from being stopped: then they are not."""
    timer = threading.Timer(END_WITHIN_S, _end_now)
    timer.daemon = True
    timer.start()


def _end_now() -> None:
    """End with an error and without Python's own clearing up, which waits for threads inside a library's call."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


@app.command()
def key(
    config: Config = None,
    as_json: JsonOption = False,
) -> None:
    """Show this terminal's public key, made now if there is none; register it with `zaigang collector device add`."""
    from kiosk.settings import KioskSettings
    from kiosk.terminal_key import TerminalKey
    from kiosk.tpm import choose_tpm

    settings = KioskSettings.load(config)
    public = TerminalKey(settings.key_file, choose_tpm(settings.tpm)).public
    if as_json:
        typer.echo(json.dumps({"device": settings.device, "key": public.text(), "fingerprint": public.fingerprint}))
        return
    console = Console()
    console.print(f"device       {settings.device}", highlight=False)
    console.print(f"key          {public.text()}", highlight=False, soft_wrap=True)
    console.print(f"fingerprint  {public.fingerprint}", highlight=False)


@app.command("rotate-key")
def rotate_key(
    reason: Annotated[str, typer.Option(help="Why, in the signed event.")] = "planned",
    config: Config = None,
    as_json: JsonOption = False,
) -> None:
    """Hand this terminal's chain over to a new key, in one event signed by both; the old key is destroyed."""
    done = ask_terminal(config, {"do": "rotate_key", "reason": reason})
    if as_json:
        typer.echo(json.dumps(done))
        return
    console = Console()
    console.print(f"key          {done['key']}", highlight=False, soft_wrap=True)
    console.print(f"fingerprint  {done['fingerprint']}", highlight=False)
    console.print(f"signed by both keys as seq {done['seq']}; the collector takes the new key with that event")


@app.command("new-chain")
def new_chain(
    reason: Annotated[str, typer.Option(help="Why; it stands beside what is set aside.")],
    config: Config = None,
    as_json: JsonOption = False,
) -> None:
    """Begin another chain, where the collector has frozen this one. What has no receipt yet stays deliverable."""
    done = ask_terminal(config, {"do": "new_chain", "reason": reason})
    if as_json:
        typer.echo(json.dumps(done))
        return
    console = Console()
    console.print(f"new chain    {done['chain']}", highlight=False)
    console.print(f"it names     {done['before']}, which is set aside beside the journal", highlight=False)
    console.print("it enters the ledger once it is approved: zaigang collector device approve NAME", highlight=False)


@app.command()
def status(
    config: Config = None,
    as_json: JsonOption = False,
) -> None:
    """Show how this terminal is; asked of the running service, else of its data."""
    held = ask_terminal(config, {"do": "status"})
    if as_json:
        typer.echo(json.dumps(held, ensure_ascii=False))
        return
    console = Console()
    for part, one in held["parts"].items():
        console.print(f"{part:<12} {one['state']:<9} {one['reason']}", highlight=False, soft_wrap=True)
    again = ", ".join(held["enrol_again"]) or "nobody"
    lines = {
        "service": "running" if held["running"] else "not running",
        "enrolled": f"{held['enrolled']}, of these {held['supervisors']} supervisor(s)",
        "enrol again": f"{again} (the face was enrolled with another model)",
        "confirmed": f"{held['confirmed']} of the newest {held['punches']} punches, by a supervisor",
        "unsent": f"{held['unsent']} event(s); still to be signed: {held['owed']}",
    }
    for title, text in lines.items():
        console.print(f"{title:<12} {text}", highlight=False, soft_wrap=True)


@app.command("clear-enclosure")
def clear_enclosure(
    clearance: Annotated[
        Path,
        typer.Argument(help="The file that `zaigang collector device clear-enclosure` wrote.", metavar="AUTHORISATION"),
    ],
    config: Config = None,
) -> None:
    """Let a terminal whose case was opened verify again; needs its service to be stopped and the case to be closed."""
    from kiosk.app import Kiosk
    from kiosk.settings import KioskSettings

    kiosk = Kiosk(KioskSettings.load(config), screen=False)
    try:
        seq = kiosk.clear_enclosure(clearance.read_text())
    finally:
        kiosk.stop()
    Console(stderr=True).print(f"the enclosure is cleared; signed as seq {seq}")
