"""The images below a folder: links, endings, and what is left out and said."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trainers.walk import Listing, find_images


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def found(root: Path) -> list[str]:
    return [path.as_posix() for path in find_images(root).paths]


def notes(root: Path) -> str:
    return "\n".join(find_images(root).notes)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty folder beside which others can lie."""
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


def test_two_links_to_one_folder_count_once(root: Path) -> None:
    touch(root.parent, "outside/1.png", "outside/deep/2.png")
    for link in ("b", "a"):
        (root / link).symlink_to(root.parent / "outside")
    assert found(root) == ["a/1.png", "a/deep/2.png"]
    assert notes(root) == "counted once, since links lead to them twice: the images of b"


def test_an_image_is_found_where_it_lies_and_a_new_link_does_not_move_it(root: Path) -> None:
    touch(root, "cat/1.png", "dog/2.png")
    (root / "cat" / "0.png").symlink_to("1.png")
    (root / "aaa").symlink_to(root / "dog")
    (root / "cat" / "dog").symlink_to("../dog")
    assert found(root) == ["cat/1.png", "dog/2.png"]
    assert "the images of aaa, cat/0.png, cat/dog" in notes(root)


def test_links_into_one_another_count_once(root: Path) -> None:
    touch(root.parent, "data/1.png", "data/sub/2.png", "data/sub/deep/3.png")
    (root / "a").symlink_to(root.parent / "data" / "sub")
    (root / "b").symlink_to(root.parent / "data")
    (root.parent / "data" / "sub" / "across").symlink_to(root.parent / "data")
    assert found(root) == ["a/2.png", "a/deep/3.png", "b/1.png"]


def test_hard_links_to_one_file_count_once(root: Path) -> None:
    touch(root, "val/2.png", "val/3.png")
    (root / "train").mkdir()
    (root / "train" / "1.png").hardlink_to(root / "val" / "2.png")
    (root.parent / "outside.png").hardlink_to(root / "val" / "3.png")
    (root / "train" / "link.png").symlink_to(root.parent / "outside.png")
    assert found(root) == ["train/1.png", "train/link.png"]
    assert "counted once, since links lead to them twice: the images of val/2.png, val/3.png" in notes(root)


def test_links_to_a_file_outside_count_once(root: Path) -> None:
    touch(root.parent, "store/5d41", "store/.hidden.png")
    for link, target in (("b.png", "5d41"), ("a.png", "5d41"), ("d.png", ".hidden.png"), ("c.png", ".hidden.png")):
        (root / link).symlink_to(root.parent / "store" / target)
    assert found(root) == ["a.png", "c.png"]
    assert "the images of b.png, d.png" in notes(root)


@pytest.mark.parametrize("target", [".", "..", "/", "sub", "sub/deep"])
def test_links_to_a_folder_above_are_skipped_and_said(root: Path, target: str) -> None:
    touch(root, "sub/deep/1.png")
    touch(root.parent, "beside/2.png")
    (root / "sub" / "deep" / "up").symlink_to(root / target, target_is_directory=True)
    assert found(root) == ["sub/deep/1.png"]
    assert notes(root) == "left out below the data set's folder: links to a folder above (1)"


def test_links_that_lead_in_a_circle_end(root: Path) -> None:
    touch(root.parent, "x/1.png", "y/2.png")
    (root.parent / "x" / "y").symlink_to(root.parent / "y")
    (root.parent / "y" / "x").symlink_to(root.parent / "x")
    (root / "begin").symlink_to(root.parent / "x")
    (root / "self").symlink_to("self")
    assert found(root) == ["begin/1.png", "begin/y/2.png"]
    assert "broken links (1)" in notes(root)


def test_many_links_between_folders_take_no_time(root: Path) -> None:
    """Followed one by one, they would be 2 to the power of 30 paths."""
    for level in range(30):
        folder = root.parent / str(level)
        touch(folder, "1.png")
        for link in ("a", "b"):
            (folder / link).symlink_to(root.parent / str(level + 1))
    (root / "begin").symlink_to(root.parent / "0")
    assert len(found(root)) == 30


def test_the_walk_does_not_depend_on_the_order_of_the_file_system(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(root.parent, "data/1.png", "data/sub/2.png")
    touch(root, "c/3.png", "b/4.png")
    for link, target in (("b/x", "data"), ("c/y", "data/sub"), ("z", "data"), ("c/z", "data")):
        (root / link).symlink_to(root.parent / target)
    before = find_images(root)
    scandir = os.scandir

    class Backwards:
        def __init__(self, path: str) -> None:
            self.entries = sorted(scandir(path), key=lambda entry: entry.name, reverse=True)

        def __enter__(self) -> list[os.DirEntry[str]]:
            return self.entries

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(os, "scandir", Backwards)
    after = find_images(root)
    assert (after.paths, after.notes) == (before.paths, before.notes)


def test_endings_are_those_that_pillow_reads_in_any_case(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readable = ["a.jfif", "b.JFIF", "c.JPG", "d.Png", "e.TIFF", "f.JPE", "g.WebP"]
    touch(root, *readable, "h.heic", "i.HEIC", "j.avif", "k.txt", "l.TXT", "m", ".DS_Store", ".git/n.png")
    monkeypatch.setattr("trainers.walk.readable_endings", lambda: frozenset(map(ending, readable)))
    os.mkfifo(root / "pipe.png")
    (root / "gone.png").symlink_to("nowhere.png")
    assert found(root) == readable
    assert find_images(root).notes == (
        "left out below the data set's folder: .txt (2), hidden (2), broken links (1), neither files nor folders (1), "
        "without an ending (1)",
        "left out, since this Pillow cannot read them: .heic (2), .avif (1); `pip install pillow-heif` reads .heic and "
        ".heif",
    )


def ending(name: str) -> str:
    return Path(name).suffix.lower()


def test_a_folder_that_cannot_be_searched_is_said(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(root, "a/1.png", "secret/2.png", "z/3.png")
    closed(monkeypatch, root / "secret")
    assert found(root) == ["a/1.png", "z/3.png"]
    said = "folders that cannot be searched, so that their images are missing: secret (Permission denied)"
    assert notes(root) == said
    assert not find_images(root).is_current()


def test_a_root_that_cannot_be_searched_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed(monkeypatch, root)
    with pytest.raises(ValueError, match=r"`dataset.root` must be a folder that can be searched: .*Permission denied"):
        find_images(root)


def closed(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let a folder be closed to this process, which may be the superuser's."""
    scandir = os.scandir

    def guarded(path: str) -> object:
        if Path(path) == folder:
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)


def test_names_are_escaped_in_notes(root: Path) -> None:
    touch(root.parent, "data/1.png")
    for link in ("a", "b\n\x1b[31m"):
        (root / link).symlink_to(root.parent / "data")
    touch(root, "x.\x1b[2J")
    assert all(note.isprintable() for note in find_images(root).notes)
    assert len(find_images(root).notes) == 2


def test_a_listing_without_remarks_has_no_notes(root: Path) -> None:
    touch(root, "1.png", "a/2.png")
    listing = find_images(root)
    assert isinstance(listing, Listing)
    assert listing.notes == ()
