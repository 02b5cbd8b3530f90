from __future__ import annotations

import hashlib
import io
import os
import random
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kiosk.verify import wheel_download
from kiosk.verify.errors import DownloadFailed, LibraryMissing, ModelCorrupted, ModelMissing
from kiosk.verify.landmark_bundle import DETECTOR_ENTRY, LANDMARKS_ENTRY, build_bundle
from kiosk.verify.model_store import Silent, sha256_of
from kiosk.verify.models import (
    BUNDLE_NAME,
    BUNDLE_SHA256,
    DETECTOR_MODEL,
    EMBEDDING_SHA256,
    LANDMARK_MODEL,
    face_embedding_model,
    landmark_bundle,
    model_id,
    models_in_wheel,
)
from kiosk.verify.wheel_download import PinnedWheel, download, fetch_wheel
from tests.support.faces import ROOT, bundle, other_python, pinned_models, run_with_other_mediapipe
from tests.support.ranged_server import RangedServer, ranged_server

CONTENT = random.Random(1).randbytes(300_000)
CONTENT_SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[RangedServer]:
    monkeypatch.setattr(wheel_download, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ranged_server() as one:
        one.files["/wheel"] = CONTENT
        yield one


class TestTheBundle:
    def test_built_from_the_pinned_models_is_the_pinned_bundle(self) -> None:
        models = pinned_models()
        built = build_bundle(models[DETECTOR_MODEL], models[LANDMARK_MODEL])
        assert hashlib.sha256(built).hexdigest() == BUNDLE_SHA256[0]

    def test_holds_its_models_stored_and_aligned_because_mediapipe_reads_them_in_place(self) -> None:
        data = bundle().read_bytes()
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            assert archive.namelist() == [DETECTOR_ENTRY, LANDMARKS_ENTRY]
            for entry in archive.infolist():
                assert entry.compress_type == zipfile.ZIP_STORED
                assert data.index(archive.read(entry)) % 4 == 0

    def test_built_by_the_older_flatbuffers_is_the_other_pinned_bundle(self, tmp_path: Path) -> None:
        done = run_with_other_mediapipe("-m", "kiosk.verify.models", ZAIGANG_MODELS=str(tmp_path))
        assert "taking the models out of the installed mediapipe" in done.stderr, done.stderr
        assert f"landmarks  {BUNDLE_SHA256[1]}" in done.stdout

    def test_of_another_landmark_model_is_refused(self) -> None:
        models = pinned_models()
        with pytest.raises(ModelCorrupted, match="not the one with attention"):
            build_bundle(models[DETECTOR_MODEL], models[DETECTOR_MODEL])


class TestTheCache:
    @pytest.mark.parametrize(
        "damage", [lambda data: data[:-1], lambda data: b"", lambda data: data[:1000] + b"?" + data[1001:]]
    )
    def test_a_damaged_bundle_is_noticed_at_its_next_use(self, tmp_path: Path, damage: object) -> None:
        assert callable(damage)
        (tmp_path / BUNDLE_NAME).write_bytes(bundle().read_bytes())
        assert landmark_bundle(folder=tmp_path) == tmp_path / BUNDLE_NAME
        (tmp_path / BUNDLE_NAME).write_bytes(damage(bundle().read_bytes()))
        with pytest.raises(ModelCorrupted, match=r"python -m kiosk\.verify\.models"):
            landmark_bundle(folder=tmp_path)

    def test_set_up_repairs_a_damaged_bundle(self, tmp_path: Path) -> None:
        (tmp_path / BUNDLE_NAME).write_bytes(b"half a bundle")
        done = run_with_other_mediapipe("-m", "kiosk.verify.models", ZAIGANG_MODELS=str(tmp_path))
        assert "is damaged and is built again" in done.stderr
        assert sha256_of(tmp_path / BUNDLE_NAME) in BUNDLE_SHA256

    def test_a_missing_bundle_says_what_to_run(self, tmp_path: Path) -> None:
        with pytest.raises(ModelMissing, match=r"python -m kiosk\.verify\.models"):
            landmark_bundle(folder=tmp_path)

    def test_two_builders_at_once_leave_one_good_bundle(self, tmp_path: Path) -> None:
        environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "ZAIGANG_MODELS": str(tmp_path)}
        command = [other_python(), "-m", "kiosk.verify.models"]
        builders = [
            subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for _ in range(3)
        ]
        said = [one.communicate(timeout=120) for one in builders]
        assert all(BUNDLE_SHA256[1] in out for out, _ in said)
        assert sum("building the landmark bundle" in err for _, err in said) == 1
        assert {one.name for one in tmp_path.iterdir()} == {BUNDLE_NAME, ".lock"}


