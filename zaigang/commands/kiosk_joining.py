"""`zaigang kiosk join`: a terminal joins a collector with the code that the console shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from zaigang.commands.kiosk_asked import Config, JsonOption

if TYPE_CHECKING:
    from kiosk.provisioning import Waiting


def join(
    code: Annotated[str | None, typer.Argument(help="The code, as `zaigang collector device claim` prints it.")] = None,
    qr: Annotated[Path | None, typer.Option(help="A photograph of its QR code instead.")] = None,
    config: Config = None,
    wait_s: Annotated[float, typer.Option("--wait", help="Seconds to wait for the administrator.")] = 900.0,
    as_json: JsonOption = False,
) -> None:
    """Join a collector: show this terminal's fingerprint, wait until an administrator approves, write the settings."""
    from evidence.provisioning import ClaimCode
    from kiosk.clock import SystemClock
    from kiosk.errors import SettingsError
    from kiosk.provisioning import join as join_collector
    from kiosk.qr_reading import read_qr
    from kiosk.settings import KioskSettings
    from kiosk.terminal_key import TerminalKey
    from kiosk.tpm import choose_tpm

    if (code is None) == (qr is None):
        raise typer.BadParameter("either the code, or --qr IMAGE")
    claim = ClaimCode.parse(code if code is not None else read_qr(qr or Path()))
    given, folder, tpm = KioskSettings.before_joining(config)
    for name, said in (("device", claim.device), ("site", claim.site)):
        if given.get(name, said) != said:
            raise SettingsError(f"your settings say {name} = {given[name]!r}, the code is for {said!r}")
    key = TerminalKey(folder / "terminal.pem", choose_tpm(tpm))
    console = Console(stderr=True)

    def show(waiting: Waiting) -> None:
        console.print(f"{waiting.device} @ {waiting.site}", highlight=False)
        console.print(f"fingerprint  指纹  [bold]{waiting.fingerprint}[/]", highlight=False)
        console.print("the console shows the same; approve it there  控制台显示相同的指纹后请批准", highlight=False)

    known = SystemClock().stamp().clock.source != "none"
    done = join_collector(claim, folder, key, check_dates=known, show=show, patience_s=wait_s)
    if as_json:
        answer = {
            "device": done.device,
            "site": done.site,
            "fingerprint": done.fingerprint,
            "settings": str(done.settings),
            "collector_time": done.collector_time,
            "clock_behind_s": done.behind_s,
            "tpm": key.protected,
        }
        typer.echo(json.dumps(answer))
        return
    console.print(f"joined; settings are in {done.settings}  已加入", highlight=False, soft_wrap=True)
    if abs(done.behind_s) > 60:
        console.print(f"this machine's clock is {done.behind_s} s behind the collector's ({done.collector_time})")
