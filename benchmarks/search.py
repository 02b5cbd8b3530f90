"""One face looked up among 10,000: the terminal's whole 1:N check against a bare matrix-vector distance in numpy.

Also how long the first search takes after a change, when every template is read and decrypted again.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from benchmarks.ratio import Ratio
from kiosk.verify.gallery import Gallery
from kiosk.verify.identity_check import identity_check
from kiosk.verify.matcher import MatchLimits

TEMPLATES, FRAMES, DIMENSIONS = 10_000, 5, 128
ROUNDS, SMOKE_ROUNDS = 300, 5
READINGS, SMOKE_READINGS = 5, 1
MODEL = "dlib-resnet-v1/bench/mp5.1"
SPREAD = 0.1  # of a vector's numbers: then strangers lie about 1.5 apart and frames of one person 0.3


def run(smoke: bool = False) -> list[Ratio]:
    """Measure. `smoke`: only see that it runs."""
    random = np.random.default_rng(1)
    people = random.normal(scale=SPREAD, size=(TEMPLATES, DIMENSIONS)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        gallery = Gallery(Path(folder) / "gallery.db", bytes(32))
        _enrol(gallery, people, random)
        searches = _searches(gallery, people, random, SMOKE_ROUNDS if smoke else ROUNDS)
        readings = [_first_ms(gallery, people[0]) for _ in range(SMOKE_READINGS if smoke else READINGS)]
        gallery.close()
    ours, bare = (median(one[place] for one in searches) for place in (0, 1))
    note = f"{TEMPLATES:,} templates, median of {len(searches)} searches, interleaved"
    return [
        Ratio("1:N check / bare matrix-vector distance", ours, bare, "ms", "<= 5 ms", note),
        Ratio("the first one after a change", median(readings), bare, "ms", "", "reads and decrypts every template"),
    ]


def _searches(
    gallery: Gallery, people: NDArray[np.float32], random: np.random.Generator, rounds: int
) -> list[tuple[float, float]]:
    """Pairs of ms, (ours, bare); whoever is first in a round is second in the next."""
    squares = np.einsum("ij,ij->i", people, people)
    found = []
    _first_ms(gallery, people[0])
    for number in range(rounds):
        vector = people[random.integers(TEMPLATES)] + random.normal(scale=0.01, size=DIMENSIONS).astype(np.float32)
        times = {}
        for what in ("ours", "bare") if number % 2 else ("bare", "ours"):
            start = time.perf_counter()
            if what == "ours":
                identity_check(vector, MODEL, gallery, None, MatchLimits(), TEMPLATES)
            else:
                np.argmin(squares - 2 * (people @ vector))
            times[what] = (time.perf_counter() - start) * 1000
        found.append((times["ours"], times["bare"]))
    return found


def _first_ms(gallery: Gallery, vector: NDArray[np.float32]) -> float:
    gallery.forget()
    start = time.perf_counter()
    identity_check(vector, MODEL, gallery, None, MatchLimits(), TEMPLATES)
    return (time.perf_counter() - start) * 1000


def _enrol(gallery: Gallery, people: NDArray[np.float32], random: np.random.Generator) -> None:
    """Enrol everyone without waiting for the disk: ten thousand commits take minutes, and are not what is measured."""
    gallery._database.execute("pragma synchronous = off")
    for number, one in enumerate(people):
        frames = one + random.normal(scale=0.02, size=(FRAMES, DIMENSIONS)).astype(np.float32)
        gallery.enrol(f"E-{number:05}", f"Worker {number}", MODEL, list(frames))


if __name__ == "__main__":
    for one in run():
        print(f"{one.name}: {one.ours:.2f} / {one.limit:.2f} {one.unit} = {one.ratio:.2f} {one.wanted}")
