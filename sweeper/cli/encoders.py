"""The commands that use an encoder: embed and score; what is heavy is imported inside."""

from __future__ import annotations

import functools
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from sweeper.cli.options import json_option
from sweeper.cli.output import print_json, print_parts
from sweeper.errors import ConfigError
from trainers.formats import counted, listed, one_line

if TYPE_CHECKING:
    from trainers.export import ExportedEncoder
    from trainers.foreign import Reading
    from trainers.records import Scalar

SHOWN: Final = 50
"""Unreadable files that are named before the others are counted."""


def reading_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """How an encoder reads its images, as one argument `reading` of the command."""

    @functools.wraps(command)
    def with_reading(size: int | None, mean: str | None, std: str | None, prefix: str, **arguments: Any) -> Any:
        from trainers.foreign import Reading

        reading = Reading(size, numbers(mean, "--mean"), numbers(std, "--std"), prefix)
        return command(reading=reading, **arguments)

    decorators = [
        click.option("--prefix", default="", help="Of the names in a file of weights, such as backbone."),
        click.option("--size", type=click.IntRange(1, 10_000), help="Side of the images that the encoder reads.  "
                     "[default: the encoder's own]"),
        click.option("--mean", metavar="M,M,M", help="Mean of its pixels in [0, 1].  [default: the encoder's own]"),
        click.option("--std", metavar="S,S,S", help="Deviation of its pixels.  [default: the encoder's own]"),
    ]  # fmt: skip
    for decorator in reversed(decorators):
        with_reading = decorator(with_reading)
    return with_reading


def numbers(text: str | None, option: str) -> tuple[float, ...] | None:
    """The numbers of an option, separated by commas.

    Raises:
        ConfigError: they are none.

    >>> numbers("0.5,0.25", "--mean")
    (0.5, 0.25)
    """
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"`{option}` must be numbers separated by commas, but got {text}") from None


def mapping_in(text: str, what: str) -> dict[str, Scalar] | None:
    """A mapping as a search-space file has it; None for any other text.

    Raises:
        ConfigError: it is not valid YAML, or has no name.
    """
    value = parsed(text, what) if text.startswith("{") else None
    if value is not None and not isinstance(value.get("name"), str):
        raise ConfigError(f"`{what}` must be a mapping with a `name`, but got {text}")
    return value


def parsed(text: str, what: str) -> dict[str, Any]:
    """A mapping in YAML.

    Raises:
        ConfigError: it is something else.
    """
    from sweeper.config.yaml_text import parse_yaml

    _, value = parse_yaml(text, what)
    if not isinstance(value, Mapping):
        raise ConfigError(f"`{what}` must be a mapping such as '{{key: value}}', but got {text}")
    return dict(value)


def opened_encoder(text: str, reading: Reading) -> ExportedEncoder:
    """The encoder of an argument.

    Raises:
        ConfigError: it cannot be read.
    """
    from trainers.foreign import open_encoder

    try:
        return open_encoder(text, reading, mapping_in(text, "ENCODER"))
    except (OSError, ValueError) as error:
        raise ConfigError(str(error)) from error


def load_plugins() -> None:
    """Make the data sets, methods and criteria of other packages known.

    Raises:
        ConfigError: one cannot be used.
    """
    from trainers.plugins import load_all_plugins

    try:
        load_all_plugins()
    except ValueError as error:
        raise ConfigError(str(error)) from error


def progress(length: int, label: str) -> Any:
    """A bar on stderr, where that is a terminal."""
    return click.progressbar(length=length, label=label, file=sys.stderr, hidden=not sys.stderr.isatty())


def device_named(device: str) -> str:
    """The device itself, where `auto` is asked for.

    Raises:
        ConfigError: this machine lacks it.
    """
    import torch

    from sweeper.run.devices import check_device
    from sweeper.run.options import RunOptions

    check_device(RunOptions(local=True, device=device))
    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"


device_option = click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")


@click.command(short_help="Write the features that an encoder gives for images.")
@click.argument("encoder")
@click.argument("images")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="A new file: .parquet or .npz.")
@reading_options
@device_option
def embed(encoder: str, images: str, out: Path, reading: Reading, device: str) -> None:
    """Write the features that ENCODER gives for IMAGES, with the path of each.

    ENCODER is a folder that `sweeper export` wrote, timm/MODEL:FILE, a folder in HuggingFace's format, or a mapping as
    below. IMAGES is a folder, searched with its sub-folders, or a data set as in a search-space file.

    Of every image, the short side is resized to the encoder's, and the middle square is cut out, as the data set
    `folder` does. A run that was interrupted or killed continues with the same command.

    \b
      sweeper embed encoder ~/photos --out features.parquet
      sweeper embed timm/resnet18:resnet18.safetensors ~/photos --out features.npz
      sweeper embed '{name: timm/resnet50, weights: moco.pth, prefix: encoder_q.}' photos --out features.parquet
    """
    from sweeper.run.embed import check_out, dataset_source, folder_source
    from sweeper.run.embed import embed as write
    from trainers.reader import check_channels

    check_out(out)
    load_plugins()
    found = opened_encoder(encoder, reading)
    recipe, root, spec = found.recipe, Path(images).expanduser(), mapping_in(images, "IMAGES")
    if spec is None and root.is_dir():
        source = folder_source(root, recipe.image_size, recipe.channels)
    else:
        source, channels = dataset_source(spec or dataset_of(images))
        try:
            check_channels(channels, recipe, encoder)
        except ValueError as error:
            raise ConfigError(str(error)) from None
    for note in source.notes:
        click.echo(f"sweeper: {one_line(note)}", err=True)
    with progress(len(source.paths), "images") as bar:
        done = write(found, source, out, device_named(device), bar.update)
    for file in done.unreadable[:SHOWN]:
        click.echo(f"sweeper: left out, since it cannot be read: {one_line(file)}", err=True)
    if len(done.unreadable) > SHOWN:
        click.echo(f"sweeper: {len(done.unreadable) - SHOWN} more unreadable files are left out", err=True)
    click.echo(f"{counted(done.images, 'image')}, {counted(done.dim, 'feature')} each: {one_line(str(out))}")


