"""Augmentations: each operation against torchvision's on single images, then the views together."""

from __future__ import annotations

import inspect
import itertools
import re
from dataclasses import fields, replace

import pytest
import torch
from scipy import stats
from torch import Tensor
from torchvision.transforms import RandomResizedCrop
from torchvision.transforms.v2 import functional as F

from trainers import augment
from trainers.augment import Augmentation, make_views, normalize, repeat_views, to_float
from trainers.transforms import (
    CROP_RATIO,
    SOLARIZE_THRESHOLD,
    gaussian_blur,
    random_boxes,
    resized_crop,
    shift_hue,
)

DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
NOTHING = Augmentation(
    crop_scale_min=1.0,
    flip_probability=0.0,
    jitter_probability=0.0,
    grayscale_probability=0.0,
    blur_probability=0.0,
)
"""Leaves every square image as it is."""


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_images(batch: int, height: int, width: int, channels: int, seed: int = 0) -> Tensor:
    return torch.randint(256, (batch, height, width, channels), dtype=torch.uint8, generator=seeded(seed))


def random_floats(batch: int, channels: int, side: int, seed: int = 0) -> Tensor:
    return torch.rand(batch, channels, side, side, generator=seeded(seed))


# crop


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    ("height", "width", "channels", "size"),
    [(28, 28, 1, (28, 28)), (32, 32, 3, (32, 32)), (32, 32, 3, (14, 14)), (64, 48, 3, (27, 31)), (96, 96, 3, (41, 41))],
)
def test_crop_is_torchvisions_resized_crop(
    height: int, width: int, channels: int, size: tuple[int, int], device: str
) -> None:
    images = to_float(random_images(96, height, width, channels))
    boxes = random_boxes(96, height, width, (0.02, 1.0), seeded())
    boxes[0] = torch.tensor([0, 0, 1, 1])
    boxes[1] = torch.tensor([height - 1, width - 1, 1, 1])
    boxes[2] = torch.tensor([0, 0, height, width])
    ours = resized_crop(images.to(device), boxes.to(device), size).cpu()
    for image, box, view in zip(images, boxes.long().tolist(), ours, strict=True):
        theirs = F.resized_crop(image, *box, size=list(size), antialias=True)
        torch.testing.assert_close(view, theirs, rtol=0, atol=1e-6)


def test_crop_flips_the_chosen_ones_only() -> None:
    images, boxes = random_floats(8, 3, 20), random_boxes(8, 20, 20, (0.1, 1.0), seeded())
    flips = torch.arange(8) % 2 == 0
    plain = resized_crop(images, boxes, (16, 16))
    flipped = resized_crop(images, boxes, (16, 16), flips)
    torch.testing.assert_close(flipped[::2], plain[::2].flip(3), rtol=0, atol=0)
    torch.testing.assert_close(flipped[1::2], plain[1::2], rtol=0, atol=0)


def test_crop_reads_nothing_outside_its_box() -> None:
    images, boxes = random_floats(64, 1, 24), random_boxes(64, 24, 24, (0.05, 0.5), seeded())
    changed = images.clone()
    for image, (top, left, height, width) in zip(changed, boxes.long().tolist(), strict=True):
        inside = image[:, top : top + height, left : left + width].clone()
        image.fill_(99)
        image[:, top : top + height, left : left + width] = inside
    assert torch.equal(resized_crop(images, boxes, (24, 24)), resized_crop(changed, boxes, (24, 24)))


