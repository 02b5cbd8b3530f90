"""Make MediaPipe's `face_landmarker.task` from the .tflite files that the mediapipe 0.10.18 wheel carries. Pure:
bytes in, bytes out.

A .task is a ZIP of stored, 4-byte aligned entries. The Tasks graph wants two outputs from the landmark model, 478x3
values and a presence score; `face_landmark_with_attention.tflite` has seven, so the merging that the old solution did
in its graph (refine_landmarks=True) is appended to the model itself as RESHAPE, CONCATENATION and GATHER.
"""

from __future__ import annotations

import importlib.util
import io
import struct
import zipfile
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import flatbuffers
import numpy as np
from numpy.typing import NDArray

from kiosk.verify import refined_points
from kiosk.verify.errors import LibraryMissing, ModelCorrupted

DETECTOR_ENTRY = "face_detector.tflite"
LANDMARKS_ENTRY = "face_landmarks_detector.tflite"

POINTS = 478  # 468 of the mesh, then five of each iris
MESH_POINTS = 468
# An iris has no depth of its own: it takes that of the middle of its upper eyelid.
LEFT_IRIS_DEPTH_FROM = 159
RIGHT_IRIS_DEPTH_FROM = 386

MESH_OUTPUT = "output_mesh_identity"
REFINED_OUTPUTS = {
    "output_lips": refined_points.LIPS,
    "output_left_eye": refined_points.LEFT_EYE,
    "output_right_eye": refined_points.RIGHT_EYE,
    "output_left_iris": refined_points.LEFT_IRIS,
    "output_right_iris": refined_points.RIGHT_IRIS,
}
PRESENCE_OUTPUT = "conv_faceflag"

ALIGNMENT = 4  # bytes; mediapipe maps the entries into memory and reads them in place
ZIP_HEADER = 30  # bytes of a ZIP's local file header before the name
ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest a ZIP can say, so that the same models make the same bytes
TFLITE_IDENTIFIER = b"TFL3"


def build_bundle(detector: bytes, attention_landmarks: bytes) -> bytes:
    """Return a `face_landmarker.task` made of the short-range detector and the landmark model with attention.

    Raises ModelCorrupted when a model does not have the expected outputs, LibraryMissing without mediapipe.
    """
    return pack_task({DETECTOR_ENTRY: detector, LANDMARKS_ENTRY: merge_outputs(attention_landmarks)})


