"""`zaigang collector site …`: the sites."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from collector.sites.service import NewSite
from zaigang.commands.collector_opened import ConfigOption, DataOption, JsonOption, opened, print_models, print_table

app = typer.Typer(no_args_is_help=True, help="Sites.")


@app.command("add")
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
    with opened(config, data) as held:
        new = NewSite(name=name, title=title, tz=tz, latitude=lat, longitude=lon, radius_m=radius)
        held.services.sites.add(new)
        Console().print(f"site {name} added", highlight=False)


@app.command("list")
def site_list(config: ConfigOption = None, data: DataOption = None, as_json: JsonOption = False) -> None:
    """List the sites."""
    with opened(config, data) as held:
        sites = held.services.sites.all()
    if as_json:
        print_models(sites)
        return
    print_table(("site", "title", "time zone", "radius m"), [(s.name, s.title, s.tz, s.radius_m) for s in sites])
