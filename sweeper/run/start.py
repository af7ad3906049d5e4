"""The weights with which the trials of a sweep start: their file is checked to be the same after a resume."""

from __future__ import annotations

from typing import Final

from sweeper.config.model import SweepConfig
from sweeper.errors import ConfigError, ResultsError
from sweeper.store.layout import SweepFolder
from sweeper.store.manifest import record_once

WEIGHTS: Final = "weights"
"""The key of the provenance: the digest of the file."""


def same_weights(config: SweepConfig, folder: SweepFolder) -> None:
    """Record the digest of the file of `encoder.weights`, or check that it is the one that the sweep began with.

    Raises:
        ConfigError: it cannot be read.
        ResultsError: it has changed since.
    """
    file = config.encoder.get("weights")
    if not file:
        return
    from trainers.weights import weights_digest

    try:
        found = weights_digest(str(file))
    except (OSError, ValueError) as error:
        raise ConfigError(f"`encoder.weights` cannot be read: {error}") from error
    if record_once(folder, WEIGHTS, found) != found:
        raise ResultsError(
            f"`encoder.weights` {file} has changed since the sweep began, so its trials could not be compared; put the "
            "file back, or run a new sweep"
        )