@pytest.mark.slow
@pytest.mark.parametrize(("height", "width"), [(32, 32), (40, 20)])
@pytest.mark.parametrize("scale", [(0.08, 1.0), (0.4, 1.0), (0.05, 0.4)])
def test_boxes_are_distributed_as_torchvisions(height: int, width: int, scale: tuple[float, float]) -> None:
    torch.manual_seed(0)
    blank = torch.empty(1, height, width)
    theirs = torch.tensor([RandomResizedCrop.get_params(blank, list(scale), list(CROP_RATIO)) for _ in range(4000)])
    ours = random_boxes(4000, height, width, scale, seeded(1))
    assert (ours == ours.round()).all()
    assert (ours[:, :2] >= 0).all()
    assert (ours[:, 2:] >= 1).all()
    assert (ours[:, :2] + ours[:, 2:] <= torch.tensor([height, width])).all()
    features = (
        lambda boxes: boxes[:, 2] * boxes[:, 3],
        lambda boxes: boxes[:, 3] / boxes[:, 2],
        lambda boxes: boxes[:, 0],
        lambda boxes: boxes[:, 1],
        lambda boxes: boxes[:, 0] + boxes[:, 2],
    )
    for feature in features:
        assert stats.ks_2samp(feature(ours).numpy(), feature(theirs.float()).numpy()).pvalue > 1e-3


@pytest.mark.parametrize(("height", "width"), [(100, 8), (8, 100), (9, 9)])
def test_boxes_fall_back_as_torchvisions_do(height: int, width: int) -> None:
    theirs = RandomResizedCrop.get_params(torch.empty(1, height, width), [1.0, 1.0], list(CROP_RATIO))
    ours = random_boxes(5, height, width, (1.0, 1.0), seeded())
    assert ours.tolist() == [[float(value) for value in theirs]] * 5


# colour


@pytest.mark.parametrize("device", DEVICES)
def test_hue_is_torchvisions(device: str) -> None:
    images = random_floats(64, 3, 12)
    images[0] = images[0, :1]  # gray
    images[1] = 0
    images[2] = 1
    images[3] = torch.tensor([1.0, 0, 0]).view(3, 1, 1)
    images[4] = torch.tensor([0, 1.0, 1]).view(3, 1, 1)
    images[5] = (images[5] * 4).round() / 4  # ties between channels
    shifts = torch.rand(64, generator=seeded()) - 0.5
    shifts[6:9] = torch.tensor([-0.5, 0.0, 0.5])
    theirs = torch.stack([F.adjust_hue(image, shift) for image, shift in zip(images, shifts.tolist(), strict=True)])
    ours = shift_hue(images.to(device), shifts.to(device)).cpu()
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


def torchvision_jitter(image: Tensor, order: tuple[int, ...], factors: list[float], shift: float) -> Tensor:
    steps = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation)
    for part in order:
        image = F.adjust_hue(image, shift) if part == 3 else steps[part](image, factors[part])
    return image


@pytest.mark.slow
def test_jitter_is_torchvisions_with_each_images_own_factors_and_order(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Tensor] = []
    uniform = augment._uniform

    def recorded(*arguments: object) -> Tensor:
        drawn.append(uniform(*arguments))  # type: ignore[arg-type]
        return drawn[-1]

    monkeypatch.setattr(augment, "_uniform", recorded)
    batch = 192
    images = random_floats(batch, 3, 6)
    jittered = augment._jitter(images, replace(NOTHING, jitter_probability=1.0), seeded())
    *factors, shifts = drawn
    orders = list(itertools.permutations(range(4)))
    found = torch.zeros(len(orders))
    for index in range(batch):
        own = [float(factor[index]) for factor in factors]
        errors = [
            (torchvision_jitter(images[index], order, own, float(shifts[index])) - jittered[index]).abs().max().item()
            for order in orders
        ]
        assert min(errors) < 1e-5
        found[errors.index(min(errors))] += 1
    assert stats.chisquare(found.numpy()).pvalue > 1e-3
    for factor, (low, high) in zip(drawn, [(0.2, 1.8), (0.2, 1.8), (0.2, 1.8), (-0.2, 0.2)], strict=True):
        assert stats.kstest(factor.numpy(), "uniform", (low, high - low)).pvalue > 1e-3