class TestAConfiguredBundle:
    def test_is_taken_as_it_is_and_named_by_its_own_hash(self, tmp_path: Path) -> None:
        official = tmp_path / "official.task"
        with zipfile.ZipFile(official, "w") as archive:
            archive.writestr("face_detector.tflite", b"of another make")
        assert landmark_bundle(official) == official
        assert model_id(official) == f"sha256:{hashlib.sha256(official.read_bytes()).hexdigest()}"

    def test_cut_short_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "official.task").write_bytes(bundle().read_bytes()[:-100])
        with pytest.raises(ModelCorrupted, match="no bundle"):
            landmark_bundle(tmp_path / "official.task")

    def test_that_does_not_exist_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ModelMissing, match="does not exist"):
            landmark_bundle(tmp_path / "nothing")


class TestADownload:
    def test_goes_on_where_the_line_broke(self, server: RangedServer, tmp_path: Path) -> None:
        server.cuts = [100_000, 50_000]
        download(f"{server.url}/wheel", CONTENT_SHA256, tmp_path / "wheel", Silent())
        assert (tmp_path / "wheel").read_bytes() == CONTENT
        assert server.asked == [None, "bytes=100000-", "bytes=150000-"]

    def test_goes_on_where_a_killed_one_stopped(self, server: RangedServer, tmp_path: Path) -> None:
        (tmp_path / "wheel.part").write_bytes(CONTENT[:123_456])
        download(f"{server.url}/wheel", CONTENT_SHA256, tmp_path / "wheel", Silent())
        assert (tmp_path / "wheel").read_bytes() == CONTENT
        assert server.asked == ["bytes=123456-"]
        assert not (tmp_path / "wheel.part").exists()

    def test_starts_again_when_the_server_knows_no_range(self, server: RangedServer, tmp_path: Path) -> None:
        server.ranges_known = False
        (tmp_path / "wheel.part").write_bytes(CONTENT[:1000])
        download(f"{server.url}/wheel", CONTENT_SHA256, tmp_path / "wheel", Silent())
        assert (tmp_path / "wheel").read_bytes() == CONTENT

    @pytest.mark.parametrize("part", [CONTENT, CONTENT + b"too long"])
    def test_copes_with_a_part_that_is_whole_or_longer(self, server: RangedServer, tmp_path: Path, part: bytes) -> None:
        (tmp_path / "wheel.part").write_bytes(part)
        download(f"{server.url}/wheel", CONTENT_SHA256, tmp_path / "wheel", Silent())
        assert (tmp_path / "wheel").read_bytes() == CONTENT

    def test_of_another_file_is_refused_and_not_resumed(self, server: RangedServer, tmp_path: Path) -> None:
        with pytest.raises(ModelCorrupted):
            download(f"{server.url}/wheel", "0" * 64, tmp_path / "wheel", Silent())
        assert list(tmp_path.iterdir()) == []

    def test_that_never_gets_on_ends_and_keeps_what_came(self, server: RangedServer, tmp_path: Path) -> None:
        server.cuts = [1000] + [0] * 50
        with pytest.raises(DownloadFailed, match="broke off at 1000 bytes"):
            download(f"{server.url}/wheel", CONTENT_SHA256, tmp_path / "wheel", Silent())
        assert (tmp_path / "wheel.part").read_bytes() == CONTENT[:1000]

    def test_reports_how_far_it_is(self, server: RangedServer, tmp_path: Path) -> None:
        seen: list[tuple[int, int | None]] = []

        class Watched(Silent):
            def downloaded(self, done: int, total: int | None) -> None:
                seen.append((done, total))

        (tmp_path / "wheel.part").write_bytes(CONTENT[:1000])
        download(f"{server.url}/wheel", CONTENT_SHA256, tmp_path / "wheel", Watched())
        assert seen[0][0] > 1000
        assert seen[-1] == (len(CONTENT), len(CONTENT))


