"""CPU seconds of each criterion on one layer: `python benchmarks/criteria_cost.py [n q d ...]`.

One thread. `alone` is a criterion on fresh features; `in turn` is the same in one sequence over the catalogue, where
criteria share what they can.
"""

from __future__ import annotations

import sys
import time

import torch
from threadpoolctl import threadpool_limits

from trainers.criteria import CRITERIA
from trainers.criteria.base import Features

SHAPES = ((1000, 10, 256), (1000, 50, 768))


def make_features(n: int, q: int, d: int) -> Features:
    """Gaussian images whose spectrum falls, with Gaussian views around them, in float32."""
    generator = torch.Generator().manual_seed(0)
    clean = torch.randn(n, d, generator=generator) * torch.arange(1, d + 1) ** -0.5
    return Features(clean[:, None] + 0.3 * torch.randn(n, q, d, generator=generator), clean)


def seconds_of(name: str, features: Features) -> float:
    """CPU seconds of one criterion on one layer, with the values beside it."""
    criterion = CRITERIA[name]
    read = features.first(criterion.images(*features.views.shape[:2]))
    began = time.process_time()
    assert criterion.function is not None
    criterion.function(read)
    for function in criterion.beside.values():
        function(read)
    return time.process_time() - began


def main() -> None:
    """Print a table for each shape."""
    numbers = [int(argument) for argument in sys.argv[1:]]
    shapes = [tuple(numbers[at : at + 3]) for at in range(0, len(numbers), 3)] or SHAPES
    torch.set_num_threads(1)
    with threadpool_limits(1):
        for n, q, d in shapes:
            features = make_features(n, q, d)
            seconds_of("rankme", make_features(50, 2, 8))
            print(f"n {n}, q {q}, d {d}\n{'criterion':<22}{'alone':>9}{'in turn':>9}")
            for name in CRITERIA:
                alone = seconds_of(name, Features(features.views, features.clean))
                print(f"{name:<22}{alone:>9.3f}{seconds_of(name, features):>9.3f}")


if __name__ == "__main__":
    main()
