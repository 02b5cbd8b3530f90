"""What a part says is held against what it hangs on."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from evidence.status import Part
from kiosk.part_states import PartStates

SAME = SimpleNamespace(part=Part(state="working"))


@pytest.mark.parametrize(
    ("camera", "scene"), [("working", "working"), ("degraded", "working"), ("failed", "unknown"), ("absent", "unknown")]
)
def test_a_camera_that_delivers_nothing_shows_no_scene_whatever_was_seen_last(camera: str, scene: str) -> None:
    reason = "" if camera == "working" else "camera_failed: no picture"
    eyes = SimpleNamespace(state=Part.model_validate({"state": camera, "reason": reason}))
    found = PartStates._scene(SimpleNamespace(scene=SAME, eyes=eyes))  # type: ignore[arg-type]  # all that it asks
    assert found.state == scene
    assert (scene == "working") or found.reason.startswith("scene_unseen: ")
