"""`sweeper embed` and the encoders that it reads: exports, files of weights and folders of other programs."""

from __future__ import annotations

import contextlib
import io
import json
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from small_sweeps import make_images, start_embed
from torch import Tensor, nn

from sweeper.cli.commands import execute
from trainers.encoders import build_encoder
from trainers.export import ExportedEncoder, Recipe, load_encoder, write_export
from trainers.foreign import Reading, encoder_digest, open_encoder, read_json
from trainers.weights import fit_to

pytestmark = pytest.mark.slow

RESNET = {"name": "resnet", "width": 8, "blocks": 1, "stages": 2}
MODEL = "resnet10t"
"""The smallest ResNet of timm."""


def run(*arguments: str | Path) -> tuple[int, str]:
    """Run a command line; its exit code and what it said."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = execute([str(argument) for argument in arguments])
    return code, said.getvalue()


def export(folder: Path, options: dict[str, Any] | None = None, channels: int = 1, seed: int = 0) -> ExportedEncoder:
    """An encoder with random weights, as `sweeper export` writes it."""
    options = options or RESNET
    torch.manual_seed(seed)
    encoder = build_encoder(options, 12, channels)
    for name, buffer in encoder.named_buffers():
        if name.endswith("running_var"):
            buffer.uniform_(0.5, 1.5)
    recipe = Recipe(options, 12, channels, (0.4,) * channels, (0.2,) * channels, False, encoder.dim)
    write_export(encoder, recipe, folder, {"method": "simclr"})
    return load_encoder(folder)


def pixels_of(file: Path) -> Tensor:
    """(1, 1, h, w) in [0, 1], of a gray image that has the encoder's size."""
    return torch.from_numpy(np.array(Image.open(file))).float().div(255)[None, None]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_images(tmp_path_factory.mktemp("images"), count=20)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder") / "export"
    export(folder)
    return folder


# embed


@pytest.mark.parametrize("ending", ["parquet", "npz"])
def test_every_image_has_its_path_and_features(images: Path, encoder: Path, tmp_path: Path, ending: str) -> None:
    out = tmp_path / f"features.{ending}"
    code, said = run("embed", encoder, images, "--out", out)
    assert (code, f"20 images, 16 features each: {out}" in said) == (0, True), said
    if ending == "parquet":
        table = pd.read_parquet(out)
        paths, rows = list(table["path"]), np.stack(list(table["features"]))
    else:
        with np.load(out) as content:
            paths, rows = list(content["paths"]), content["features"]
    assert paths == sorted(path.relative_to(images).as_posix() for path in images.rglob("*.png"))
    expected = load_encoder(encoder)(torch.cat([pixels_of(images / path) for path in paths])).numpy()
    np.testing.assert_allclose(rows, expected, rtol=1e-5, atol=1e-5)
    assert [file.name for file in tmp_path.iterdir()] == [out.name]


def test_a_data_set_is_embedded_with_both_splits(images: Path, encoder: Path, tmp_path: Path) -> None:
    out, spec = tmp_path / "features.parquet", f"{{name: folder, root: {images}, size: 12, channels: 1}}"
    code, said = run("embed", encoder, spec, "--out", out)
    assert code == 0, said
    table = pd.read_parquet(out).sort_values("path", ignore_index=True)
    run("embed", encoder, images, "--out", tmp_path / "again.parquet")
    again = pd.read_parquet(tmp_path / "again.parquet")
    assert list(table["path"]) == list(again["path"])
    np.testing.assert_allclose(np.stack(list(table["features"])), np.stack(list(again["features"])), atol=1e-5)


def test_a_pack_is_embedded_as_the_images_that_it_is_made_of(images: Path, encoder: Path, tmp_path: Path) -> None:
    spec, pack = f"{{name: folder, root: {images}, size: 12, channels: 1}}", tmp_path / "pack"
    assert run("pack", spec, "--out", pack, "--size", "12", "--quiet")[0] == 0
    for given, out in ((f"{{name: packed, root: {pack}}}", "packed.npz"), (spec, "folder.npz")):
        code, said = run("embed", encoder, given, "--out", tmp_path / out)
        assert code == 0, said
    found, expected = (np.load(tmp_path / name) for name in ("packed.npz", "folder.npz"))
    np.testing.assert_array_equal(found["features"], expected["features"])
    assert found["paths"].tolist()[:2] == ["train/0", "train/1"]


