"""`zaigang collector device …`: what an administrator decides about terminals."""

from __future__ import annotations

import base64
import getpass
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from collector.devices.service import DeviceView, NewDevice
from zaigang.commands import collector_joining
from zaigang.commands.collector_opened import (
    ConfigOption,
    DataOption,
    JsonOption,
    fail,
    opened,
    print_json,
    print_models,
    print_table,
)

app = typer.Typer(no_args_is_help=True, help="Terminals.")
collector_joining.add_to(app)


@app.command("add")
def device_add(
    name: str,
    site_name: Annotated[str, typer.Option("--site", help="The site where it stands.")],
    key: Annotated[str, typer.Option(help="Its public key, as the terminal prints it.")],
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Register a terminal with its key; until then its messages are dead letters."""
    with opened(config, data) as held:
        held.services.devices.add(NewDevice(name=name, site=site_name, key=key))
        _show_devices([held.services.devices.get(name)], as_json)


@app.command("spot-check")
def device_spot_check(
    name: str,
    worker_code: Annotated[str, typer.Argument(metavar="WORKER", help="Who is to show up.")],
    minutes: Annotated[int, typer.Option(help="Until when, 1 to 60.")] = 5,
    by: Annotated[str | None, typer.Option(help="Who orders it; your login otherwise.")] = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have a terminal call a worker who must show up there; a running collector sends the command."""
    from collector.commands.api import spot_check_answer

    with opened(config, data) as held:
        view = held.services.commands.spot_check(worker_code, name, minutes, by or getpass.getuser())
        answer = spot_check_answer(view)
        if as_json:
            print_json(answer.model_dump(mode="json"))
        else:
            print_table(
                ["id", "worker", "device", "minutes", "state"], [[answer.id, worker_code, name, minutes, answer.state]]
            )


@app.command("list")
def device_list(config: ConfigOption = None, data: DataOption = None, as_json: JsonOption = False) -> None:
    """List the terminals and how they are."""
    with opened(config, data) as held:
        _show_devices(held.services.devices.all(), as_json)


@app.command("revoke")
def device_revoke(name: str, config: ConfigOption = None, data: DataOption = None) -> None:
    """From now on nothing that this terminal signs counts as verified."""
    with opened(config, data) as held:
        revoked = held.services.devices.revoke(name)
        Console().print(f"{name} is revoked since {revoked.revoked_at}", highlight=False)


@app.command("approve")
def device_approve(
    name: str,
    chain: Annotated[str | None, typer.Option(help="Only this chain.")] = None,
    key: Annotated[str | None, typer.Option(help="Fingerprint of the one to let in, where several wait.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Put the key aside that this name has.")] = False,
    by: Annotated[str, typer.Option(help="Who approves.")] = "",
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Let in a terminal that asks to join (compare the fingerprints), or a known one's new chain.

    Also a chain that waited when its terminal was revoked: its events enter marked, and none of them is verified.
    """
    with opened(config, data) as held:
        asking = [r for r in held.services.joining.requests() if r.device == name and r.state == "waiting"]
        if chain is None and asking:
            chosen = [r for r in asking if key is None or r.fingerprint.replace(" ", "") == key.replace(" ", "")]
            if not chosen:
                fail(f"no terminal waits as {name} with the key {key}; see: zaigang collector device joins")
            if chosen[0].replaces is not None and not replace:
                fail(
                    f"{name} has the key {chosen[0].replaces}; approved, that one counts for what it has signed alone. "
                    "If it is the same terminal with a new key, say --replace; else deny, and make a code for another"
                )
            joined = held.services.joining.approve(name, by or getpass.getuser(), chosen[0].id if key else None)
            Console().print(f"{name} with key {joined.fingerprint} may join", highlight=False)
            return
        chains = held.services.devices.approve(name, chain, by or getpass.getuser())
        how = "" if held.services.devices.get(name).revoked_at is None else "; revoked: nothing of it is verified"
        Console().print(f"{name}: approved {', '.join(chains)}{how}", highlight=False, soft_wrap=True)


@app.command("clear-enclosure")
def device_clear_enclosure(
    name: str,
    hours: Annotated[float, typer.Option(help="How long it holds.")] = 24,
    out: Annotated[Path | None, typer.Option(help="File to write; standard output otherwise.")] = None,
    by: Annotated[str, typer.Option(help="Who has looked at the terminal and answers for it.")] = "",
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Sign a clear of this terminal's newest opening, for `zaigang kiosk clear-enclosure`; one line to hand over."""
    with opened(config, data) as held:
        clearance, envelope = held.services.clearances.sign(name, by or getpass.getuser(), hours)
    line = base64.b64encode(envelope).decode() + "\n"
    if out is None:
        sys.stdout.write(line)
    else:
        out.write_text(line)
    Console(stderr=True).print(
        f"opening {clearance.opening} of {name} may be cleared until {clearance.expires}", highlight=False
    )


def _show_devices(devices: Sequence[DeviceView], as_json: bool) -> None:
    if as_json:
        from collector.devices.api import (
            device_answer,
        )  # brings FastAPI, a second of waiting that a table need not cost

        print_models([device_answer(device) for device in devices])
        return
    rows = [
        (d.name, d.site, d.state, d.unsent, d.last_activity, ", ".join(t.part or t.code for t in d.troubles))
        for d in devices
    ]
    print_table(("device", "site", "state", "unsent", "last activity", "troubles"), rows)
