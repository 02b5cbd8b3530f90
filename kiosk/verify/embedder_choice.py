"""Which embedder a terminal uses, as its settings say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from kiosk.verify.errors import ModelMissing

if TYPE_CHECKING:
    from kiosk.verify.embedder import Embedder

EmbedderName = Literal["dlib", "sface"]


@dataclass(frozen=True, slots=True)
class EmbedderChoice:
    """The embedder's name, and where it is SFace the operator's file and its SHA-256 (64 hex digits)."""

    name: EmbedderName = "dlib"
    sface_model: Path | None = None
    sface_sha256: str | None = None


def open_embedder(choice: EmbedderChoice) -> Embedder:
    """Make it. Raises ModelMissing, ModelCorrupted, LibraryMissing."""
    # Imported here: reading the settings needs no numpy.
    if choice.name == "dlib":
        from kiosk.verify.embedder import DlibEmbedder

        return DlibEmbedder()
    if choice.sface_model is None or choice.sface_sha256 is None:
        raise ModelMissing('embedder = "sface" needs sface_model and sface_sha256')
    from kiosk.verify.sface_embedder import SFaceEmbedder

    return SFaceEmbedder(choice.sface_model, choice.sface_sha256)
