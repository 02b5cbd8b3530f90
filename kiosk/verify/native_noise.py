"""Keep mediapipe's and OpenCV's habitual messages off standard error, and let everything else through.

TensorFlow Lite and Abseil write to file descriptor 2 before their log levels can be set; GLOG_minloglevel and
TF_CPP_MIN_LOG_LEVEL do not reach these lines (tried with mediapipe 0.10.18 and 1.2.2).
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

HABITUAL = (
    b"Created TensorFlow Lite XNNPACK delegate",
    b"Logging before InitGoogle()",
    b"All log messages before absl::InitializeLog()",
    b"Feedback manager requires a model with a single signature",
    b"GPU suport is not available",  # sic
    b"Targets are not supported by the new graph engine",  # OpenCV 5.0, for every network, whatever target is asked
)
STDERR = 2  # file descriptor

_one_at_a_time = threading.Lock()


@contextmanager
def native_noise_filtered() -> Iterator[None]:
    """Hold back what is written to standard error inside the block, then write it without the habitual lines."""
    with _one_at_a_time, tempfile.TemporaryFile() as held:
        original = os.dup(STDERR)
        os.dup2(held.fileno(), STDERR)
        try:
            yield
        finally:
            os.dup2(original, STDERR)
            os.close(original)
            held.seek(0)
            for line in held:
                if not any(habit in line for habit in HABITUAL):
                    os.write(STDERR, line)