@pytest.mark.slow
def test_jitter_of_one_part_is_that_part(monkeypatch: pytest.MonkeyPatch) -> None:
    images = random_images(32, 10, 10, 3)
    none = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0, "jitter_probability": 1.0}
    for part, adjust in {
        "brightness": F.adjust_brightness,
        "contrast": F.adjust_contrast,
        "saturation": F.adjust_saturation,
        "hue": F.adjust_hue,
    }.items():
        strength = 0.5
        view, _ = make_views(images, replace(NOTHING, **{**none, part: strength}), seeded())
        pixels = to_float(images)
        low = -strength if part == "hue" else 1 - strength
        for image, changed in zip(pixels[:4], view[:4], strict=True):
            factors = torch.linspace(low, low + 2 * strength, 401).tolist()
            errors = [(adjust(image, factor) - changed).abs().max().item() for factor in factors]
            assert min(errors) < 0.02, part  # a factor in the range gives this image


def test_jitter_leaves_the_rest_alone() -> None:
    images = random_images(400, 6, 6, 3)
    view, _ = make_views(images, replace(NOTHING, jitter_probability=0.3), seeded())
    error = (view - to_float(images)).abs().amax((1, 2, 3))
    assert stats.binomtest(int((error > 1e-3).sum()), 400, 0.3).pvalue > 1e-3
    assert ((error < 1e-6) | (error > 1e-3)).all()


def test_one_channel_has_no_hue_saturation_or_grayscale() -> None:
    images = random_images(16, 12, 12, 1)
    colour = replace(NOTHING, jitter_probability=1.0, brightness=0.0, contrast=0.0, grayscale_probability=1.0)
    view, _ = make_views(images, colour, seeded())
    torch.testing.assert_close(view, to_float(images), rtol=0, atol=0)
    view, _ = make_views(images, replace(colour, contrast=0.8), seeded())
    pixels = to_float(images)
    means = pixels.mean((1, 2, 3), keepdim=True)
    middle = (view > 0) & (view < 1)
    ratio = ((view - means) / (pixels - means))[middle & ((pixels - means).abs() > 0.1)]
    assert ((ratio > 0.19) & (ratio < 1.81)).all()


def test_two_channels_take_brightness_and_contrast() -> None:
    view, _ = make_views(random_images(4, 8, 8, 2), Augmentation(), seeded())
    assert view.shape == (4, 2, 8, 8)
    assert view.isfinite().all()


def test_grayscale_is_torchvisions() -> None:
    images = random_images(300, 8, 8, 3)
    view, _ = make_views(images, replace(NOTHING, grayscale_probability=0.2), seeded())
    gray = F.rgb_to_grayscale(to_float(images), num_output_channels=3)
    is_gray = (view - gray).abs().amax((1, 2, 3)) < 1e-6
    assert stats.binomtest(int(is_gray.sum()), 300, 0.2).pvalue > 1e-3
    torch.testing.assert_close(view[~is_gray], to_float(images)[~is_gray], rtol=0, atol=0)


# blur and solarize


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("side", "kernel"), [(28, 3), (32, 3), (64, 7), (96, 9), (224, 23)])
def test_blur_is_torchvisions(side: int, kernel: int, device: str) -> None:
    images = random_floats(6, 3, side)
    sigmas = torch.tensor([0.1, 0.3, 0.7, 1.1, 1.6, 2.0])
    pairs = zip(images, sigmas.tolist(), strict=True)
    theirs = torch.stack([F.gaussian_blur(image, [kernel, kernel], [sigma, sigma]) for image, sigma in pairs])
    ours = gaussian_blur(images.to(device), sigmas.to(device)).cpu()
    torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-6)


def test_blur_of_no_sigma_or_one_pixel_changes_nothing() -> None:
    images = random_floats(3, 1, 9)
    assert torch.equal(gaussian_blur(images, torch.zeros(3)), images)
    pixel = random_floats(3, 1, 1)
    torch.testing.assert_close(gaussian_blur(pixel, torch.ones(3)), pixel)


