"""The witness's key: a file of mode 0600, made at the first start."""

from __future__ import annotations

import os
from pathlib import Path

from evidence.errors import InvalidKey
from evidence.keys import Ed25519Key
from evidence.note import NoteSigner, SignatureType, parse_signing_key, signing_key_text
from witness.errors import WitnessSettingsError


def load_or_create(path: Path, name: str | None) -> NoteSigner:
    """Read the key, or make one under `name` where there is none. Raises WitnessSettingsError."""
    try:
        if not path.exists():
            if name is None:
                raise WitnessSettingsError("a new witness needs a name, for example witness.example.org/works-council")
            _create(path, name)
        mode = path.stat().st_mode & 0o777
        if mode & 0o077:
            raise WitnessSettingsError(f"{path} is readable by others (mode {mode:o}); run: chmod 600 {path}")
        signer = parse_signing_key(path.read_text())
    except (OSError, UnicodeDecodeError, InvalidKey) as error:
        raise WitnessSettingsError(f"the witness's key {path} cannot be used: {error}") from error
    if signer.type is not SignatureType.COSIGNATURE_V1:
        raise WitnessSettingsError(f"{path} holds a log's key; a witness needs one of its own")
    if name not in (None, signer.name):
        raise WitnessSettingsError(f"this witness is {signer.name}, not {name}; its name is part of its key")
    return signer


def _create(path: Path, name: str) -> None:
    text = signing_key_text(name, SignatureType.COSIGNATURE_V1, Ed25519Key.generate())
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
