"""A small ONNX network with SFace's shape, 1x3x112x112 to 1x128, written without the `onnx` package.

Its weights are random numbers that take the average brightness away: it tells pictures apart and knows nothing of
faces. SFace's own weights were never run here.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

SIDE, POOL = 112, 8
FLOAT, INT, INTS = 1, 2, 7  # of onnx.proto: TensorProto.FLOAT, AttributeProto.INT and INTS


def write_small_sface(path: Path, outputs: int = 128, scale: float = 1.0) -> str:
    """Write the network; return its SHA-256 in hex. `scale` multiplies what comes out."""
    cells = 3 * (SIDE // POOL) ** 2
    weights = np.random.default_rng(7).normal(size=(cells, outputs)).astype("<f4")
    weights = scale * (weights - weights.mean(axis=0))
    nodes = (
        _node("AveragePool", ("data",), "pooled", _ints("kernel_shape", POOL, POOL) + _ints("strides", POOL, POOL)),
        _node("Flatten", ("pooled",), "flat", _int("axis", 1)),
        _node("MatMul", ("flat", "weights"), "fc1", b""),
    )
    tensor = _packed(1, weights.shape) + _number(2, FLOAT) + _bytes(8, b"weights") + _bytes(9, weights.tobytes())
    graph = b"".join(_bytes(1, node) for node in nodes) + _bytes(2, b"small") + _bytes(5, tensor)
    graph += _bytes(11, _value("data", (1, 3, SIDE, SIDE))) + _bytes(12, _value("fc1", (1, outputs)))
    model = _number(1, 8) + _bytes(7, graph) + _bytes(8, _bytes(1, b"") + _number(2, 13))  # IR version, graph, opset
    path.write_bytes(model)
    return hashlib.sha256(model).hexdigest()


def _node(kind: str, inputs: tuple[str, ...], output: str, attributes: bytes) -> bytes:
    names = b"".join(_bytes(1, name.encode()) for name in inputs) + _bytes(2, output.encode())
    return names + _bytes(3, kind.lower().encode()) + _bytes(4, kind.encode()) + attributes


def _ints(name: str, *values: int) -> bytes:
    return _bytes(5, _bytes(1, name.encode()) + b"".join(_number(8, value) for value in values) + _number(20, INTS))


def _int(name: str, value: int) -> bytes:
    return _bytes(5, _bytes(1, name.encode()) + _number(3, value) + _number(20, INT))


def _value(name: str, shape: tuple[int, ...]) -> bytes:
    dimensions = b"".join(_bytes(1, _number(1, size)) for size in shape)
    return _bytes(1, name.encode()) + _bytes(2, _bytes(1, _number(1, FLOAT) + _bytes(2, dimensions)))


def _packed(field: int, values: tuple[int, ...]) -> bytes:
    return _bytes(field, b"".join(_varint(value) for value in values))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
