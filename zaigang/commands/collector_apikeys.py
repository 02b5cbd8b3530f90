"""`zaigang collector apikey …`: the keys of programs that ask the API."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console

from collector.auth.service import Scope
from zaigang.commands.collector_opened import (
    ConfigOption,
    DataOption,
    JsonOption,
    opened,
    print_json,
    print_models,
    print_table,
)

app = typer.Typer(no_args_is_help=True, help="API keys.")


@app.command("create")
def apikey_create(
    name: Annotated[str, typer.Option(help="Who or what uses it.")],
    scope: Annotated[Scope, typer.Option(help="write includes read.")] = Scope.READ,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make an API key. It is shown once."""
    with opened(config, data) as held:
        row, key = held.services.api_keys.create(name, scope)
    if as_json:
        print_json({"id": row.id, "name": row.name, "scope": row.scope, "key": key})
        return
    sys.stdout.write(key + "\n")
    Console(stderr=True).print("Keep it now: it is not shown again.")


@app.command("list")
def apikey_list(config: ConfigOption = None, data: DataOption = None, as_json: JsonOption = False) -> None:
    """List the API keys, without the keys."""
    with opened(config, data) as held:
        rows = held.services.api_keys.all()
    if as_json:
        print_models(rows, {"hash"})
        return
    print_table(
        ("id", "name", "scope", "created", "revoked"),
        [(r.id, r.name, r.scope, r.created_at, r.revoked_at) for r in rows],
    )


@app.command("revoke")
def apikey_revoke(key_id: str, config: ConfigOption = None, data: DataOption = None) -> None:
    """End an API key by its id."""
    with opened(config, data) as held:
        held.services.api_keys.revoke(key_id)
        Console().print(f"API key {key_id} is revoked", highlight=False)
