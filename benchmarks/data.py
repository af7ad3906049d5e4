"""Packing and training input at real size: `python benchmarks/data.py --images 20000 --out DIR`.

A tree of JPEGs is generated, sizes as mixed as those of ImageNet: smooth pictures with noise. Then, each in
a process of its own, with as many workers everywhere (`--workers`):

    pack            images/s of `sweeper pack` (short side `--pack`), and the bytes of the pack
    second start    seconds until the images are ready where the pack is there, without Python's own start
    input           images/s of one random resized crop and flip, decoded and as a float batch, at 64 and 224 pixels:
                    from the pack, and by torchvision's ImageFolder + DataLoader from the JPEGs
    epoch           images/s of training a small SimCLR ResNet at 64 pixels: two views, all augmentations, on the CPU
    memory          peak resident memory of the process and of the largest of its workers; mapped pages of the pack,
                    which the kernel takes back when it needs them, are in it

The last table multiplies the rates up to ImageNet-1k's 1,281,167 + 50,000 images; it is computed, not measured.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

IMAGENET: Final = {"train": 1_281_167, "test": 50_000}
CLASSES: Final = 100
SIDES: Final = (500, 375)
"""The commonest size in ImageNet; others are drawn around it, log-normal."""
SPREAD: Final = 0.3
BATCH: Final = 256
SIZES: Final = (64, 224)
ROOT: Final = Path(__file__).parents[1]

Result = dict[str, float]


def make_tree(root: Path, count: int) -> None:
    """`count` JPEGs of mixed sizes below train/ and val/; those that are there stay."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for number in range(count):
        turned = rng.random() < 0.25
        scale = float(np.exp(SPREAD * rng.standard_normal()))
        width, height = (max(40, round(side * scale)) for side in (reversed(SIDES) if turned else SIDES))
        coarse = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
        noise = rng.integers(0, 25, (height // 2, width // 2, 3), dtype=np.uint8)
        split = "val" if number % 25 == 0 else "train"
        path = root / split / f"n{number % CLASSES:08d}" / f"{number:07d}.jpg"
        if path.is_file():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
        fine = np.asarray(Image.fromarray(noise).resize((width, height), Image.Resampling.NEAREST))
        pixels = np.minimum(picture, 230) + fine
        Image.fromarray(pixels.astype(np.uint8)).save(path, quality=90)


def dataset(options: argparse.Namespace, size: int) -> dict[str, Any]:
    """The generated tree as a search-space file has it."""
    return {"name": "folder", "root": str(options.out / "tree"), "size": size, "pack": max(options.pack, size)}


def pack(options: argparse.Namespace) -> Result:
    """Pack the tree anew."""
    from trainers.datasets import open_dataset
    from trainers.packs.cache import pack_folder
    from trainers.packs.write import write_pack

    sources = open_dataset(dataset(options, 64)).sources("folder")
    shutil.rmtree(pack_folder(sources), ignore_errors=True)
    began = time.perf_counter()
    index = write_pack(sources, pack_folder(sources), workers=options.workers)
    seconds = time.perf_counter() - began
    images = sum(map(len, index.places.values()))
    return {"images/s": images / seconds, "GB": index.bytes / 1e9, "images": images}


def second_start(options: argparse.Namespace) -> Result:
    """What a start does where the pack is there: search the folder, check index, shards and the files' times."""
    from trainers.images import read_images

    began = time.perf_counter()
    images = read_images(dataset(options, 64))
    assert images.fingerprint
    return {"seconds": time.perf_counter() - began}


def rate(batches: Iterator[Any], seconds: float) -> Result:
    """Images/s over at least so many seconds, from the second batch on."""
    next(batches)
    began, count = time.perf_counter(), 0
    for batch in batches:
        count += len(batch)
        if time.perf_counter() - began > seconds:
            break
    return {"images/s": count / (time.perf_counter() - began)}


def input_packed(options: argparse.Namespace, size: int) -> Result:
    """One crop and flip of every image of the pack."""
    import torch

    from trainers.augment import Augmentation, repeat_views
    from trainers.device import limit_threads
    from trainers.images import read_images
    from trainers.splits import Data

    limit_threads(options.workers)
    data = Data(read_images(dataset(options, size)), "cpu")
    plain = Augmentation(jitter_probability=0, grayscale_probability=0, blur_probability=0)
    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(len(data.train), generator=generator).repeat(50)
    stream = data.train.stream(order, BATCH)
    return rate((repeat_views(batch, plain, 1, generator)[0] for batch in stream), options.seconds)


def input_torchvision(options: argparse.Namespace, size: int) -> Result:
    """The same from the JPEGs, by ImageFolder and DataLoader."""
    from torch.utils.data import DataLoader
    from torchvision import transforms
    from torchvision.datasets import ImageFolder

    steps = [transforms.RandomResizedCrop(size), transforms.RandomHorizontalFlip(), transforms.ToTensor()]
    folder = ImageFolder(options.out / "tree" / "train", transforms.Compose(steps))
    loader = DataLoader(folder, BATCH, shuffle=True, num_workers=options.workers)

    def batches() -> Iterator[Any]:
        while True:
            for images, _ in loader:
                yield images

    return rate(batches(), options.seconds)


def epoch(options: argparse.Namespace) -> Result:
    """One epoch of a small SimCLR."""
    from trainers.loop import train
    from trainers.records import CriteriaSample, TrialConfig

    config = TrialConfig(
        method="simclr",
        dataset=dataset(options, 64),
        encoder={"name": "resnet", "width": 16, "blocks": 1, "stages": 3, "stem_stride": 2},
        epochs=1,
        batch_size=min(BATCH, options.images // 4),
        criteria=("lidar", "rankme"),
        criteria_sample=CriteriaSample(images=min(1000, options.images // 4), views=10),
        threads=options.workers,
    )
    (report,) = train(config)
    return {"images/s": report.images_per_second}


STEPS: Final[dict[str, Callable[[argparse.Namespace], Result]]] = {
    "pack": pack,
    "second start": second_start,
    **{f"input {size} pack": lambda options, size=size: input_packed(options, size) for size in SIZES},
    **{f"input {size} torchvision": lambda options, size=size: input_torchvision(options, size) for size in SIZES},
    "epoch 64": epoch,
}


def measured(options: argparse.Namespace, step: str) -> Result:
    """A step in a process of its own."""
    environment = {**os.environ, "SWEEPER_CACHE": str(options.out / "cache"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, __file__, *sys.argv[1:], "--step", step]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        sys.exit(f"{step}: {done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def memory() -> Result:
    """Peak resident memory in MB, of this process and of the largest of those that it has waited for."""
    own, others = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return {"MB": own / 1024, "MB of a worker": others / 1024}


def print_tables(results: dict[str, Result], workers: int) -> None:
    """What was measured, and ImageNet-1k by multiplication."""
    columns = ("images/s", "seconds", "GB", "MB", "MB of a worker")
    print(f"\n| step, {workers} workers | {' | '.join(columns)} |\n|{' --- |' * (len(columns) + 1)}")
    for step, found in results.items():
        print(f"| {step} | {' | '.join(f'{found[name]:,.1f}' if name in found else '' for name in columns)} |")
    packed, images = results["pack"], sum(IMAGENET.values())
    hours = images / packed["images/s"] / 3600
    print(f"\nImageNet-1k, computed: {hours:.1f} h to pack into {packed['GB'] / packed['images'] * images:.0f} GB")
    for size in SIZES:
        of_epoch = 2 * IMAGENET["train"] / results[f"input {size} pack"]["images/s"] / 3600
        print(f"  input of an epoch of two views at {size} pixels: at most {of_epoch:.2f} h (one decoding serves both)")


def main() -> None:
    """Measure every step, or the one that `--step` names, in this process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--out", type=Path, required=True, help="folder for the tree and the cache")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--pack", type=int, default=256, help="short side of a packed image")
    parser.add_argument("--seconds", type=float, default=30, help="of each measurement of input")
    parser.add_argument("--step", choices=list(STEPS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.out = options.out.absolute()
    if options.step:
        print(json.dumps({**STEPS[options.step](options), **memory()}))
        return
    make_tree(options.out / "tree", options.images)
    print_tables({step: measured(options, step) for step in STEPS}, options.workers)


if __name__ == "__main__":
    main()
