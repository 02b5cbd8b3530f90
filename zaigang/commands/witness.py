"""`zaigang witness …`: watch somebody's ledger and cosign only what has grown (c2sp.org/tlog-witness)."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from evidence.errors import InvalidKey
from evidence.note import SignatureType, VerifierKey
from witness.errors import WitnessSettingsError
from witness.keyfile import load_or_create

app = typer.Typer(no_args_is_help=True, help="A witness: cosigns a ledger's checkpoints while nothing is taken back.")

DataOption = Annotated[Path, typer.Option("--data", help="Folder of the key and of what was cosigned.")]
NameOption = Annotated[
    str | None, typer.Option("--name", help="Who this is, e.g. witness.example.org/council; fixed at the first start.")
]
LOG_HELP = "A ledger to watch: its vkey, as `zaigang collector checkpoint` prints it. Once for each key."
DEFAULT_DATA = Path.home() / ".local" / "share" / "zaigang" / "witness"


@app.command()
def run(
    log: Annotated[list[str], typer.Option("--log", help=LOG_HELP)],
    data: DataOption = DEFAULT_DATA,
    name: NameOption = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="TCP port.")] = 8090,
) -> None:
    """Run the witness until it is stopped."""
    import uvicorn

    from witness.app import create_app
    from witness.memory import Memory
    from witness.witness import KnownLog, Witness

    signer = load_or_create(_key_path(data), name)
    keys: dict[str, list[VerifierKey]] = {}
    for text in log:
        key = _log_key(text)
        keys.setdefault(key.name, []).append(key)
    known = [KnownLog(origin, tuple(held)) for origin, held in keys.items()]
    memory = Memory(data / "witness.sqlite")
    print(f"witness {signer.public.text()}\nhttp://{host}:{port}", file=sys.stderr)
    try:
        uvicorn.run(create_app(Witness(signer, known, memory, time.time)), host=host, port=port, log_level="warning")
    finally:
        memory.close()


@app.command()
def key(
    data: DataOption = DEFAULT_DATA,
    name: NameOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print the witness's public key (vkey), making it first where there is none."""
    public = load_or_create(_key_path(data), name).public
    print(json.dumps({"name": public.name, "vkey": public.text()}) if as_json else public.text())


def _key_path(data: Path) -> Path:
    return data / "witness.skey"


def _log_key(text: str) -> VerifierKey:
    try:
        found = VerifierKey.parse(text)
    except InvalidKey as error:
        raise WitnessSettingsError(f"--log {text[:40]!r} cannot be used: {error}") from error
    if found.type is not SignatureType.ED25519:
        raise WitnessSettingsError(f"--log {text[:40]!r} is a witness's key, not a ledger's")
    return found
