"""What every `zaigang collector …` command opens and how it prints: database, keys, services; tables or JSON."""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel, ValidationError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from collector.database import Database
from collector.errors import CollectorError
from collector.identity import CollectorKeys, load_or_create_keys
from collector.logs import configure as configure_logs
from collector.services import Services, build_services, open_database
from collector.settings import Settings, load_settings
from collector.statements.actor import acting_as
from collector.statements.rotation import finish
from collector.statements.scribe import Scribe

ConfigOption = Annotated[Path | None, typer.Option("--config", help="Settings file (TOML).")]
DataOption = Annotated[Path | None, typer.Option("--data", help="Folder of the database and the keys.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@dataclass(frozen=True)
class Opened:
    """What a command works on; a running collector on the same folder goes on meanwhile."""

    settings: Settings
    keys: CollectorKeys
    database: Database
    services: Services


@contextmanager
def opened(config: Path | None, data: Path | None) -> Iterator[Opened]:
    """Open the database and the keys, as the doing of whoever is logged in."""
    configure_logs()
    with plain_errors():
        settings = load_settings(config, data=data)
        database = open_database(settings)
        try:
            finish(database, settings.keys_path)
            keys = load_or_create_keys(settings.keys_path)
            with acting_as(f"cli:{getpass.getuser()}"):
                yield Opened(settings, keys, database, build_services(settings, database, keys, Scribe(keys)))
        finally:
            database.close()


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turn an error of the collector's into one line and exit status 1."""
    try:
        yield
    except CollectorError as error:
        fail(str(error))
    except ValidationError as error:
        fail("; ".join(f"{'.'.join(map(str, one['loc'])) or 'input'}: {one['msg']}" for one in error.errors()))


def fail(message: str) -> None:
    """Say what is wrong and exit with status 1."""
    Console(stderr=True).print(f"[red]error:[/] {escape(message)}", highlight=False, soft_wrap=True)
    raise typer.Exit(1)


def print_json(value: Any) -> None:
    """Print JSON."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def print_models(rows: Sequence[BaseModel], exclude: set[str] | None = None) -> None:
    """Print models as a JSON list, without the fields `exclude`."""
    print_json([row.model_dump(mode="json", exclude=exclude) for row in rows])


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str | int | None]]) -> None:
    """Print a table."""
    table = Table(*columns, box=None, header_style="bold")
    for row in rows:
        table.add_row(*("" if cell is None else escape(str(cell)) for cell in row))
    # In a pipe there is no width to keep to, and a cell cut in two is of no use to the next program.
    console = Console() if sys.stdout.isatty() else Console(width=10_000)
    console.print(table)