class TestTheWheel:
    def test_is_found_through_the_index_that_pip_is_configured_for(
        self, server: RangedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wheel, pinned = self.a_wheel(server)
        server.cuts = []
        self.configure_pip(monkeypatch, f"{server.url}/simple/")
        fetched = fetch_wheel(pinned, tmp_path / "wheel", Silent())
        assert fetched.read_bytes() == wheel

    def test_that_no_index_has_is_a_clear_error(
        self, server: RangedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.configure_pip(monkeypatch, f"{server.url}/empty/")
        _, pinned = self.a_wheel(server)
        with pytest.raises(DownloadFailed, match="pip download failed: ERROR"):
            fetch_wheel(pinned, tmp_path / "wheel", Silent())

    def test_without_the_models_is_refused(self, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "wheel", "w") as archive:
            archive.writestr(f"mediapipe/{DETECTOR_MODEL}", b"other bytes")
            archive.writestr(f"mediapipe/{LANDMARK_MODEL}", b"other bytes")
        with pytest.raises(ModelCorrupted, match="is not the pinned model"):
            models_in_wheel(tmp_path / "wheel")

    def test_cannot_be_looked_for_without_pip(self, tmp_path: Path) -> None:
        done = self.in_a_bare_venv(tmp_path, "-c", "from kiosk.verify.wheel_download import require_pip; require_pip()")
        assert "bare/bin/python has no pip" in done.stderr
        assert "-m ensurepip" in done.stderr

    def test_is_not_fetched_where_it_could_not_be_used_which_is_said_in_one_line(self, tmp_path: Path) -> None:
        done = self.in_a_bare_venv(tmp_path, "-m", "kiosk.verify.models")
        assert done.returncode == 1
        assert done.stderr == "models: flatbuffers is not installed: pip install 'zaigang[kiosk]'\n"

    @staticmethod
    def in_a_bare_venv(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        venv.create(folder / "bare", with_pip=False)
        return subprocess.run(
            [folder / "bare" / "bin" / "python", *arguments],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "ZAIGANG_MODELS": str(folder / "models")},
            capture_output=True,
            text=True,
        )

    @staticmethod
    def a_wheel(server: RangedServer) -> tuple[bytes, PinnedWheel]:
        """Put a small installable wheel of an unheard-of name on the server's index."""
        name, buffer = "zaigang_model_test-1.0-cp311-cp311-manylinux2014_x86_64.whl", io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            info = "zaigang_model_test-1.0.dist-info"
            archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: zaigang-model-test\nVersion: 1.0\n")
            archive.writestr(
                f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: cp311-cp311-manylinux2014_x86_64\n"
            )
            archive.writestr(f"{info}/RECORD", "")
        sha256 = hashlib.sha256(buffer.getvalue()).hexdigest()
        server.files[f"/files/{name}"] = buffer.getvalue()
        link = f'<a href="/files/{name}#sha256={sha256}">{name}</a>'
        server.files["/simple/zaigang-model-test/"] = f"<!DOCTYPE html><html><body>{link}</body></html>".encode()
        return buffer.getvalue(), PinnedWheel("zaigang-model-test==1.0", "3.11", "manylinux2014_x86_64", sha256)

    @staticmethod
    def configure_pip(monkeypatch: pytest.MonkeyPatch, index: str) -> None:
        for variable in [one for one in os.environ if one.startswith("PIP_")]:
            monkeypatch.delenv(variable)
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        monkeypatch.setenv("PIP_INDEX_URL", index)
        monkeypatch.setenv("PIP_RETRIES", "0")


class TestTheEmbeddingModel:
    def test_is_the_pinned_file_and_its_package_is_not_imported(self) -> None:
        assert sha256_of(face_embedding_model()) == EMBEDDING_SHA256
        assert "face_recognition_models" not in sys.modules

    def test_missing_says_what_to_install(self) -> None:
        done = run_with_other_mediapipe("-c", "from kiosk.verify.models import *; face_embedding_model()")
        assert "pip install 'zaigang[kiosk]'" in done.stderr


def test_a_python_without_mediapipe_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from kiosk.verify import landmark_bundle as recipe

    monkeypatch.setattr(recipe.importlib.util, "find_spec", lambda name: None)
    recipe.tflite_schema.cache_clear()
    with pytest.raises(LibraryMissing, match="mediapipe is not installed"):
        recipe.tflite_schema()
    recipe.tflite_schema.cache_clear()
