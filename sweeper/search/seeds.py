"""The random streams of the search, one function each; all depend on the sweep's seed.

The streams for training and measuring a trial are in `trainers.seeds`; they depend on `trial_seed`.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray


def trial_seed(seed: int, number: int) -> int:
    """The seed of trial `number`.

    >>> trial_seed(0, 0) == trial_seed(0, 0) != trial_seed(0, 1)
    True
    """
    return seed_of(seed, "trial", number)


def sampler_seed(seed: int, number: int) -> int:
    """The seed of a learning sampler for the draw of trial `number`."""
    return seed_of(seed, "sampler", number)


def hyperparameter_draw(seed: int, number: int, name: str) -> float:
    """Uniform in [0, 1), for one hyperparameter of configuration `number`; adding one does not change the others."""
    return float(np.random.Generator(np.random.PCG64([seed, number, *name.encode()])).random())


def sobol_point(dimensions: int, seed: int, number: int) -> list[float]:
    """Point `number` of a scrambled Sobol' sequence in [0, 1)^dimensions."""
    from scipy.stats import qmc

    if dimensions == 0:
        return []
    engine = qmc.Sobol(dimensions, scramble=True, rng=np.random.default_rng(seed))
    if number:
        engine.fast_forward(number)
    return [float(value) for value in engine.random(1)[0]]


def grid_order(count: int, seed: int) -> NDArray[np.int64]:
    """The order of the `count` configurations of a grid, shuffled so that the first few already cover it."""
    order: NDArray[np.int64] = np.random.default_rng([seed, count]).permutation(count)
    return order


def audit_draw(seed: int, number: int) -> float:
    """Uniform in [0, 1); it decides whether trial `number` is audited if the pruner would stop it."""
    digest = hashlib.blake2b(f"audit {seed} {number}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def seed_of(seed: int, use: str, number: int) -> int:
    """A 31-bit seed, different for every use and number.

    >>> len({seed_of(0, use, number) for use in ("trial", "sampler") for number in range(100)})
    200
    """
    entropy = [seed, *use.encode(), number]
    return int(np.random.SeedSequence(entropy).generate_state(1)[0]) >> 1
