"""`zaigang collector device claim|joins|deny` and `broker-config`: how terminals come in, and by which broker."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from collector.devices.broker_config import Listener, write_broker_config
from collector.settings import load_settings
from zaigang.commands.collector_opened import (
    ConfigOption,
    DataOption,
    JsonOption,
    fail,
    opened,
    plain_errors,
    print_json,
    print_table,
)

By = Annotated[str, typer.Option(help="Who decides; your login otherwise.")]


def device_claim(
    site_name: Annotated[str, typer.Argument(metavar="SITE", help="Where it will stand.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it will be called.")],
    qr: Annotated[Path | None, typer.Option(help="Write the QR code to this file (.svg or .png).")] = None,
    by: By = "",
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a one-time code for a new terminal, for `zaigang kiosk join`; it holds 15 minutes."""
    import segno

    with opened(config, data) as held:
        code, expires = held.services.joining.claim(site_name, name, by or getpass.getuser())
    picture = segno.make(code.text(), error="m", micro=False)
    if qr is not None:
        picture.save(str(qr), scale=6, border=4)
    if as_json:
        print_json({"code": code.text(), "site": code.site, "device": code.device, "expires": expires})
        return
    if qr is None:
        picture.terminal(compact=True)
    console = Console()
    console.print(code.text(), highlight=False, soft_wrap=True)
    console.print(f"for {name} at {site_name}, once, until {expires}", highlight=False)
    console.print("then compare the fingerprint: zaigang collector device joins; device approve " + name)


def device_joins(config: ConfigOption = None, data: DataOption = None, as_json: JsonOption = False) -> None:
    """List the terminals that ask to join, with the fingerprint that their own screen has to show too."""
    with opened(config, data) as held:
        rows = held.services.joining.requests()
    if as_json:
        from collector.devices.join_api import waiting_answer

        print_json([waiting_answer(one).model_dump(mode="json") for one in rows])
        return
    columns = ("device", "site", "fingerprint", "key", "state", "asked at", "decided by")
    print_table(
        columns, [(r.device, r.site, r.fingerprint, r.algorithm, r.state, r.asked_at, r.decided_by) for r in rows]
    )


def device_deny(name: str, by: By = "", config: ConfigOption = None, data: DataOption = None) -> None:
    """Refuse the terminal that asks to join under this name."""
    with opened(config, data) as held:
        denied = held.services.joining.deny(name, by or getpass.getuser())
    Console().print(f"{denied.device} with key {denied.fingerprint} is refused", highlight=False)


def broker_config(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to write; written again, keys stay.")],
    host: Annotated[list[str], typer.Option(help="Name or address under which terminals reach it. Repeatable.")],
    address: Annotated[str, typer.Option(help="Address to listen on.")] = "0.0.0.0",  # noqa: S104  as the module says
    port: Annotated[int, typer.Option(help="TCP port.")] = 8883,
    collectors: Annotated[int, typer.Option(min=1, help="How many collector processes share the work.")] = 1,
    installed: Annotated[Path | None, typer.Option(help="Where the folder will lie on the broker's machine.")] = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write Mosquitto's configuration; again after a revocation, then: systemctl reload mosquitto."""
    with plain_errors():
        settings = load_settings(config, data=data)
    if not settings.keys_path.is_dir():  # a broker that trusts an authority made by the way would let nobody in
        fail(f"there is no collector in {settings.data}; name the settings of yours with --config, or start it once")
    with opened(config, data) as held:
        joining = held.services.joining
        listener = Listener(tuple(host), address, port)
        revoked = joining.revoked()
        files = write_broker_config(
            folder,
            listener,
            joining.authority,
            revoked,
            datetime.now(UTC),
            collectors=collectors,
            installed=installed,
        )
    if as_json:
        print_json({"written": [str(file) for file in files], "revoked": [one.name for one in revoked]})
        return
    console = Console()
    for file in files:
        console.print(str(file), highlight=False, soft_wrap=True)
    console.print(f"revoked terminals: {', '.join(one.name for one in revoked) or 'none'}", highlight=False)
    console.print("the user mosquitto has to be able to read them; collector-N.pem and .key go to the collectors")


def add_to(device: typer.Typer) -> None:
    """Add these commands to `zaigang collector device`."""
    device.command("claim")(device_claim)
    device.command("joins")(device_joins)
    device.command("deny")(device_deny)
