"""`zaigang collector …`: run the collector, and what an administrator decides: devices, sites, workers, API keys."""

from __future__ import annotations

import base64
import getpass
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel
from rich.console import Console

from collector.auth.service import Scope
from collector.devices.service import DeviceView, NewDevice
from collector.identity import load_or_create_keys
from collector.ledger.anchors import load_roots
from collector.ledger.fsck import check_ledger
from collector.ledger.keepsake import read_keepsake
from collector.logs import configure as configure_logs
from collector.people.service import NewWorker
from collector.schema import HEAD, prepare
from collector.services import connect
from collector.settings import load_settings
from collector.sites.service import NewSite
from zaigang.commands import collector_erasure, collector_ledger, collector_statements
from zaigang.commands.collector_import import FilesArgument, ReceiptsOption, import_files
from zaigang.commands.collector_opened import (
    ConfigOption,
    DataOption,
    JsonOption,
)
from zaigang.commands.collector_opened import fail as _fail
from zaigang.commands.collector_opened import opened as _opened
from zaigang.commands.collector_opened import plain_errors as _plain_errors
from zaigang.commands.collector_opened import print_json as _print_json
from zaigang.commands.collector_opened import print_table as _table
from zaigang.verifiers import verifier_files

app = typer.Typer(no_args_is_help=True, help="The centre: keeps what terminals signed and answers HR.")
device = typer.Typer(no_args_is_help=True, help="Terminals.")
site = typer.Typer(no_args_is_help=True, help="Sites.")
worker = typer.Typer(no_args_is_help=True, help="Workers.")
apikey = typer.Typer(no_args_is_help=True, help="API keys.")
app.add_typer(device, name="device")
app.add_typer(site, name="site")
app.add_typer(worker, name="worker")
app.add_typer(apikey, name="apikey")
collector_statements.add_to(app)
collector_erasure.add_to(app)


def _models_json(rows: Sequence[BaseModel], exclude: set[str] | None = None) -> None:
    _print_json([row.model_dump(mode="json", exclude=exclude) for row in rows])


# --- run and look after