def test_blur_takes_a_share_of_the_images() -> None:
    images = random_images(300, 16, 12, 3)
    view, _ = make_views(images, replace(NOTHING, blur_probability=0.4, crop_scale_min=0.99), seeded())
    assert view.shape == (300, 3, 16, 12)
    view, _ = make_views(images[:, :12], replace(NOTHING, blur_probability=0.4), seeded())
    changed = (view != to_float(images[:, :12])).flatten(1).any(1)
    # a sigma under 0.2 moves no float
    assert stats.binomtest(int(changed.sum()), 300, 0.4 * 1.8 / 1.9).pvalue > 1e-3


def test_solarize_is_torchvisions() -> None:
    images = random_images(300, 8, 8, 3)
    view, second = make_views(images, replace(NOTHING, second_solarize_probability=0.3), seeded())
    torch.testing.assert_close(view, to_float(images), rtol=0, atol=0)
    solarized = F.solarize(to_float(images), SOLARIZE_THRESHOLD)
    is_solarized = (second - solarized).abs().amax((1, 2, 3)) == 0
    assert stats.binomtest(int(is_solarized.sum()), 300, 0.3).pvalue > 1e-3
    torch.testing.assert_close(second[~is_solarized], to_float(images)[~is_solarized], rtol=0, atol=0)


# views


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("channels", [1, 3])
def test_views_come_in_order_and_in_range_on_the_device_of_the_images(channels: int, device: str) -> None:
    images = random_images(16, 28, 28, channels).to(device)
    generator = torch.Generator(device).manual_seed(0)
    views = make_views(images, Augmentation(local_crops=3, solarize_probability=0.5), generator)
    assert [tuple(view.shape) for view in views] == [(16, channels, 28, 28)] * 2 + [(16, channels, 12, 12)] * 3
    sized = make_views(images, Augmentation(local_crops=1, local_size=14), generator)
    assert sized[2].shape == (16, channels, 14, 14)
    for view in views + sized:
        assert view.dtype == torch.float32
        assert view.device == images.device
        assert view.is_contiguous()
        assert 0 <= view.min() <= view.max() <= 1 + 1e-6


def test_nothing_asked_is_nothing_done() -> None:
    images = random_images(8, 20, 20, 3)
    for view in make_views(images, NOTHING, seeded()):
        torch.testing.assert_close(view, to_float(images), rtol=0, atol=0)


def test_local_crops_are_small_parts() -> None:
    ramp = torch.arange(100, dtype=torch.uint8).view(1, 1, 100, 1).expand(64, 100, 100, 1)
    *_, local = make_views(ramp, replace(NOTHING, local_crops=1, local_scale_min=0.05, local_scale_max=0.1), seeded())
    extent = (local.amax((1, 2, 3)) - local.amin((1, 2, 3))) * 255
    assert extent.max() < 100 * (0.1 * 4 / 3) ** 0.5
    assert extent.min() > 0.9 * 100 * (0.05 * 3 / 4) ** 0.5 - 2


def test_second_and_local_views_have_their_own_probabilities() -> None:
    images = random_images(64, 16, 16, 3)
    asymmetric = replace(NOTHING, blur_probability=1.0, second_blur_probability=0.0, local_blur_probability=0.0)
    first, second = make_views(images, asymmetric, seeded())
    assert (first != to_float(images)).flatten(1).any(1).float().mean() > 0.8
    torch.testing.assert_close(second, to_float(images), rtol=0, atol=0)
    whole = replace(asymmetric, local_crops=1, local_size=16, local_scale_min=1.0, local_scale_max=1.0)
    torch.testing.assert_close(make_views(images, whole, seeded())[2], to_float(images), rtol=0, atol=0)


