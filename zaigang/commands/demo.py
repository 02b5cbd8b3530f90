"""`zaigang demo`: walk one punch from the camera to the ledger, and everything that tries to go wrong."""

from __future__ import annotations

import shutil
import signal
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console


def command(
    keep: Annotated[bool, typer.Option("--keep", help="Stay up afterwards until Ctrl-C, to look around.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the steps as JSON to this file.")] = None,
    data: Annotated[Path | None, typer.Option("--data", help="Keep keys, journal and ledger in this folder.")] = None,
    bundle: Annotated[
        Path | None, typer.Option("--bundle", help="Keep the run's evidence bundle in this file.")
    ] = None,
    trust_out: Annotated[
        Path | None, typer.Option("--trust-out", help="Keep the keys to trust, for `zaigang verify`, in this file.")
    ] = None,
) -> None:
    """Run broker, collector and terminal on this machine and hold every step against what is expected.

    The camera sees a living face made from a public-domain portrait, the attacks are synthetic, GPS and beacons are
    recordings through the real decoders. Exit code 0 only if every step came out as expected.
    """
    from zaigang.demo.report import Report
    from zaigang.demo.story import Story
    from zaigang.demo.world import World

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # being ended ends the programs, too
    console = Console()
    folder = data or Path(tempfile.mkdtemp(prefix="zaigang-demo-"))
    folder.mkdir(parents=True, exist_ok=True)
    report = Report(console)
    told = False  # to the end
    world = World(folder)
    try:
        try:
            Story(world, report, bundle, trust_out).tell()
            told = True
        except Exception as error:  # whatever broke, the steps so far are shown and the exit code is not 0
            console.print(f"the demo stopped: {type(error).__name__}: {error}", style="bold red", markup=False)
        report.table()
        if json_file is not None:
            report.write(json_file)
        for what, address in world.addresses.items():
            console.print(f"  {what:<26} {address}", highlight=False)
        if keep:
            console.print(f"  {'console key 登录密钥':<24} {world.console_key}", highlight=False)
            console.print("Everything stays up; Ctrl-C ends it.  按 Ctrl-C 结束。")
            with_interrupt()
        else:
            console.print("  (`zaigang demo --keep` keeps these up to look at)")
    finally:
        world.stop()
        if data is None:
            shutil.rmtree(folder, ignore_errors=True)
    raise typer.Exit(0 if told and report.ok else 1)


def with_interrupt() -> None:
    """Sleep until Ctrl-C."""
    try:
        signal.pause()
    except KeyboardInterrupt:
        return