def dataset_of(name: str) -> dict[str, Scalar]:
    """A data set that is written as a name alone.

    Raises:
        ConfigError: there is neither a data set nor a folder of that name.
    """
    from trainers.datasets import DATASETS

    if name not in DATASETS:
        raise ConfigError(f"`IMAGES` must be a folder, or one of the data sets {', '.join(DATASETS)}, but got {name}")
    return {"name": name}


@click.command(short_help="Measure the criteria and the oracles of encoders.")
@click.argument("encoders", nargs=-1, required=True, metavar="ENCODER...")
@click.option("--dataset", required=True, help="A data set as in a search-space file, or its name.")
@click.option("--method", default="simclr", show_default=True, help="The method whose views the criteria see.")
@click.option("--fixed", metavar="MAPPING", help="Its hyperparameters that differ from the default, as in `fixed:`.")
@click.option("--criteria", default="default", show_default=True, help="default, all, or names separated by commas.")
@click.option("--images", type=click.IntRange(2, 10_000_000), help="Images of the sample.  [default: 1000, or all]")
@click.option("--views", type=click.IntRange(2, 10_000), default=10, show_default=True, help="Views of each image.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="A CSV; `sweeper analyze` reads it.")
@reading_options
@device_option
@json_option
def score(
    encoders: tuple[str, ...],
    dataset: str,
    method: str,
    fixed: str | None,
    criteria: str,
    images: int | None,
    views: int,
    out: Path,
    reading: Reading,
    device: str,
    as_json: bool,
) -> None:
    """Measure the criteria of each ENCODER on its representation and, where the data set has labels, its oracles.

    ENCODER is as for `sweeper embed`. The images and views are those of a sweep with the same data set and method (and
    the same `fixed` augmentation), so that the values compare. An encoder reads the images at its own size.

    \b
      sweeper score encoder timm/resnet18:resnet18.pth --dataset photos --out scores.csv
      sweeper score a b c --dataset '{name: folder, root: ~/photos}' --method dino --criteria all --out scores.csv
      sweeper analyze scores.csv
    """
    from sweeper.cli.screens.scores import score_parts
    from sweeper.run.score import score as measure
    from sweeper.run.score import score_config, write_scores
    from trainers.images import read_images
    from trainers.scoring import needs_embedding

    check_csv(out, encoders)
    load_plugins()
    chosen: object = criteria if criteria in ("default", "all") else [name.strip() for name in criteria.split(",")]
    sample = {"images": images, "views": views} if images else {"views": views}
    given = {"dataset": mapping_in(dataset, "--dataset") or dataset, "method": method, "criteria": chosen}
    held = parsed(fixed, "--fixed") if fixed else {}
    config = score_config({**given, "criteria_sample": sample, "fixed": held}, device_named(device))
    opened = {text: opened_encoder(text, reading) for text in encoders}
    try:
        read = read_images(config.dataset)
    except (OSError, ValueError) as error:
        raise ConfigError(str(error)) from error
    for note in (*read.notes, *remarks(opened, read.train.shape[1], config.oracle, needs_embedding(config.criteria))):
        click.echo(f"sweeper: {one_line(note)}", err=True)
    with progress(len(opened), "encoders") as bar:
        rows = measure(config, opened, read, bar.update)
    write_scores(out, rows)
    if as_json:
        print_json(rows)
        return
    print_parts(*score_parts(rows, config.criteria))
    click.echo(f"\n{one_line(str(out))}: sweeper analyze {shlex.quote(str(out))}")


def remarks(
    encoders: Mapping[str, ExportedEncoder], side: int, oracles: Sequence[str], joint: Sequence[str]
) -> list[str]:
    """What a reader of the scores should know, a line each."""
    lines = ["the criteria are measured on the representation: an encoder alone has no embedding"]
    lines += [f"{listed(joint)}: null, since the embedding is needed"] if joint else []
    lines += [] if oracles else ["the data set has no labels, so there is no oracle"]
    return lines + [
        f"{name} reads the images of {side}×{side} at {one.recipe.image_size}×{one.recipe.image_size}"
        for name, one in encoders.items()
        if one.recipe.image_size != side
    ]


def check_csv(out: Path, encoders: Sequence[str]) -> None:
    """Asked before anything is read.

    Raises:
        ConfigError: the file has another ending, or its folder does not exist, or an encoder is named twice.
    """
    if out.suffix != ".csv":
        raise ConfigError(f"`--out` must end in .csv, but got {out}")
    if not out.absolute().parent.is_dir():
        raise ConfigError(f"`--out` must be in a folder that exists, but there is no {out.parent}")
    if len(set(encoders)) < len(encoders):
        raise ConfigError("`ENCODER` must name each encoder once")