def test_every_image_has_its_own_draws_and_every_seed_its_own_views() -> None:
    image = random_images(1, 24, 24, 3)
    views = make_views(image.expand(16, -1, -1, -1), Augmentation(local_crops=1), seeded())
    for view in views:
        assert (view[:, None] != view[None]).flatten(2).any(2).sum() == 16 * 15
    again = make_views(image.expand(16, -1, -1, -1), Augmentation(local_crops=1), seeded())
    other = make_views(image.expand(16, -1, -1, -1), Augmentation(local_crops=1), seeded(1))
    assert all(torch.equal(one, same) for one, same in zip(views, again, strict=True))
    assert not any(torch.equal(one, another) for one, another in zip(views, other, strict=True))


def test_views_depend_neither_on_global_state_nor_on_threads() -> None:
    images, threads = random_images(64, 32, 32, 3), torch.get_num_threads()
    state = torch.get_rng_state()
    try:
        torch.set_num_threads(1)
        one = make_views(images, Augmentation(local_crops=1), seeded())
        torch.set_num_threads(3)
        three = make_views(images, Augmentation(local_crops=1), seeded())
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for a, b in zip(one, three, strict=True))
    assert torch.equal(torch.get_rng_state(), state)


def test_the_images_are_left_alone() -> None:
    images = random_images(8, 12, 12, 3)
    before = images.clone()
    make_views(images, Augmentation(solarize_probability=1.0), seeded())
    assert torch.equal(images, before)


def test_repeated_views_stay_with_their_image_and_alternate_in_kind() -> None:
    levels = torch.arange(0, 250, 10, dtype=torch.uint8)
    plain = levels.view(-1, 1, 1, 1).expand(-1, 8, 8, 1)
    views = torch.stack(repeat_views(plain, Augmentation(jitter_probability=0.0), 5, seeded()), dim=1)
    assert views.shape == (25, 5, 1, 8, 8)
    torch.testing.assert_close(views * 255, levels.float().view(-1, 1, 1, 1, 1).expand_as(views), rtol=0, atol=1e-4)
    kinds = replace(NOTHING, solarize_probability=1.0, second_solarize_probability=0.0)
    bright = torch.cat(repeat_views(plain[-1:], kinds, 5, seeded()))[:, 0, 0, 0] * 255
    torch.testing.assert_close(bright, torch.tensor([15.0, 240.0, 15.0, 240.0, 15.0]))


def test_normalize_is_torchvisions() -> None:
    images = random_floats(4, 3, 5)
    mean, std = [0.1, 0.2, 0.3], [0.5, 1.0, 2.0]
    torch.testing.assert_close(normalize(images, mean, std), F.normalize(images, mean, std))
    torch.testing.assert_close(normalize(images, torch.tensor(mean), torch.tensor(std)), F.normalize(images, mean, std))


# the parameters


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"flip_probability": 1.5}, r"`flip_probability` must be in \[0, 1\], but got 1.5"),
        ({"second_blur_probability": -0.1}, r"`second_blur_probability` must be in \[0, 1\], but got -0.1"),
        ({"crop_scale_min": 0.0}, r"`crop_scale_min` and `crop_scale_max` must be in \(0, 1\]"),
        ({"crop_scale_min": 0.5, "crop_scale_max": 0.4}, "in that order, but got 0.5 and 0.4"),
        ({"local_scale_max": 2.0}, r"`local_scale_min` and `local_scale_max` must be in \(0, 1\]"),
        ({"hue": 0.6}, r"`hue` must be in \[0, 0.5\], but got 0.6"),
        ({"contrast": -1.0}, "`contrast` must be at least 0, but got -1.0"),
        ({"brightness": float("nan")}, "`brightness` must be at least 0, but got nan"),
        ({"local_crops": -1}, "`local_crops` must be at least 0, but got -1"),
        ({"local_size": 0}, "`local_size` must be at least 1 pixel, but got 0"),
    ],
)
def test_knobs_out_of_range_are_refused(knobs: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Augmentation(**knobs)  # type: ignore[arg-type]


def test_every_knob_is_documented() -> None:
    source = inspect.getsource(Augmentation)
    for knob in fields(Augmentation):
        assert re.search(rf'^    {knob.name}: .*\n    """[A-Z]', source, re.MULTILINE), knob.name