def test_files_that_cannot_be_read_are_named_and_left_out(images: Path, encoder: Path, tmp_path: Path) -> None:
    root = make_images(tmp_path / "mine", count=6)
    (root / "rows" / "broken.png").write_bytes(b"no image")
    code, said = run("embed", encoder, root, "--out", tmp_path / "features.parquet")
    assert (code, "left out, since it cannot be read: rows/broken.png (no image format" in said) == (0, True)
    assert len(pd.read_parquet(tmp_path / "features.parquet")) == 6
    only = tmp_path / "only"
    only.mkdir()
    (only / "broken.png").write_bytes(b"no image")
    code, said = run("embed", encoder, only, "--out", tmp_path / "none.parquet")
    assert (code, "none of the 1 images can be read" in said) == (2, True)


def test_files_of_16_bits_are_scaled_alike_in_all_parts(
    encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "deep"
    root.mkdir()
    for index in range(4):
        values = np.full((12, 12), 1000 * 4**index, dtype=np.uint16)
        Image.fromarray(values).save(root / f"{index}.png")
    found = []
    for batch in (1, 4):
        monkeypatch.setattr("trainers.reader.BATCH_BYTES", 4 * 12 * 12 * batch)
        assert run("embed", encoder, root, "--out", tmp_path / f"{batch}.parquet")[0] == 0
        found.append(np.stack(list(pd.read_parquet(tmp_path / f"{batch}.parquet")["features"])))
    np.testing.assert_allclose(*found, rtol=1e-5, atol=1e-6)


@pytest.mark.kill
def test_a_killed_run_continues_and_writes_the_same_bytes(images: Path, encoder: Path, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.parquet", tmp_path / "cut.parquet"
    assert start_embed(encoder, images, whole) == 5
    start_embed(encoder, images, cut, kill_at=3)
    assert (len(list((tmp_path / "cut.parquet.parts").glob("*.npz"))), cut.exists()) == (3, False)
    assert start_embed(encoder, images, cut) == 2
    assert cut.read_bytes() == whole.read_bytes()
    assert not (tmp_path / "cut.parquet.parts").exists()


def test_parts_of_other_images_are_refused(images: Path, encoder: Path, tmp_path: Path) -> None:
    parts = tmp_path / "features.parquet.parts"
    parts.mkdir()
    (parts / "plan.json").write_text("{}")
    (parts / "000000000.npz").write_bytes(b"")
    code, said = run("embed", encoder, images, "--out", tmp_path / "features.parquet")
    assert (code, f"{parts} has parts of other images or of another encoder" in said) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["ENCODER", "IMAGES", "--out", "OUT/x.csv"], "`--out` must end in .parquet or .npz"),
        (["ENCODER", "IMAGES", "--out", "OUT/none/x.npz"], "there is no"),
        (["ENCODER", "OUT", "--out", "OUT/x.npz"], "`IMAGES` must hold images"),
        (["ENCODER", "fotos", "--out", "OUT/x.npz"], "`IMAGES` must be a folder, or one of the data sets photos"),
        (["ENCODER", "{name: folder, root: IMAGES, size: 12}", "--out", "OUT/x.npz"], "the images must have 1 channel"),
        (["OUT", "IMAGES", "--out", "OUT/x.npz"], "must be a folder with a config.json"),
        (["none", "IMAGES", "--out", "OUT/x.npz"], "none does not exist"),
        (["timm/resnet10t", "IMAGES", "--out", "OUT/x.npz"], "nothing is downloaded: timm/resnet10t:FILE"),
        (["timm/resnet10x:x", "IMAGES", "--out", "OUT/x.npz"], "did you mean timm/resnet10t?"),
        (["timm/resnet10t:x.pt", "IMAGES", "--out", "OUT/x.npz"], "x.pt does not exist"),
        (["ENCODER", "IMAGES", "--out", "OUT/x.npz", "--size", "9"], "must not be given for"),
        (["ENCODER", "IMAGES", "--out", "OUT/x.npz", "--mean", "a"], "`--mean` must be numbers"),
        (["{a: 1}", "IMAGES", "--out", "OUT/x.npz"], "`ENCODER` must be a mapping with a `name`"),
        (["{name: resnet}", "IMAGES", "--out", "OUT/x.npz"], "`ENCODER` resnet must have `weights`"),
        (["{name: resnet, weights: EXPORT}", "IMAGES", "--out", "OUT/x.npz"], "alone, an export, which says"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line(arguments: list[str], problem: str, images: Path, encoder: Path, tmp_path: Path) -> None:
    places = {"ENCODER": encoder, "IMAGES": images, "OUT": tmp_path}
    filled = [str(places.get(one, one)).replace("OUT/", f"{tmp_path}/") for one in arguments]
    filled = [one.replace("root: IMAGES", f"root: {images}").replace("EXPORT", str(encoder)) for one in filled]
    code, said = run("embed", *filled)
    assert (code, len(said.splitlines())) == (2, 1), said
    assert problem in said


# encoders of other programs


@pytest.fixture(scope="module")
def model() -> nn.Module:
    torch.manual_seed(1)
    made: nn.Module = timm.create_model(MODEL, num_classes=7).eval()
    return made


def features_by_timm(model: Any, pixels: Tensor, mean: float = 0.5, std: float = 0.25) -> Tensor:
    """What timm itself gives before its classifier."""
    with torch.no_grad():
        found: Tensor = model.forward_head(model.forward_features((pixels - mean) / std), pre_logits=True)
    return found


READING = Reading(size=32, mean=(0.5,) * 3, std=(0.25,) * 3)


def saved(model: nn.Module, kind: str, folder: Path) -> str:
    """The model as other programs save it; the argument that names it."""
    state = model.state_dict()
    if kind == "safetensors":
        save_file(state, folder / "model.safetensors")
        return f"timm/{MODEL}:{folder / 'model.safetensors'}"
    if kind == "folder":
        given = {"input_size": [3, 32, 32], "mean": [0.5] * 3, "std": [0.25] * 3}
        (folder / "config.json").write_text(json.dumps({"architecture": MODEL, "pretrained_cfg": given}))
        save_file(state, folder / "model.safetensors")
        return str(folder)
    nested = {"state_dict": {f"module.backbone.{key}": value for key, value in state.items()}, "epoch": 3}
    torch.save(state if kind == "state dict" else nested, folder / "model.pt")
    return f"timm/{MODEL}:{folder / 'model.pt'}"


@pytest.mark.parametrize("kind", ["safetensors", "state dict", "nested", "folder"])
def test_the_features_are_those_of_timm(model: nn.Module, kind: str, tmp_path: Path) -> None:
    prefix = "module.backbone." if kind == "nested" else ""
    reading = Reading() if kind == "folder" else Reading(32, READING.mean, READING.std, prefix)
    found = open_encoder(saved(model, kind, tmp_path), reading)
    pixels = torch.rand(3, 3, 32, 32)
    torch.testing.assert_close(found(pixels), features_by_timm(model, pixels), rtol=1e-5, atol=1e-6)
    assert (found.recipe.image_size, found.recipe.channels, found.recipe.dim) == (32, 3, 512)


def test_a_vision_transformer_reads_images_of_another_size(tmp_path: Path) -> None:
    torch.manual_seed(2)
    model = timm.create_model("vit_tiny_patch16_224", num_classes=3).eval()
    torch.save(model.state_dict(), tmp_path / "vit.pt")
    found = open_encoder(f"timm/vit_tiny_patch16_224:{tmp_path / 'vit.pt'}", Reading(size=64))
    state = timm.models.vision_transformer.checkpoint_filter_fn(
        model.state_dict(), timm.create_model("vit_tiny_patch16_224", num_classes=3, img_size=64)
    )
    other = timm.create_model("vit_tiny_patch16_224", num_classes=3, img_size=64).eval()
    other.load_state_dict(state)
    pixels = torch.rand(2, 3, 64, 64)
    assert found.recipe.mean == (0.5, 0.5, 0.5)  # timm's configuration of this model says so
    expected = features_by_timm(other, pixels, 0.5, 0.5)
    torch.testing.assert_close(found(pixels), expected, rtol=1e-4, atol=1e-5)


def test_the_prefix_that_fits_is_named(model: nn.Module, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"lacks \d+ tensors .*its names begin with `module\.backbone\.`; give that"):
        open_encoder(saved(model, "nested", tmp_path))
    with pytest.raises(ValueError, match=r"must have tensors with the prefix `x\.`, but has 86 tensors"):
        open_encoder(saved(model, "nested", tmp_path), Reading(prefix="x."))


def test_weights_of_another_network_are_refused(model: nn.Module, tmp_path: Path) -> None:
    state = dict(model.state_dict())
    del state["conv1.0.weight"]
    save_file(state | {"extra": torch.ones(2)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"lacks 1 tensor \(conv1.0.weight\) and has also 1 tensor \(extra\)$"):
        open_encoder(f"timm/{MODEL}:{tmp_path / 'model.safetensors'}")
    save_file({**model.state_dict(), "bn1.weight": torch.ones(3)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"its bn1.weight is 3 where timm/resnet10t has 64"):
        open_encoder(f"timm/{MODEL}:{tmp_path / 'model.safetensors'}")


def test_counters_may_be_missing() -> None:
    module = nn.BatchNorm1d(3)
    state = {key: value for key, value in module.state_dict().items() if key != "num_batches_tracked"}
    assert set(fit_to(module, state, "norm", "file")) == set(module.state_dict())


class Planted:
    """Creates a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.mark,)


def test_a_file_that_holds_code_is_refused_and_not_run(tmp_path: Path) -> None:
    torch.save({"state_dict": {"a": torch.ones(1)}, "x": Planted(tmp_path / "ran")}, tmp_path / "model.pt")
    with pytest.raises(ValueError, match="holds more than tensors, which could run code"):
        open_encoder(f"timm/{MODEL}:{tmp_path / 'model.pt'}")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04"], ids=["empty", "text", "zip"])
@pytest.mark.parametrize("name", ["model.pt", "model.safetensors"])
def test_a_damaged_file_is_refused(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=r"cannot be read as weights|is damaged"):
        open_encoder(f"timm/{MODEL}:{tmp_path / name}")


def test_a_model_of_transformers_needs_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "vit"}')
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ValueError, match="is a model of transformers, which is not installed; run: pip install"):
        open_encoder(str(tmp_path))


class Stand(nn.Module):
    """What AutoModel returns, as far as it is used."""

    config = types.SimpleNamespace(model_type="stand", image_size=8)

    def forward(self, pixel_values: Tensor) -> Any:
        tokens = pixel_values.flatten(2).transpose(1, 2)  # (b, pixels, c)
        return types.SimpleNamespace(last_hidden_state=tokens, pooler_output=tokens.mean(1))


@pytest.mark.parametrize("missing", [[], ["pooler.dense.weight"], ["layer.weight"]])
def test_a_model_of_transformers_is_read_by_it(
    missing: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def from_pretrained(folder: Path, **arguments: Any) -> tuple[nn.Module, dict[str, Any]]:
        asked.append(arguments)
        return Stand(), {"missing_keys": missing}

    auto = types.SimpleNamespace(from_pretrained=from_pretrained)
    monkeypatch.setitem(sys.modules, "transformers", types.SimpleNamespace(AutoModel=auto))
    (tmp_path / "config.json").write_text('{"model_type": "stand"}')
    (tmp_path / "preprocessor_config.json").write_text('{"image_mean": [0, 0, 0], "image_std": [0.5, 0.5, 0.5]}')
    if missing == ["layer.weight"]:
        with pytest.raises(ValueError, match=r"lacks 1 tensor \(layer.weight\)"):
            open_encoder(str(tmp_path))
        return
    found = open_encoder(str(tmp_path))
    assert asked == [{"local_files_only": True, "use_safetensors": False, "output_loading_info": True}]
    assert (found.recipe.image_size, found.recipe.dim) == (8, 3)
    pixels = torch.rand(2, 3, 8, 8)
    expected = pixels[:, :, 0, 0] if missing else pixels.mean((2, 3))
    torch.testing.assert_close(found(pixels), expected / 0.5)


def test_a_damaged_file_of_the_preprocessor_is_named(tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text("{")
    with pytest.raises(ValueError, match=r"preprocessor_config.json cannot be read: Expecting"):
        read_json(tmp_path / "preprocessor_config.json")


def test_the_digest_is_of_weights_and_input(tmp_path: Path) -> None:
    first, again = export(tmp_path / "a"), export(tmp_path / "b")
    other = export(tmp_path / "c", seed=1)
    digests = [encoder_digest(one) for one in (first, again, other)]
    assert digests[0] == digests[1] != digests[2]
    recipe = Recipe(**{**vars(first.recipe), "mean": (0.5,)})
    assert encoder_digest(ExportedEncoder(first.encoder, recipe)) != digests[0]
