"""`zaigang collector …`: run the collector and look after its ledger; the groups hang in here from their own files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from collector.ledger.anchors import load_roots
from collector.ledger.fsck import check_ledger
from collector.ledger.keepsake import read_keepsake
from collector.logs import configure as configure_logs
from collector.schema import HEAD, prepare
from collector.services import connect
from collector.settings import load_settings
from zaigang.commands import (
    collector_apikeys,
    collector_devices,
    collector_erasure,
    collector_joining,
    collector_ledger,
    collector_sites,
    collector_statements,
    collector_workers,
)
from zaigang.commands.collector_import import FilesArgument, ReceiptsOption, import_files
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
from zaigang.verifiers import verifier_files

app = typer.Typer(no_args_is_help=True, help="The centre: keeps what terminals signed and answers HR.")
app.add_typer(collector_devices.app, name="device")
app.add_typer(collector_sites.app, name="site")
app.add_typer(collector_workers.app, name="worker")
app.add_typer(collector_apikeys.app, name="apikey")
collector_statements.add_to(app)
collector_erasure.add_to(app)
app.command("broker-config")(collector_joining.broker_config)


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
    with plain_errors():
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
    """Print the collector's public keys and its ledger's: terminals pin receipt, command and ledger."""
    with opened(config, data) as held:
        public, ledger = held.keys.public(), held.services.checkpoints.signer.public.text()
    if as_json:
        print_json({name: key.text() for name, key in public.items()} | {"ledger": ledger})
        return
    for name, key in public.items():  # a line each, so that a narrow window does not cut the key to copy
        sys.stdout.write(f"{name:10} {key.text()}\n{'':10} fingerprint {key.fingerprint}\n")
    sys.stdout.write(f"{'ledger':10} {ledger}\n")


@app.command()
def fsck(config: ConfigOption = None, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Derive the whole ledger again and compare; exit 1 and name the first difference if something was changed."""
    with opened(config, data) as held:
        report = check_ledger(
            held.database,
            held.keys.seal,
            held.services.checkpoints.signer.public,
            load_roots(held.settings.tsa_ca),
            read_keepsake(held.settings.keepsake_path),
        )
    if as_json:
        print_json(report.as_json())
    elif report.difference is None:
        Console().print(
            f"[green]whole[/]: {report.entries} entries, {report.chains} chains, {report.rows} derived rows, "
            f"{report.tiles} tiles, {report.checkpoints} checkpoints, {report.cosignatures} cosignatures, "
            f"{report.anchors} time-stamps"
            + (f" ({report.anchors_not_run} not checked: set tsa_ca)" if report.anchors_not_run else "")
            + (f"; {report.unsigned_checkpoints} in events unsigned" if report.unsigned_checkpoints else "")
        )
    else:
        Console().print(f"[red]changed[/]: {report.difference}", highlight=False, soft_wrap=True)
    raise typer.Exit(0 if report.difference is None else 1)


@app.command()
def migrate(config: ConfigOption = None, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Bring the database's tables to this version; with several collectors, stop the others first."""
    with plain_errors():
        database = connect(load_settings(config, data=data))
        try:
            before = prepare(database, migrate=True)
        finally:
            database.close()
    if as_json:
        print_json({"before": before, "now": HEAD})
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
    with opened(config, data) as held:
        found = [c for c in held.services.ledger.chains_named(chain) if device_name in (None, c.device)]
        if len(found) != 1:
            fail(f"there is no chain {chain}" if not found else "two devices use this id; name one with --device")
        lines = (envelope + b"\n" for envelope in held.services.ledger.envelopes(found[0].device, chain))
        if out is None:
            sys.stdout.buffer.writelines(lines)
            sys.stdout.buffer.flush()
        else:
            with out.open("wb") as file:
                file.writelines(lines)


collector_ledger.attach(app, opened)


@app.command("import")
def import_command(
    files: FilesArgument,
    receipts: ReceiptsOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take signed events from files, as from the broker; again is harmless. Exit 1 if a line was refused."""
    with opened(config, data) as held:
        rows = import_files(held.services.deliveries, files, receipts, held.services.joining.handovers())
    if as_json:
        print_json(rows)
    else:
        names = ("file", "lines", "admitted", "known", "waiting", "contradicting", "refused", "receipts", "error")
        print_table(names, [[row[name] for name in names] for row in rows])
    raise typer.Exit(1 if any(row["error"] or row["refused"] or row["contradicting"] for row in rows) else 0)
