"""The command line: it names everything, imports little, and fails in one line."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from zaigang.cli import SUBCOMMANDS

ROOT = Path(__file__).parents[2]


def zaigang(*args: str, before: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    """Run `zaigang` in a process of its own; `before` is Python that runs first."""
    code = f"{textwrap.dedent(before)}\nimport sys\nfrom zaigang.cli import main\nsys.argv[0] = 'zaigang'\nmain()"
    return subprocess.run(
        [sys.executable, "-c", code, *args],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        env={**os.environ, "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "100", **env},
    )


def one_line(text: str) -> str:
    lines = text.splitlines()
    assert len(lines) == 1, text
    return lines[0]


# A module that the machine does not have, for whoever asks.
def without(*names: str) -> str:
    return f"""
        import sys
        class Missing:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] in {names!r} or name in {names!r}:
                    raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
        sys.meta_path.insert(0, Missing())
    """


# A subcommand's module that a test makes up.
def with_command(name: str, body: str) -> str:
    source = textwrap.dedent(body)
    return f"""
        import sys, types
        module = types.ModuleType("zaigang.commands.{name}")
        exec({source!r}, module.__dict__)
        sys.modules["zaigang.commands.{name}"] = module
    """


def test_help_lists_every_command_without_importing_one() -> None:
    done = zaigang("--help", before=without("kiosk", "collector", "cv2", "sqlmodel", "nicegui", "paho", "cryptography"))
    assert done.returncode == 0, done.stderr
    for one in SUBCOMMANDS:
        assert one.name in done.stdout


def test_the_version_is_the_packages() -> None:
    done = zaigang("--version")
    assert (done.returncode, one_line(done.stdout).split()[0]) == (0, "zaigang")


def test_verify_imports_nothing_of_the_terminal_or_the_collector() -> None:
    after = """
        import atexit, sys
        tops = lambda: {name.partition(".")[0] for name in sys.modules}
        wanted = {"kiosk", "collector", "paho", "nicegui", "fastapi", "cv2", "mediapipe", "sqlmodel", "numpy"}
        atexit.register(lambda: print("LOADED", sorted(tops() & wanted)))
    """
    done = zaigang("verify", "--help", before=after)
    assert done.returncode == 0, done.stderr
    assert "LOADED []" in done.stdout


@pytest.mark.parametrize("name", ["kiosk", "collector", "demo"])
def test_a_missing_extra_is_one_line_that_says_what_to_install(name: str) -> None:
    needy = with_command(
        name, "import typer\napp = typer.Typer()\n@app.command()\ndef run():\n    import nosuchlibrary\n"
    )
    done = zaigang(name, "run", before=without("nosuchlibrary") + needy)
    assert done.returncode == 2
    assert f"pip install 'zaigang[{name}]'" in one_line(done.stderr)


def test_a_command_that_is_not_in_this_installation_says_so() -> None:
    done = zaigang("kiosk", "run", before=without("zaigang.commands.kiosk"))
    assert (done.returncode, one_line(done.stderr)) == (
        2,
        "zaigang: the command 'kiosk' is not in this installation",
    )


def test_benchmarks_run_from_a_source_tree() -> None:
    needy = with_command("bench", "def command() -> None:\n    import benchmarks.journal\n")
    done = zaigang("bench", before=without("benchmarks") + needy)
    assert done.returncode == 2
    assert "source tree" in one_line(done.stderr)


def test_a_module_of_ours_that_is_missing_is_a_fault_and_shown_in_full() -> None:
    needy = with_command("kiosk", "def command() -> None:\n    import kiosk.nothing_of_this_name\n")
    done = zaigang("kiosk", before=needy)
    assert done.returncode == 1
    assert "Traceback" in done.stderr


@pytest.mark.parametrize(
    "body",
    [
        "from evidence.errors import Gap\ndef command() -> None:\n    raise Gap('seq 3 is\\nmissing')\n",
        "def command() -> None:\n    open('/nonexistent/file')\n",
    ],
)
def test_an_error_of_ours_is_one_line(body: str) -> None:
    done = zaigang("demo", before=with_command("demo", body))
    assert done.returncode == 1
    assert one_line(done.stderr).startswith("zaigang: ")


def test_an_error_that_nobody_foresaw_keeps_its_traceback() -> None:
    done = zaigang("demo", before=with_command("demo", "def command() -> None:\n    raise KeyError('x')\n"))
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    asked = with_command("demo", "from evidence.errors import Gap\ndef command() -> None:\n    raise Gap('x')\n")
    assert "Traceback" in zaigang("demo", before=asked, ZAIGANG_TRACEBACK="1").stderr


def test_arguments_options_and_exit_codes_pass_through() -> None:
    body = """
        import typer
        app = typer.Typer()
        @app.command()
        def add(name: str, key: str = "", loud: bool = False) -> None:
            print(name, key, loud)
            raise typer.Exit(7)
    """
    before = with_command("collector", body)
    done = zaigang("collector", "add", "gate-1", "--key", "k", "--loud", before=before)
    assert (done.returncode, done.stdout.strip()) == (7, "gate-1 k True")
    usage = zaigang("collector", "add", "--nothing", before=before)
    assert usage.returncode == 2
    assert "zaigang collector add" in usage.stderr
    help_text = zaigang("collector", "--help", before=before)
    assert help_text.returncode == 0
    assert "add" in help_text.stdout


def test_an_unknown_command_and_no_command_are_wrong_usage() -> None:
    assert zaigang("nothing").returncode == 2
    assert zaigang().returncode == 2