def pack_task(entries: dict[str, bytes]) -> bytes:
    """Return a ZIP with every entry stored, aligned and dated alike: the same entries make the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in entries.items():
            info = zipfile.ZipInfo(name, date_time=ZIP_TIME)
            info.create_system = 3  # Unix, wherever it is made
            info.external_attr = 0o644 << 16
            header_end = buffer.tell() + ZIP_HEADER + len(name.encode())
            padding = -header_end % ALIGNMENT
            if padding:
                # An extra field of no meaning: number, length, zeros. It needs four bytes of its own.
                info.extra = struct.pack("<HH", 0xFFFF, padding) + bytes(padding)
            archive.writestr(info, content)
    return buffer.getvalue()


def gather_indices() -> NDArray[np.int32]:
    """Return where each of the 478x3 values lies in mesh, lips, eyes and irises laid end to end.

    x and y of lips, eyes and irises come from the refined outputs, everything else from the mesh.
    """
    indices = np.zeros((POINTS, 3), np.int32)
    indices[:MESH_POINTS] = np.arange(MESH_POINTS * 3).reshape(MESH_POINTS, 3)
    indices[list(refined_points.LEFT_IRIS), 2] = LEFT_IRIS_DEPTH_FROM * 3 + 2
    indices[list(refined_points.RIGHT_IRIS), 2] = RIGHT_IRIS_DEPTH_FROM * 3 + 2
    start = MESH_POINTS * 3
    for points in REFINED_OUTPUTS.values():
        for position, point in enumerate(points):
            indices[point, :2] = (start + 2 * position, start + 2 * position + 1)
        start += 2 * len(points)
    return indices.reshape(-1)


def merge_outputs(attention_landmarks: bytes) -> bytes:
    """Return the landmark model with its seven outputs merged into the two that the Tasks graph wants.

    Its metadata buffer (normalisation of the input) is kept. Raises ModelCorrupted when the outputs are other ones.
    """
    schema = tflite_schema()
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(attention_landmarks, 0))
    graph = model.subgraphs[0]
    outputs = {graph.tensors[number].name.decode(): int(number) for number in graph.outputs}
    wanted = [MESH_OUTPUT, *REFINED_OUTPUTS]
    if set(outputs) != {*wanted, PRESENCE_OUTPUT}:
        raise ModelCorrupted(f"the landmark model has the outputs {sorted(outputs)}; it is not the one with attention")

    surgery = _Surgery(schema, model)
    flat = [surgery.flatten(outputs[name]) for name in wanted]
    joined = surgery.concatenate(flat)
    merged = surgery.gather(joined, gather_indices().reshape(1, 1, 1, POINTS * 3))
    graph.outputs = np.array([merged, outputs[PRESENCE_OUTPUT]], np.int32)

    builder = flatbuffers.Builder(len(attention_landmarks) + (64 << 10))
    builder.Finish(model.Pack(builder), TFLITE_IDENTIFIER)
    return bytes(builder.Output())


class _Surgery:
    """Appends operators to the first subgraph of a TFLite model; every method returns the number of its output
    tensor.
    """

    def __init__(self, schema: ModuleType, model: Any) -> None:
        self._schema = schema
        self._model = model
        self._graph = model.subgraphs[0]

    def flatten(self, tensor: int) -> int:
        length = int(np.prod(self._graph.tensors[tensor].shape))
        shape = np.array([length], np.int32)
        options = self._schema.ReshapeOptionsT()
        options.newShape = shape
        number = self._tensor(f"flat_{length}_{tensor}", [length], self._schema.TensorType.FLOAT32)
        constant = self._constant(f"flat_{length}_{tensor}_shape", shape)
        return self._operator("RESHAPE", "ReshapeOptions", options, [tensor, constant], number)

    def concatenate(self, tensors: list[int]) -> int:
        length = sum(int(self._graph.tensors[number].shape[0]) for number in tensors)
        options = self._schema.ConcatenationOptionsT()
        options.axis = 0
        number = self._tensor("mesh_and_refinements", [length], self._schema.TensorType.FLOAT32)
        return self._operator("CONCATENATION", "ConcatenationOptions", options, tensors, number)

    def gather(self, tensor: int, indices: NDArray[np.int32]) -> int:
        options = self._schema.GatherOptionsT()
        options.axis = 0
        number = self._tensor("refined_landmarks", list(indices.shape), self._schema.TensorType.FLOAT32)
        constant = self._constant("refined_landmark_indices", indices)
        return self._operator("GATHER", "GatherOptions", options, [tensor, constant], number)

    def _operator(self, code: str, options_name: str, options: Any, inputs: list[int], output: int) -> int:
        operator = self._schema.OperatorT()
        operator.opcodeIndex = self._opcode(getattr(self._schema.BuiltinOperator, code))
        operator.inputs = np.array(inputs, np.int32)
        operator.outputs = np.array([output], np.int32)
        operator.builtinOptionsType = getattr(self._schema.BuiltinOptions, options_name)
        operator.builtinOptions = options
        self._graph.operators.append(operator)
        return output

    def _opcode(self, builtin: int) -> int:
        for number, code in enumerate(self._model.operatorCodes):
            if max(code.builtinCode, code.deprecatedBuiltinCode) == builtin:
                return number
        code = self._schema.OperatorCodeT()
        code.builtinCode = builtin
        code.deprecatedBuiltinCode = builtin
        code.version = 1
        self._model.operatorCodes.append(code)
        return len(self._model.operatorCodes) - 1

    def _tensor(self, name: str, shape: list[int], kind: int, buffer: int = 0) -> int:
        tensor = self._schema.TensorT()
        tensor.name = name.encode()
        tensor.shape = np.array(shape, np.int32)
        tensor.type = kind
        tensor.buffer = buffer
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def _constant(self, name: str, values: NDArray[np.int32]) -> int:
        buffer = self._schema.BufferT()
        buffer.data = np.frombuffer(values.astype("<i4").tobytes(), np.uint8)
        self._model.buffers.append(buffer)
        kind = self._schema.TensorType.INT32
        return self._tensor(name, list(values.shape), kind, buffer=len(self._model.buffers) - 1)


@lru_cache(maxsize=1)
def tflite_schema() -> ModuleType:
    """Return mediapipe's generated classes of the TFLite schema, loaded by their place.

    By name the package's own __init__ would run first; that fails in 1.2 and would load the native library.
    """
    package = importlib.util.find_spec("mediapipe")
    if package is None or not package.submodule_search_locations:
        raise LibraryMissing("mediapipe is not installed: pip install 'zaigang[kiosk]'")
    place = Path(package.submodule_search_locations[0], "tasks", "metadata", "schema_py_generated.py")
    spec = importlib.util.spec_from_file_location("zaigang_tflite_schema", place)
    if spec is None or spec.loader is None or not place.is_file():
        raise LibraryMissing(f"this mediapipe has no {place.name}; install mediapipe 0.10.18 or 1.2")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
