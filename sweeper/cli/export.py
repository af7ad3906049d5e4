"""The encoder of one trial of a sweep, written for other programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sweeper import __version__
from sweeper.cli.again import as_written
from sweeper.cli.choice import choose
from sweeper.errors import ConfigError, ResultsError
from sweeper.run.images import same_images
from sweeper.search.configurations import make_trial_config
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
    number = choose(listing, criterion).trial if trial is None else trial
    row = next((row for row in listing.trials if row["trial"] == number), None)
    if row is None:
        raise ResultsError(f"{listing.name} has no trial {number}; `sweeper show {listing.folder}` lists its trials")
    checkpoint = SweepFolder(listing.folder).checkpoint(number)
    if not checkpoint.is_file():
        kept = ", ".join(str(one["trial"]) for one in listing.trials if _has_checkpoint(listing, one)) or "none"
        raise ResultsError(
            f"trial {number} of {listing.name} kept no checkpoint (kept: {kept}); a sweep with "
            "keep_checkpoints=last keeps that of every trial"
        )
    folder, config, _ = read_manifest(listing.folder, cluster=True)
    written = as_written(listing.settings, hyperparameters_of(row))
    swept = {name: value for name, value in written.items() if name in config.space}
    try:
        encoder = export_encoder(
            make_trial_config(config, number, swept), same_images(config, folder), checkpoint, out, about(listing, row)
        )
        for kind in kinds:
            CONVERTERS[kind](encoder, out)
    except ValueError as error:
        raise ResultsError(str(error)) from error
    return sorted(out.iterdir())


def _has_checkpoint(listing: Listing, row: Mapping[str, Any]) -> bool:
    return SweepFolder(listing.folder).checkpoint(row["trial"]).is_file()


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
