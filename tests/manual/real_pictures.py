"""Compare every pair of portraits in a folder at the shipped threshold: `python -m tests.manual.real_pictures FOLDER`.

Pictures of one person share their name up to the digits (anna.jpg, anna2.jpg). Not a test: nobody's pictures are in
this repository. Distances are printed for calibration; a terminal never records them.
"""

from __future__ import annotations

import re
import sys
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np

from kiosk.verify.embedder import DlibEmbedder
from kiosk.verify.landmarks import LandmarkDetector
from kiosk.verify.matcher import THRESHOLD, distance
from kiosk.verify.models import landmark_bundle


def main(folder: Path) -> int:
    """Print a table; 0 if every pair came out right."""
    embedder, vectors = DlibEmbedder(), {}
    with LandmarkDetector(landmark_bundle(), "image") as detector:
        for path in sorted(folder.glob("*.jpg")):
            image = np.asarray(cv2.imread(str(path)), np.uint8)
            faces = detector.detect(image, 0)
            if faces:
                vectors[path.stem] = embedder.embed(image, faces[0])
            else:
                print(f"{path.stem}: no face")
    wrong = 0
    for one, other in combinations(vectors, 2):
        mates = re.sub(r"\d+$", "", one) == re.sub(r"\d+$", "", other)
        apart = distance(vectors[one], vectors[other])
        right = mates == (apart <= THRESHOLD)
        wrong += not right
        print(f"{one:12} {other:12} {apart:.3f}  {'mates' if mates else 'others':6} {'ok' if right else 'WRONG'}")
    print(f"{wrong} wrong at {THRESHOLD} ({embedder.model_id})")
    return int(wrong > 0 or not vectors)


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
