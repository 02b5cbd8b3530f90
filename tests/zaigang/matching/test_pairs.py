from __future__ import annotations

from pathlib import Path

import pytest

from zaigang.matching import pairs as subject
from zaigang.matching.pairs import PairsError, read, read_csv, read_gallery

HEADER = b"image_a,image_b,mated\n"


def csv(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "pairs.csv"
    path.write_bytes(content)
    return path


def test_paths_are_relative_to_the_csv_and_a_picture_is_listed_once(tmp_path: Path) -> None:
    pairs = read(csv(tmp_path, HEADER + b"a.jpg,b.jpg,1\n\na.jpg,/elsewhere/c.jpg,False\n"))
    assert [one.path for one in pairs.pictures] == [tmp_path / "a.jpg", tmp_path / "b.jpg", Path("/elsewhere/c.jpg")]
    assert (pairs.first.tolist(), pairs.second.tolist(), pairs.mated.tolist()) == ([0, 0], [1, 2], [True, False])
    assert pairs.lines is not None
    assert pairs.lines.tolist() == [2, 4]


def test_a_spreadsheets_csv_is_read(tmp_path: Path) -> None:
    text = '\ufeffmated, image_a ,image_b,note\r\nTRUE,"甲, 1.jpg",乙.jpg,hat\r\n'
    pairs = read_csv(csv(tmp_path, text.encode()))
    assert [one.name for one in pairs.pictures] == ["甲, 1.jpg", "乙.jpg"]
    assert pairs.mated.tolist() == [True]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "line 1: the file is empty"),
        (HEADER, "line 1: no pairs follow the header"),
        (b"image_a,image_b\na,b\n", "line 1: no column 'mated'"),
        (b"image_a,image_b,mated,mated\n", "line 1: two columns 'mated'"),
        (b"a.jpg,b.jpg,1\n", "line 1: no column 'image_a'"),
        (HEADER + b"a,b,1\na,b,maybe\n", "line 3: mated is 'maybe'"),
        (HEADER + b"a,b,\n", "line 2: mated is ''"),
        (HEADER + b"a,b,2\n", "line 2: mated is '2'"),
        (HEADER + b"a,b,1\n\na,b\n", "line 4: 2 cells, the header has 3"),
        (HEADER + b"a,b,1,2\n", "line 2: 4 cells"),
        (HEADER + b",b,1\n", "line 2: image_a names no file"),
        (HEADER + b"a, ,1\n", "line 2: image_b names no file"),
        (HEADER + b"a,b\0,1\n", "line 2: "),
        (HEADER + b"a,b,1\n\xff\xfe,b,1\n", "line 3: not UTF-8"),
        (HEADER + b'a,"b,1\n', "line 2: this is no CSV"),
        (HEADER + b'a,"b"c,1\n', "line 2: this is no CSV"),
        (HEADER + b"x" * 200_000 + b",b,1\n", "line 2: longer than"),
        (b"\x89PNG\r\n\x1a\n" + bytes(300_000), "line 1: "),
    ],
)
def test_a_wrong_csv_is_refused_with_its_line(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(PairsError) as caught:
        read_csv(csv(tmp_path, content))
    assert words in str(caught.value)
    assert "pairs.csv" in str(caught.value)


def test_a_huge_csv_is_refused_at_the_line_that_is_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "MOST_PAIRS", 3)
    with pytest.raises(PairsError, match="line 5: more than 3 pairs"):
        read_csv(csv(tmp_path, HEADER + b"a,b,1\n" * 4))


def test_a_missing_csv_is_named(tmp_path: Path) -> None:
    with pytest.raises(PairsError, match=r"nowhere\.csv cannot be read: No such file"):
        read(tmp_path / "nowhere.csv")
    with pytest.raises(PairsError, match="cannot be read"):
        read_csv(tmp_path)


def gallery(tmp_path: Path, *files: str) -> Path:
    for name in files:
        path = tmp_path / "gallery" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return tmp_path / "gallery"


def test_a_gallery_pairs_everyone_within_and_across(tmp_path: Path) -> None:
    pairs = read(gallery(tmp_path, "anna/1.jpg", "anna/2.jpg", "anna/2024/3.jpg", "bert/1.jpg", "bert/2.png"))
    assert (len(pairs), int(pairs.mated.sum())) == (10, 3 + 1)
    assert (pairs.people([True] * 5), pairs.people([True] * 3 + [False] * 2)) == (2, 1)
    named = {
        frozenset((pairs.pictures[a].name, pairs.pictures[b].name))
        for a, b in zip(pairs.first, pairs.second, strict=True)
    }
    assert len(named) == 10
    assert all(
        mated == (pairs.pictures[a].name[:4] == pairs.pictures[b].name[:4])
        for a, b, mated in zip(pairs.first, pairs.second, pairs.mated, strict=True)
    )


def test_a_file_that_is_no_picture_stays_in_the_gallery_to_be_named_and_hidden_ones_do_not(tmp_path: Path) -> None:
    pairs = read_gallery(
        gallery(tmp_path, "anna/1.jpg", "anna/notes.txt", "anna/.DS_Store", "bert/Thumbs.db", "README")
    )
    assert [one.name for one in pairs.pictures] == ["anna/1.jpg", "anna/notes.txt"]


@pytest.mark.parametrize(
    ("files", "words"),
    [(("1.jpg", "anna/1.jpg"), "1.jpg lies in no person's folder"), (("anna/.x",), "there is no picture")],
)
def test_a_folder_that_is_no_gallery_is_refused(tmp_path: Path, files: tuple[str, ...], words: str) -> None:
    with pytest.raises(PairsError, match=words):
        read_gallery(gallery(tmp_path, *files))


def test_a_gallery_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "MOST_PICTURES", 1)
    with pytest.raises(PairsError, match="2 pictures are more than 1"):
        read_gallery(gallery(tmp_path, "anna/1.jpg", "anna/2.jpg"))
