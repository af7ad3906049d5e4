"""Passes bounded by bytes: what is counted, and the peak memory of a trial at 224 pixels."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from trainers.passes import ACTIVATION_BYTES, PASS_BYTES, images_per_pass, largest_activation

ROOT = Path(__file__).parents[1]


class Wide(nn.Module):
    """Three maps of 5 channels, of which the first is the largest."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = nn.Sequential(nn.Conv2d(1, 5, 1), nn.BatchNorm2d(5), nn.MaxPool2d(2))

    def represent(self, images: Tensor) -> Tensor:
        return self.steps(images).flatten(1)  # type: ignore[no-any-return]


def test_the_largest_activation_is_measured_and_nothing_changes() -> None:
    network = Wide().train()
    network.steps[2].eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    assert largest_activation(network, torch.zeros(1, 8, 6)) == 4 * 5 * 8 * 6
    assert [module.training for module in network.steps] == [True, True, False]
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())


def test_a_pass_is_bounded_by_pixels_and_by_activations(monkeypatch: pytest.MonkeyPatch) -> None:
    network, image = Wide(), torch.zeros(1, 4, 4)
    assert images_per_pass(network, image) == min(PASS_BYTES // 64, ACTIVATION_BYTES // 320)
    monkeypatch.setattr("trainers.passes.PASS_BYTES", 3 * 64)
    assert images_per_pass(network, image) == 3
    monkeypatch.setattr("trainers.passes.ACTIVATION_BYTES", 2 * 320)
    assert images_per_pass(network, image) == 2
    monkeypatch.setattr("trainers.passes.ACTIVATION_BYTES", 1)
    assert images_per_pass(network, image) == 1


PEAK = """
import resource, sys
import numpy as np
import torch
from trainers.datasets.base import Images
from trainers.measure import untrained
from trainers.records import CriteriaSample, TrialConfig

size = int(sys.argv[1])
rng = np.random.default_rng(0)
images = Images(*(rng.integers(0, 256, (count, size, size, 3), dtype=np.uint8) for count in (80, 2)))
config = TrialConfig(
    method="simclr", dataset={"name": "given"}, encoder={"name": "resnet", "width": 16, "blocks": 1, "stages": 1},
    epochs=1, batch_size=8, hyperparameters={"projector_hidden_dim": 16, "projection_dim": 8},
    criteria=("lidar", "rankme"), criteria_sample=CriteriaSample(images=int(sys.argv[2]), views=2), threads=1,
)
untrained(config, images=images)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""
STATED_PEAK = 1000
"""MiB that measuring may add at 224 pixels, whatever the number of images: some activations and views."""


def peak(size: int, images: int) -> int:
    """MiB at the peak of a process that measures the criteria."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", PEAK, str(size), str(images)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    return int(done.stdout)


@pytest.mark.slow
def test_the_memory_of_the_criteria_at_224_pixels_is_bounded() -> None:
    """160 views have maps of 16 × 224 × 224, 3.2 MB each: some 2 GB, if all views passed at once."""
    assert peak(224, 80) - peak(8, 8) < STATED_PEAK
