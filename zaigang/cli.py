"""The command `zaigang`: names every subcommand, imports only the one that is asked for.

The verifier must run where neither camera nor database is installed, so a subcommand's module is imported when it is
called. A module in `zaigang.commands` exposes `app` (a typer.Typer with subcommands) or `command` (one function).
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, NoReturn

import typer

UNUSABLE = 2  # exit code where the command cannot run here at all, as for a wrong option
FAILED = 1  # exit code where the command ran and did not succeed
_OURS = ("evidence", "kiosk", "collector", "witness", "zaigang")


@dataclass(frozen=True, slots=True)
class Subcommand:
    """One subcommand: its name, the extra that brings what it imports (None: the base), and one line of help."""

    name: str
    extra: str | None
    help: str

    @property
    def module(self) -> str:
        """The module that holds it."""
        return f"zaigang.commands.{self.name}"


SUBCOMMANDS = (
    Subcommand("demo", "demo", "The whole road on this machine: enrol, punch, refuse, deliver, verify."),
    Subcommand("kiosk", "kiosk", "The punch terminal: run it, enrol a worker."),
    Subcommand("collector", "collector", "The collector: run it, register terminals and people, export chains."),
    Subcommand("witness", "witness", "A witness of somebody's ledger: cosigns only what has grown."),
    Subcommand("verify", None, "Check bundles and exported chains offline against keys that you trust."),
    Subcommand("bundle", "collector", "Make an evidence bundle about a site or a worker."),
    Subcommand("evaluate", "demo", "Measure a part on your own recordings, with its error rates."),
    Subcommand("calibrate", "demo", "Find the match threshold for a wanted false match rate on your own pictures."),
    Subcommand("bench", "dev", "Measure this machine against the bare limits (from a source tree)."),
)


def build() -> typer.Typer:
    """Return the application with every subcommand named and none imported."""
    app = typer.Typer(name="zaigang", add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
    app.callback()(_options)
    for one in SUBCOMMANDS:
        # The subcommand parses everything after its name itself, `--help` included.
        settings = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
        app.command(one.name, help=one.help, context_settings=settings)(_passing_on(one))
    return app


def main() -> None:
    """Run the command line. An error of one of our trees is one line on stderr and exit code 1."""
    try:
        build()(prog_name="zaigang")
    except Exception as error:
        if os.environ.get("ZAIGANG_TRACEBACK") or not (_is_ours(error) or isinstance(error, OSError)):
            raise
        _stop(str(error) or type(error).__name__, FAILED)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"zaigang {installed_version()}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Zaigang 在岗: punch terminals that sign what they saw, a collector that keeps it, and a verifier for anyone."""


def installed_version() -> str:
    """The installed version; a source tree that was never installed has none."""
    try:
        return importlib.metadata.version("zaigang")
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"


def _passing_on(subcommand: Subcommand) -> Callable[[typer.Context], None]:
    """Return the callback of one subcommand: import its module, hand over the arguments."""

    def run(context: typer.Context) -> None:
        # Whatever the subcommand's own parser decides (usage errors, exit codes) leaves as SystemExit and stands.
        try:
            load(subcommand)(args=context.args, prog_name=f"zaigang {subcommand.name}")
        except ModuleNotFoundError as error:
            _explain_missing(subcommand, error)

    return run


def load(subcommand: Subcommand) -> typer.Typer:
    """Import a subcommand. Raises ModuleNotFoundError where it or what it needs is not installed."""
    module = importlib.import_module(subcommand.module)
    app = getattr(module, "app", None)
    if isinstance(app, typer.Typer):
        if app.registered_callback is None:
            # Without a callback typer makes a group of one command into that command.
            app.callback(help=subcommand.help)(lambda: None)
    else:
        app = typer.Typer()
        app.command(subcommand.name)(module.command)
    # One way to fail for all: no completion options, no boxes around tracebacks (main prints our errors).
    app._add_completion = False
    app.pretty_exceptions_enable = False
    return app


def _explain_missing(subcommand: Subcommand, error: ModuleNotFoundError) -> NoReturn:
    name = error.name or ""
    if name == subcommand.module:
        _stop(f"the command {subcommand.name!r} is not in this installation", UNUSABLE)
    if name.partition(".")[0] == "benchmarks":
        _stop(f"{subcommand.name} runs from a source tree, where benchmarks/ is: make bench", UNUSABLE)
    if subcommand.extra is None or name.partition(".")[0] in _OURS:
        raise error  # nothing that an extra would bring: a fault of ours, shown in full
    _stop(f"{subcommand.name} needs {name}, which is missing: pip install 'zaigang[{subcommand.extra}]'", UNUSABLE)


def _is_ours(error: Exception) -> bool:
    """Whether the error belongs to a tree of ours; judged by name so that no tree is imported for it."""
    return any(kind.__module__.partition(".")[0] in _OURS for kind in type(error).__mro__)


def _stop(message: str, code: int) -> NoReturn:
    print(f"zaigang: {' '.join(message.split())}", file=sys.stderr)
    raise SystemExit(code)


if __name__ == "__main__":
    main()
