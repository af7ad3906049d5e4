"""Encoders: known sizes, hidden patches without influence, and checked options."""

from __future__ import annotations

import pytest
import torch

from trainers.encoders import build_encoder, check_encoder, encoder_options


def parameters(encoder: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in encoder.parameters())


def test_resnet18_is_resnet18() -> None:
    """torchvision's ResNet-18 without its classifier, its 7×7 stem (9,408 weights) replaced by a 3×3 one (1,728)."""
    encoder = build_encoder({"name": "resnet"}, 32, 3)
    assert parameters(encoder) == 11_689_512 - 513_000 - 9_408 + 1_728
    assert encoder.dim == 512


@pytest.mark.parametrize(
    ("options", "size", "channels"),
    [
        ({"name": "resnet", "width": 8, "blocks": 1, "stages": 3}, 28, 1),
        ({"name": "vit", "dim": 32, "depth": 2, "patch": 7}, 28, 1),
        ({"name": "timm/resnet10t"}, 32, 3),
        ({"name": "timm/vit_tiny_patch16_224"}, 32, 3),
    ],
)
def test_hidden_patches_are_hidden(options: dict[str, int | str], size: int, channels: int) -> None:
    torch.manual_seed(0)
    encoder = build_encoder(options, size, channels).eval()
    images = torch.randn(2, channels, size, size)
    kept = torch.arange(1, encoder.patches).expand(2, -1)
    side = size // round(encoder.patches**0.5)
    changed = images.clone()
    changed[:, :, :side, :side] += 5.0
    with torch.no_grad():
        assert encoder(images).shape == (2, encoder.dim)
        assert torch.equal(encoder(images, kept), encoder(changed, kept))
        assert not torch.equal(encoder(images), encoder(changed))


def test_a_vit_that_keeps_every_patch_sees_the_image() -> None:
    torch.manual_seed(0)
    encoder = build_encoder({"name": "vit", "dim": 32, "depth": 2, "patch": 7}, 28, 1).eval()
    images = torch.randn(3, 1, 28, 28)
    every = torch.stack([torch.randperm(16) for _ in range(3)])
    with torch.no_grad():
        torch.testing.assert_close(encoder(images, every), encoder(images))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "size", "channels"),
    [
        ({"name": "vit", "dim": 32, "depth": 3, "patch": 7}, 28, 1),
        ({"name": "timm/vit_tiny_patch16_224"}, 32, 3),
    ],
)
def test_a_transformer_shows_its_tokens(options: dict[str, int | str], size: int, channels: int) -> None:
    torch.manual_seed(0)
    encoder = build_encoder(options, size, channels).eval()
    assert encoder.has_tokens
    images = torch.randn(2, channels, size, size)
    kept = torch.tensor([[0, 3], [2, 1]])
    with torch.no_grad():
        whole, some = encoder.tokens(images), encoder.tokens(images, kept, last_blocks=2)
        assert torch.equal(whole.prefix[:, 0], encoder(images))  # both read the class token
        assert torch.equal(some.prefix[:, 0], encoder(images, kept))
        torch.testing.assert_close(encoder.model.norm(some.blocks[-1]), some.sequence)
        torch.testing.assert_close(encoder.model.blocks[-1](some.blocks[0]), some.blocks[1])
    assert whole.patches.shape == (2, encoder.patches, encoder.dim)
    assert torch.equal(whole.positions, torch.arange(encoder.patches).expand(2, -1))
    assert some.patches.shape == (2, 2, encoder.dim)
    assert torch.equal(some.positions, kept)
    assert [tuple(output.shape) for output in some.blocks] == [(2, 3, encoder.dim)] * 2
    assert (whole.prefixes, whole.blocks) == (1, ())


def test_a_patch_token_follows_its_patch() -> None:
    """Without attention between tokens, a token depends on its own patch and position alone."""
    torch.manual_seed(0)
    encoder = build_encoder({"name": "vit", "dim": 32, "depth": 1, "patch": 7}, 28, 1).eval()
    encoder.model.blocks = torch.nn.Sequential()
    images, kept = torch.randn(2, 1, 28, 28), torch.tensor([[5, 0, 11], [15, 2, 3]])
    with torch.no_grad():
        whole, some = encoder.tokens(images), encoder.tokens(images, kept)
    for image in range(2):
        torch.testing.assert_close(some.patches[image], whole.patches[image, some.positions[image]])


def test_convolutional_encoders_have_no_tokens() -> None:
    for name in ("resnet", "timm/resnet10t"):
        encoder = build_encoder({"name": name}, 32, 3)
        assert not encoder.has_tokens
        with pytest.raises(TypeError, match="has no tokens"):
            encoder.tokens(torch.zeros(1, 3, 32, 32))


@pytest.mark.parametrize(
    ("encoder", "words"),
    [
        ({"name": "resnett"}, "resnet, vit or timm/MODEL"),
        ({"name": "timm/resnet18x"}, "did you mean timm/resnet18"),
        ({"name": "vit", "dims": 96}, "`encoder.dims` is not an option of vit; did you mean `dim`"),
        ({"name": "vit", "dim": 100, "heads": 3}, "multiple of the 3 heads"),
        ({"name": "resnet", "width": 0}, "from 1 to 16,384, but got 0"),
        ({"name": "resnet", "width": 1.5}, "whole number"),
    ],
)
def test_wrong_options_are_said(encoder: dict[str, int | str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        encoder_options(encoder)


@pytest.mark.parametrize("name", ["timm/mobilenetv3_small_050", "timm/resnet10t", "vit", "resnet"])
def test_an_encoder_says_its_true_width(name: str) -> None:
    check_encoder({"name": name}, 32, 3)


@pytest.mark.slow
def test_an_encoder_that_cannot_read_the_images_says_so() -> None:
    with pytest.raises(ValueError, match="timm/swin_tiny_patch4_window7_224 cannot read the images"):
        check_encoder({"name": "timm/swin_tiny_patch4_window7_224"}, 32, 3)


def test_a_patch_must_divide_the_image() -> None:
    with pytest.raises(ValueError, match="28 is not a multiple of 5"):
        build_encoder({"name": "vit", "patch": 5}, 28, 1)
