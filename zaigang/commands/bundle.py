"""`zaigang bundle`: make an evidence bundle about a site or a worker, with the pages and scripts that check it."""

from __future__ import annotations

import getpass
import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn

from collector.database import Database
from collector.errors import CollectorError
from collector.evidence_bundles.picture import picture_or_error
from collector.evidence_bundles.service import EvidenceBundles, Made
from collector.identity import load_or_create_keys
from collector.logs import configure as configure_logs
from collector.services import build_services, open_database
from collector.settings import load_settings
from collector.statements.rotation import finish
from collector.timestamps import utc_text
from evidence.bundle_manifest import Scope
from zaigang.verifiers import write_verifiers

_STEPS = {"chains": "chains 链", "verify": "checking 核验", "picture": "report 报告", "done": "done 完成"}


def command(
    out: Annotated[Path, typer.Argument(help="File to write.")],
    since: Annotated[str, typer.Option("--from", help="Begin of the period, RFC 3339 with an offset or Z.")],
    until: Annotated[str, typer.Option("--to", help="End of the period, exclusive.")],
    site: Annotated[str | None, typer.Option(help="About this site.")] = None,
    worker: Annotated[str | None, typer.Option(help="About this worker (employee code).")] = None,
    pdf: Annotated[bool, typer.Option("--pdf/--no-pdf", help="With a report as PDF (not authoritative).")] = True,
    since_checkpoint: Annotated[
        Path | None, typer.Option(help="A checkpoint that the reader kept: growth since then is proved.")
    ] = None,
    verifiers: Annotated[
        bool, typer.Option("--verifiers", help="Put verify-bundle.html and verify-bundle.sh beside it.")
    ] = False,
    trust_out: Annotated[
        Path | None, typer.Option(help="Write this collector's trust file; hand it over apart from the bundle.")
    ] = None,
    by: Annotated[str, typer.Option(help="Who asks for it; your login otherwise.")] = "",
    config: Annotated[Path | None, typer.Option("--config", help="Settings file (TOML).")] = None,
    data: Annotated[Path | None, typer.Option("--data", help="Folder of the database and the keys.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Make one file that an arbitrator can check without trusting anybody here.

    Exit code 0: made, and everything in it holds. 1: it could not be made, or its own check found problems (named).
    """
    configure_logs()
    try:
        scope = Scope(site=site, worker=worker, since=_utc(since), until=_utc(until))
        settings = load_settings(config, data=data)
        database: Database = open_database(settings)
        try:
            finish(database, settings.keys_path)  # a rotation that was cut short has its key in place now
            keys = load_or_create_keys(settings.keys_path)
            service = build_services(settings, database, keys).evidence_bundles
            kept = None if since_checkpoint is None else since_checkpoint.read_bytes()
            made = _make(service, scope, by or getpass.getuser(), kept, pdf=pdf)
            if trust_out is not None:
                trust_out.write_text(service.trust().model_dump_json(indent=1, exclude_none=True) + "\n")
        finally:
            database.close()
    except ValidationError as error:
        _fail("; ".join(str(one["msg"]).removeprefix("Value error, ") for one in error.errors()))
    except (CollectorError, OSError, ValueError) as error:
        _fail(str(error))
    out.write_bytes(made.data)
    beside = write_verifiers(out.parent) if verifiers else []
    _tell(out, made, beside, as_json=as_json)
    raise typer.Exit(1 if made.facts.problems else 0)


def _make(service: EvidenceBundles, scope: Scope, by: str, kept: bytes | None, *, pdf: bool) -> Made:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(_STEPS["chains"], total=None)

        def tell(step: str, done: int, total: int) -> None:
            progress.update(task, description=_STEPS[step], completed=done, total=total)

        return service.make(scope, by, kept=kept, picture=picture_or_error() if pdf else None, tell=tell)


def _tell(out: Path, made: Made, beside: list[Path], *, as_json: bool) -> None:
    facts = made.facts
    if as_json:
        answer = {
            "file": str(out),
            "sha256": made.sha256,
            "size": len(made.data),
            "tree_size": facts.tree_size,
            "chains": len(facts.terminals),
            "events": facts.total("events"),
            "punches": len(facts.punches),
            "verdicts": facts.verdicts,
            "problems": list(facts.problems),
            "beside": [str(one) for one in beside],
        }
        sys.stdout.write(json.dumps(answer, ensure_ascii=False, indent=2) + "\n")
        return
    console = Console()
    console.print(
        f"{escape(str(out))}: {facts.total('events')} events in {len(facts.terminals)} chain(s), {len(facts.punches)} "
        f"attempts to punch, ledger of {facts.tree_size} entries  已写入证据包",
        highlight=False,
        soft_wrap=True,
    )
    console.print(f"SHA-256 {made.sha256}", highlight=False, soft_wrap=True)
    for problem in facts.problems:
        console.print(f"[red]{escape(problem)}[/]", highlight=False, soft_wrap=True)


def _utc(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is not an RFC 3339 time, such as 2026-03-01T00:00:00+08:00") from error
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no offset; write +08:00 or Z behind it")
    return utc_text(moment)


def _fail(message: str) -> None:
    Console(stderr=True).print(f"[red]error:[/] {escape(message)}", highlight=False, soft_wrap=True)
    raise typer.Exit(1)