@app.command("run")
def run_command(
    config: ConfigOption = None,
    data: DataOption = None,
    port: Annotated[int | None, typer.Option(help="TCP port of the API and the console.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    broker: Annotated[str | None, typer.Option(help="mqtt://host:port or mqtts://host:port.")] = None,
    mqtt_version: Annotated[str | None, typer.Option(help="5 or 3.1.1.")] = None,
) -> None:
    """Run the collector until it is stopped."""
    from collector.app import run  # web server and MQTT, which no other command needs

    configure_logs()
    with _plain_errors():
        settings = load_settings(config, data=data, port=port, host=host, broker=broker, mqtt_version=mqtt_version)
        Console(stderr=True).print(
            f"collector: http://{settings.host}:{settings.port} · API at /docs · broker {settings.broker}"
            f" · data {settings.data}",
            highlight=False,
            soft_wrap=True,
        )
        run(settings, verifier_files())


@app.command()
def keys(config: ConfigOption = None, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Print the collector's public keys, which terminals pin."""
    with _plain_errors():
        held = load_or_create_keys(load_settings(config, data=data).keys_path)
    public = held.public()
    if as_json:
        _print_json({name: key.text() for name, key in public.items()})
        return
    for name, key in public.items():  # a line each, so that a narrow window does not cut the key to copy
        sys.stdout.write(f"{name:10} {key.text()}\n{'':10} fingerprint {key.fingerprint}\n")


@app.command()
def fsck(config: ConfigOption = None, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Derive the whole ledger again and compare; exit 1 and name the first difference if something was changed."""
    with _opened(config, data) as held:
        report = check_ledger(
            held.database,
            held.keys.seal,
            held.services.checkpoints.signer.public,
            load_roots(held.settings.tsa_ca),
            read_keepsake(held.settings.keepsake_path),
        )
    if as_json:
        _print_json(report.as_json())
    elif report.difference is None:
        Console().print(
            f"[green]whole[/]: {report.entries} entries, {report.chains} chains, {report.rows} derived rows, "
            f"{report.tiles} tiles, {report.checkpoints} checkpoints, {report.cosignatures} cosignatures, "
            f"{report.anchors} time-stamps"
            + (f" ({report.anchors_not_run} not checked: set tsa_ca)" if report.anchors_not_run else "")
        )
    else:
        Console().print(f"[red]changed[/]: {report.difference}", highlight=False, soft_wrap=True)
    raise typer.Exit(0 if report.difference is None else 1)


@app.command()
def migrate(config: ConfigOption = None, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Bring the database's tables to this version; with several collectors, stop the others first."""
    with _plain_errors():
        database = connect(load_settings(config, data=data))
        try:
            before = prepare(database, migrate=True)
        finally:
            database.close()
    if as_json:
        _print_json({"before": before, "now": HEAD})
    else:
        Console().print(f"schema {HEAD} (before: {before or 'no tables'})", highlight=False)


@app.command()
def export(
    chain: Annotated[str, typer.Argument(help="The chain's id, 32 hex digits, as `device list --json` shows it.")],
    device_name: Annotated[str | None, typer.Option("--device", help="Where two devices use the same id.")] = None,
    out: Annotated[Path | None, typer.Option(help="File to write; standard output otherwise.")] = None,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Write a chain's signed envelopes, one a line, as `zaigang verify` reads them."""
    with _opened(config, data) as held:
        found = [c for c in held.services.ledger.chains_named(chain) if device_name in (None, c.device)]
        if len(found) != 1:
            _fail(f"there is no chain {chain}" if not found else "two devices use this id; name one with --device")
        lines = (envelope + b"\n" for envelope in held.services.ledger.envelopes(found[0].device, chain))
        if out is None:
            sys.stdout.buffer.writelines(lines)
            sys.stdout.buffer.flush()
        else:
            with out.open("wb") as file:
                file.writelines(lines)


collector_ledger.attach(app, _opened)


@app.command("import")
def import_command(
    files: FilesArgument,
    receipts: ReceiptsOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take signed events from files, as from the broker; again is harmless. Exit 1 if a line was refused."""
    with _opened(config, data) as held:
        rows = import_files(held.services.deliveries, files, receipts)
    if as_json:
        _print_json(rows)
    else:
        names = ("file", "lines", "admitted", "known", "waiting", "contradicting", "refused", "receipts", "error")
        _table(names, [[row[name] for name in names] for row in rows])
    raise typer.Exit(1 if any(row["error"] or row["refused"] or row["contradicting"] for row in rows) else 0)


# --- devices


@device.command("add")
def device_add(
    name: str,
    site_name: Annotated[str, typer.Option("--site", help="The site where it stands.")],
    key: Annotated[str, typer.Option(help="Its public key, as the terminal prints it.")],
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Register a terminal with its key; until then its messages are dead letters."""
    with _opened(config, data) as held:
        held.services.devices.add(NewDevice(name=name, site=site_name, key=key))
        _show_devices([held.services.devices.get(name)], as_json)


@device.command("spot-check")
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

    with _opened(config, data) as held:
        view = held.services.commands.spot_check(worker_code, name, minutes, by or getpass.getuser())
        answer = spot_check_answer(view)
        if as_json:
            _print_json(answer.model_dump(mode="json"))
        else:
            _table(
                ["id", "worker", "device", "minutes", "state"], [[answer.id, worker_code, name, minutes, answer.state]]
            )


@device.command("list")
def device_list(config: ConfigOption = None, data: DataOption = None, as_json: JsonOption = False) -> None:
    """List the terminals and how they are."""
    with _opened(config, data) as held:
        _show_devices(held.services.devices.all(), as_json)


@device.command("revoke")
def device_revoke(name: str, config: ConfigOption = None, data: DataOption = None) -> None:
    """From now on nothing that this terminal signs counts as verified."""
    with _opened(config, data) as held:
        revoked = held.services.devices.revoke(name)
        Console().print(f"{name} is revoked since {revoked.revoked_at}", highlight=False)


@device.command("approve")
def device_approve(
    name: str,
    chain: Annotated[str | None, typer.Option(help="Only this chain.")] = None,
    by: Annotated[str, typer.Option(help="Who approves.")] = "",
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Let in a terminal that asks to join (compare the fingerprints), or a known one's new chain."""
    with _opened(config, data) as held:
        if chain is None and any(r.device == name and r.state == "waiting" for r in held.services.joining.requests()):
            joined = held.services.joining.approve(name, by or getpass.getuser())
            Console().print(f"{name} with key {joined.fingerprint} may join", highlight=False)
            return
        chains = held.services.devices.approve(name, chain, by or getpass.getuser())
        Console().print(f"{name}: approved {', '.join(chains)}", highlight=False, soft_wrap=True)


@device.command("clear-enclosure")
def device_clear_enclosure(
    name: str,
    hours: Annotated[float, typer.Option(help="How long it holds.")] = 24,
    out: Annotated[Path | None, typer.Option(help="File to write; standard output otherwise.")] = None,
    by: Annotated[str, typer.Option(help="Who has looked at the terminal and answers for it.")] = "",
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Sign a clear of this terminal's newest opening, for `zaigang kiosk clear-enclosure`; one line to hand over."""
    with _opened(config, data) as held:
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

        _models_json([device_answer(device) for device in devices])
        return
    rows = [
        (d.name, d.site, d.state, d.unsent, d.last_activity, ", ".join(t.part or t.code for t in d.troubles))
        for d in devices
    ]
    _table(("device", "site", "state", "unsent", "last activity", "troubles"), rows)


# --- sites and workers


class EnrolledRole(StrEnum):
    """As what a worker is enrolled."""

    WORKER = "worker"
    SUPERVISOR = "supervisor"


@site.command("add")
def site_add(
    name: str,
    title: Annotated[str, typer.Option(help="Name for people.")],
    tz: Annotated[str, typer.Option(help="IANA time zone, e.g. Asia/Shanghai.")],
    lat: Annotated[float | None, typer.Option(help="Degrees, WGS 84.")] = None,
    lon: Annotated[float | None, typer.Option(help="Degrees, WGS 84.")] = None,
    radius: Annotated[int | None, typer.Option(help="Metres round the point.")] = None,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Add a site."""
    with _opened(config, data) as held:
        new = NewSite(name=name, title=title, tz=tz, latitude=lat, longitude=lon, radius_m=radius)
        held.services.sites.add(new)
        Console().print(f"site {name} added", highlight=False)


@site.command("list")
def site_list(config: ConfigOption = None, data: DataOption = None, as_json: JsonOption = False) -> None:
    """List the sites."""
    with _opened(config, data) as held:
        sites = held.services.sites.all()
    if as_json:
        _models_json(sites)
        return
    _table(("site", "title", "time zone", "radius m"), [(s.name, s.title, s.tz, s.radius_m) for s in sites])


@worker.command("add")
def worker_add(
    code: str,
    name: Annotated[str, typer.Option(help="Name for people.")],
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Add a worker by employee code."""
    with _opened(config, data) as held:
        held.services.people.add(NewWorker(code=code, name=name))
        Console().print(f"worker {code} added", highlight=False)


@worker.command("list")
def worker_list(config: ConfigOption = None, data: DataOption = None, as_json: JsonOption = False) -> None:
    """List the workers."""
    with _opened(config, data) as held:
        workers = held.services.people.page(None, 1_000_000)
    if as_json:
        _models_json(workers)
        return
    _table(("code", "name", "active"), [(w.code, w.name, "yes" if w.active else "no") for w in workers])


@worker.command("authorise")
def worker_authorise(
    code: str,
    device_name: Annotated[str, typer.Option("--device", help="The terminal where the enrolment will happen.")],
    hours: Annotated[float, typer.Option(help="How long it holds.")] = 24,
    out: Annotated[Path | None, typer.Option(help="File to write; standard output otherwise.")] = None,
    by: Annotated[str, typer.Option(help="Who authorises.")] = "",
    role: Annotated[
        EnrolledRole, typer.Option(help="supervisor: may then confirm and enrol others at this terminal.")
    ] = EnrolledRole.WORKER,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Sign a permission to enrol this worker's face once at this terminal; one line to hand over."""
    with _opened(config, data) as held:
        permission, envelope = held.services.people.authorise(
            code, device_name, by or getpass.getuser(), hours, role.value
        )
    line = base64.b64encode(envelope).decode() + "\n"
    if out is None:
        sys.stdout.write(line)
    else:
        out.write_text(line)
    Console(stderr=True).print(f"{code} may be enrolled at {device_name} until {permission.expires}", highlight=False)


# --- API keys


@apikey.command("create")
def apikey_create(
    name: Annotated[str, typer.Option(help="Who or what uses it.")],
    scope: Annotated[Scope, typer.Option(help="write includes read.")] = Scope.READ,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make an API key. It is shown once."""
    with _opened(config, data) as held:
        row, key = held.services.api_keys.create(name, scope)
    if as_json:
        _print_json({"id": row.id, "name": row.name, "scope": row.scope, "key": key})
        return
    sys.stdout.write(key + "\n")
    Console(stderr=True).print("Keep it now: it is not shown again.")


@apikey.command("list")
def apikey_list(config: ConfigOption = None, data: DataOption = None, as_json: JsonOption = False) -> None:
    """List the API keys, without the keys."""
    with _opened(config, data) as held:
        rows = held.services.api_keys.all()
    if as_json:
        _models_json(rows, {"hash"})
        return
    _table(
        ("id", "name", "scope", "created", "revoked"),
        [(r.id, r.name, r.scope, r.created_at, r.revoked_at) for r in rows],
    )


@apikey.command("revoke")
def apikey_revoke(key_id: str, config: ConfigOption = None, data: DataOption = None) -> None:
    """End an API key by its id."""
    with _opened(config, data) as held:
        held.services.api_keys.revoke(key_id)
        Console().print(f"API key {key_id} is revoked", highlight=False)


import zaigang.commands.collector_joining  # noqa: E402,F401  it adds commands to `device` and `app`
