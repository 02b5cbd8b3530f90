"""Write down what the picamera2 wheel's methods take, for tests on machines that have no libcamera.

    python tools/picamera2_signatures.py WHEEL > tests/kiosk/sensors/picamera2_signatures.json

`pip download --no-deps picamera2` fetches the wheel. It is read, never imported: picamera2 imports libcamera, which
exists only on a Raspberry Pi.
"""

from __future__ import annotations

import ast
import json
import sys
import zipfile
from pathlib import Path

CLASSES = {"picamera2/picamera2.py": "Picamera2", "picamera2/request.py": "CompletedRequest"}


def signatures(source: str, name: str) -> dict[str, list[list[str]]]:
    """Parameters of each method of the class `name`, as [name, kind], kind `required` or `optional`.

    Overloads are for type checkers; the last definition is the one that runs.
    """
    (found,) = (node for node in ast.parse(source).body if isinstance(node, ast.ClassDef) and node.name == name)
    methods = {}
    for node in found.body:
        if isinstance(node, ast.FunctionDef):
            if node.args.vararg or node.args.kwarg or node.args.kwonlyargs or node.args.posonlyargs:
                continue  # none of those that the terminal calls
            arguments = node.args.args
            first_optional = len(arguments) - len(node.args.defaults)
            kinds = ["required" if place < first_optional else "optional" for place in range(len(arguments))]
            methods[node.name] = [[one.arg, kind] for one, kind in zip(arguments, kinds, strict=True)]
    return methods


def main(wheel: Path) -> None:
    """Print the record of `wheel` as JSON."""
    with zipfile.ZipFile(wheel) as archive:
        record: dict[str, object] = {"version": wheel.name.split("-")[1]}
        for path, name in CLASSES.items():
            record[name] = signatures(archive.read(path).decode(), name)
    sys.stdout.write(json.dumps(record, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
