"""`sweeper pack`, and a sweep that packs by itself: what they print, and one line for what is wrong."""

from __future__ import annotations

import fcntl
import json
import shlex
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from small_sweeps import make_images, reports, same_reports, small_config

from sweeper.cli.commands import execute
from sweeper.errors import ConfigError
from sweeper.run.options import RunOptions
from sweeper.run.sweep import resume_sweep, run_sweep
from trainers.packs.index import read_index


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SWEEPER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return make_images(tmp_path / "images", 48, size=20)


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = execute(["pack", *arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_a_folder_is_packed_and_verified(
    images: Path, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = said(capsys, str(images), "--size", "16")
    assert code == 0
    assert "38 images to train and 10 to test" in out
    assert "dataset.pack=16" in out
    assert f"the data set folder is packed once into {cache}/packs/folder-16-" in err
    assert said(capsys, str(images), "--size", "16")[2] == ""  # it is there
    code, out, _ = said(capsys, str(images), "--size", "16", "--verify")
    assert (code, "every byte of 2 shards is as it was written" in out) == (0, True)
    other = tmp_path / "other"
    code, out, _ = said(capsys, str(images), "--size", "16", "--cache", str(other), "--json", "--encoding", "jpeg")
    found = json.loads(out)
    assert Path(found["folder"]).is_relative_to(other)
    assert (found["train"], found["test"], found["encoding"], found["left_out"]) == (38, 10, "jpeg", [])


def test_out_is_read_by_the_data_set_packed(images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys, f"{{name: folder, root: {images}, channels: 1}}", "--out", str(tmp_path / "out"))
    assert code == 0
    assert f"dataset='{{name: packed, root: {tmp_path / 'out'}, size: SIZE}}'" in out
    assert read_index(tmp_path / "out").square == 20
    code, _, err = said(capsys, f"{{name: packed, root: {tmp_path / 'out'}}}")
    assert (code, "is a pack itself" in err) == (2, True)


def test_the_words_that_read_a_pack_are_those_of_a_command(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    _, out, _ = said(capsys, str(images), "--size", "16", "--out", "Anna's, big: pack")
    (_, override) = shlex.split(out.splitlines()[-1].partition(" reads it ")[2])
    found = yaml.safe_load(override.removeprefix("dataset="))
    assert found == {"name": "packed", "root": str(tmp_path / "Anna's, big: pack"), "size": "SIZE"}


def test_a_plugin_that_cannot_be_imported_is_one_line(
    images: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = EntryPoint("toy", "no_such_package:TOY", "sweeper.methods")
    monkeypatch.setattr("trainers.plugins.entry_points", lambda group: [broken] if group == broken.group else [])
    assert wrong(capsys, str(images)).startswith("sweeper: the plug-in no_such_package:TOY (sweeper.methods) cannot")


def test_again_removes_nothing_that_another_process_writes(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = (str(images), "--size", "16", "--out", str(out), "--json")
    first = json.loads(said(capsys, *command)[1])
    with (out / ".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "another process writes the pack" in wrong(capsys, *command[:-1], "--again")
    assert (out / "index.json").is_file()
    written = (out / "index.json").stat().st_mtime_ns
    assert json.loads(said(capsys, *command, "--again")[1]) == first
    assert (out / "index.json").stat().st_mtime_ns > written


def wrong(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    code, out, err = said(capsys, *arguments, "--quiet")
    assert (code, out, err.count("\n")) == (2, "", 1)
    return err


def test_what_cannot_be_packed_is_one_line(images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "DATASET must be a folder, or one of" in wrong(capsys, "nowhere")
    assert "did you mean `photos`" in wrong(capsys, "phots")
    assert "DATASET must be YAML" in wrong(capsys, "{name: folder")
    assert "`dataset.seize` is not an option of folder" in wrong(capsys, f"{{name: folder, root: {images}, seize: 3}}")
    assert "`dataset.pack` must be a whole number" in wrong(capsys, f"{{name: folder, root: {images}, pack: big}}")
    assert "is no pack" in wrong(capsys, str(images), "--verify")
    (images / "rows" / "bad.png").write_bytes(b"no picture")
    assert "rows/bad.png (no image format" in wrong(capsys, str(images), "--size", "17")
    (tmp_path / "file").write_text("")
    assert "Not a directory" in wrong(capsys, str(images), "--cache", str(tmp_path / "file"))


@pytest.mark.slow
def test_a_sweep_packs_and_finds_its_pack_again(images: Path, tmp_path: Path) -> None:
    """The oracle's labels are those of the pack, and a resumed sweep reports what an unbroken one does."""
    dataset = {"name": "folder", "root": str(images), "size": 12, "channels": 1, "test_share": 0.25, "pack": 16}
    changes = {"criteria_sample": {"images": 20, "views": 3}, "batch_size": 12, "trials": 2, "epochs": 2}
    config = small_config(images, dataset=dataset, **changes)
    run_sweep(config, tmp_path / "one", RunOptions(local=True, quiet=True))
    (folder,) = (tmp_path / "cache" / "packs").iterdir()
    written = (folder / "index.json").stat().st_mtime_ns
    first = small_config(images, dataset=dataset, **{**changes, "trials": 1})
    run_sweep(first, tmp_path / "other", RunOptions(local=True, quiet=True))
    resume_sweep(tmp_path / "other", RunOptions(local=True, quiet=True), trials=2)
    same_reports(tmp_path / "one", tmp_path / "other")
    assert (folder / "index.json").stat().st_mtime_ns == written
    assert (folder / "labels.safetensors").is_file()
    assert len(reports(tmp_path / "one")) == 4
    Image.fromarray(np.zeros((20, 20), dtype=np.uint8)).save(images / "rows" / "001.png")
    with pytest.raises(ConfigError, match=r"rows/001.png changed since folder was packed"):
        run_sweep(config, tmp_path / "third", RunOptions(local=True, quiet=True))
    assert not (tmp_path / "third").exists()
