"""The commands that use an encoder: embed and score; what is heavy is imported inside."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from sweeper.errors import ConfigError
from trainers.formats import counted, one_line

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
    from sweeper.config.yaml_text import parse_yaml

    if not text.startswith("{"):
        return None
    _, value = parse_yaml(text, what)
    if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
        raise ConfigError(f"`{what}` must be a mapping with a `name`, but got {text}")
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
      sweeper embed '{name: vit, dim: 96, weights: encoder}' photos --out features.parquet
    """
    from sweeper.run.embed import check_out, dataset_source, folder_source
    from sweeper.run.embed import embed as write
    from trainers.reader import check_channels

    check_out(out)
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
    bar: Any = click.progressbar(length=len(source.paths), label="images", file=sys.stderr)
    with bar:
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
