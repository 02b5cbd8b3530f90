"""`zaigang collector worker …`: the workers, and the permission to enrol one at a terminal."""

from __future__ import annotations

import base64
import getpass
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from collector.people.service import NewWorker
from zaigang.commands.collector_opened import ConfigOption, DataOption, JsonOption, opened, print_models, print_table

app = typer.Typer(no_args_is_help=True, help="Workers.")


class EnrolledRole(StrEnum):
    """As what a worker is enrolled."""

    WORKER = "worker"
    SUPERVISOR = "supervisor"


@app.command("add")
def worker_add(
    code: str,
    name: Annotated[str, typer.Option(help="Name for people.")],
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Add a worker by employee code."""
    with opened(config, data) as held:
        held.services.people.add(NewWorker(code=code, name=name))
        Console().print(f"worker {code} added", highlight=False)


@app.command("list")
def worker_list(config: ConfigOption = None, data: DataOption = None, as_json: JsonOption = False) -> None:
    """List the workers."""
    with opened(config, data) as held:
        workers = held.services.people.page(None, 1_000_000)
    if as_json:
        print_models(workers)
        return
    print_table(("code", "name", "active"), [(w.code, w.name, "yes" if w.active else "no") for w in workers])


@app.command("authorise")
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
    with opened(config, data) as held:
        permission, envelope = held.services.people.authorise(
            code, device_name, by or getpass.getuser(), hours, role.value
        )
    line = base64.b64encode(envelope).decode() + "\n"
    if out is None:
        sys.stdout.write(line)
    else:
        out.write_text(line)
    Console(stderr=True).print(f"{code} may be enrolled at {device_name} until {permission.expires}", highlight=False)
