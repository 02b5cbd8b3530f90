"""How settings are read, and how a wrong one is told: a TOML file, tables laid over tables, a guess for a wrong key."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from kiosk.errors import SettingsError


def read_toml(path: Path | None) -> dict[str, Any]:
    """Return what the file says; nothing without one. Raises SettingsError."""
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}; see docs/examples/kiosk.toml") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not TOML: {error}") from error


def over(values: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Lay `above` over `values`, table by table."""
    merged = dict(values)
    for key, value in above.items():
        under = merged.get(key)
        merged[key] = over(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return merged


def foreign_variables(known: Iterable[str], prefix: str) -> list[str]:
    """Return the environment variables that begin with `prefix` and are no setting, without it, in lower case."""
    names = [name[len(prefix) :].lower() for name in os.environ if name.upper().startswith(prefix)]
    return [name for name in names if name.partition("__")[0] not in known]


def guess(key: str, known: Iterable[str], prefix: str = "") -> str:
    """Say that there is no such setting, and which one may be meant."""
    near = difflib.get_close_matches(key, sorted(known), n=1)
    written = prefix + (key.upper() if prefix else key)
    if not near:
        return f"{written}: no such setting"
    return f"{written}: no such setting; did you mean {prefix + (near[0].upper() if prefix else near[0])}?"


def named(error: ValidationError, known: Iterable[str], tables: Mapping[str, type[BaseModel]]) -> list[str]:
    """Return a line for each wrong value. `known`: the keys at the top, `tables`: those of each table."""
    lines = []
    for one in error.errors(include_url=False, include_input=False):
        where = ".".join(str(part) for part in one["loc"])
        if one["type"] == "extra_forbidden":
            table = tables.get(str(one["loc"][0])) if len(one["loc"]) > 1 else None
            lines.append(guess(str(one["loc"][-1]), table.model_fields if table is not None else known))
        else:
            lines.append(f"{where or 'settings'}: {one['msg'].removeprefix('Value error, ')}")
    return lines


def problems(path: Path | None, lines: list[str]) -> str:
    """Return the message of a SettingsError."""
    return "\n".join([f"the settings{'' if path is None else f' in {path}'} cannot be used:", *lines])
