"""The encoder of one trial of a sweep, written for other programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sweeper import __version__
from sweeper.cli.again import retrain_command
from sweeper.cli.choice import trials_with_checkpoint
from sweeper.cli.recorded import recorded_config, row_of
from sweeper.errors import ConfigError, ResultsError
from sweeper.run.images import same_images
from sweeper.store.layout import SweepFolder
from sweeper.store.listing import Listing, hyperparameters_of
from sweeper.store.manifest import PROVENANCE, read_manifest
from trainers.records import ORACLE_PREFIX, oracle_names


def export_trial(
    listing: Listing, out: Path, *, trial: int | None, criterion: str | None, kinds: Sequence[str]
) -> list[Path]:
    """Write the encoder of `trial`, or of the trial that the criterion selects, to a new or empty folder; its files.

    Raises:
        ResultsError: there is no such trial, it kept no checkpoint, or the folder holds something.
            Or the images have changed since the sweep began: mean, deviation and BatchNorm are from them.
        ConfigError: sweep.yaml does not fit this version, or a package is missing.
    """
    from trainers.convert import CONVERTERS, check_packages
    from trainers.export import export_encoder

    try:
        check_packages(kinds)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ResultsError(f"`--out` must be a new or an empty folder, but {out} holds something; choose another")
    row = row_of(listing, trial=trial, criterion=criterion)
    sweep = SweepFolder(listing.folder)
    if not sweep.has_checkpoint(row["trial"]):
        kept = ", ".join(map(str, trials_with_checkpoint(listing))) or "none"
        raise ResultsError(
            f"trial {row['trial']} of {listing.name} kept no checkpoint (kept: {kept}); "
            f"`{retrain_command(listing.folder, row['trial'])}` makes it again"
        )
    folder, config, _ = read_manifest(listing.folder, cluster=True)
    trained = recorded_config(listing, config, row)
    checkpoint = sweep.checkpoint(row["trial"])
    try:
        encoder = export_encoder(trained, same_images(config, folder), checkpoint, out, about(listing, row))
        for kind in kinds:
            CONVERTERS[kind](encoder, out)
    except ValueError as error:
        raise ResultsError(str(error)) from error
    return sorted(out.iterdir())


def about(listing: Listing, row: Mapping[str, Any]) -> dict[str, Any]:
    """Where an encoder is from and what was measured of it, for its config.json and its card."""
    from analysis.data.columns import find_criteria

    settings = listing.settings
    origin = settings.get(PROVENANCE) or {}
    return {
        "method": settings["method"],
        "dataset": settings["dataset"]["name"],
        "sweep": listing.name,
        "trial": row["trial"],
        "epochs": row.get("epochs"),
        "batch_size": settings.get("batch_size"),
        "trained": origin.get("created"),
        "exported_by": f"sweeper {__version__}",
        "hyperparameters": hyperparameters_of(row),
        "criteria": {name: row[name] for name in find_criteria(row) if row[name] is not None},
        "oracles": {
            name: row[f"{ORACLE_PREFIX}{name}"]
            for name in oracle_names(row)
            if row[f"{ORACLE_PREFIX}{name}"] is not None
        },
        "packages": dict(origin.get("packages") or {}),
    }
