"""The command that packs a data set: pack; what is heavy is imported inside."""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sweeper.cli.options import cache_option, json_option, use_cache
from sweeper.errors import ConfigError
from trainers.formats import one_line

if TYPE_CHECKING:
    from trainers.packs.index import Index
    from trainers.packs.sources import Sources
    from trainers.records import Scalar


@dataclass(frozen=True)
class PackOptions:
    """What the command line says about how to pack."""

    size: int | None = None
    out: Path | None = None
    encoding: str | None = None
    workers: int | None = None
    again: bool = False
    quiet: bool = False


@click.command(short_help="Decode a large data set once, for all sweeps.")
@click.argument("dataset")
@click.option("--size", type=click.IntRange(1), help="Short side of a packed image in pixels.  [default: 256]")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Write the pack to this folder.")
@cache_option
@click.option(
    "--encoding",
    type=click.Choice(["raw", "jpeg"]),
    help="Raw pixels, or JPEGs that are decoded in training.  [default: raw up to 4 GiB]",
)
@click.option("--workers", type=click.IntRange(1, 1024), help="Processes that decode.  [default: one per core]")
@click.option("--verify", is_flag=True, help="Read a whole pack, and compare it with its digests.")
@click.option("--again", is_flag=True, help="Remove the pack that is there first.")
@click.option("--quiet", is_flag=True, help="Show nothing but errors.")
@json_option
def pack(dataset: str, cache: str | None, verify: bool, quiet: bool, as_json: bool, **asked: object) -> None:
    """Pack DATASET: a folder of images, the name of a data set, or what stands behind `dataset:` in a file.

    A sweep packs a large data set by itself before its first trial; this does it beforehand, or with other settings.
    A pack that was interrupted is continued.

    \b
      sweeper pack ~/photos --size 256
      sweeper pack '{name: folder, root: ~/photos, test_share: 0.1}'
      sweeper pack ~/photos --out /data/photos-packed
      sweeper pack ~/photos --verify
    """
    from trainers.plugins import load_all_plugins

    use_cache(cache)
    options = PackOptions(**asked, quiet=quiet or as_json)  # type: ignore[arg-type]
    try:
        load_all_plugins()
        described = read_dataset(dataset)
        index, how = (verified if verify else packed)(described, options)
    except (OSError, ValueError) as error:
        raise ConfigError(one_line(str(error))) from error
    _show(index, how, as_json=as_json, quiet=quiet)


def read_dataset(text: str) -> dict[str, Scalar]:
    """The data set of a command line: its name and its options.

    Raises:
        ConfigError: it is none of the three.
    """
    import yaml

    from trainers.datasets import DATASETS
    from trainers.names import did_you_mean

    if text in DATASETS:
        return {"name": text}
    try:
        found = yaml.safe_load(text) if text.lstrip().startswith("{") else None
    except yaml.YAMLError as error:
        raise ConfigError(f"DATASET must be YAML such as '{{name: folder, root: DIR}}', but got {text!r}") from error
    if isinstance(found, dict):
        return {str(name): value for name, value in found.items()}
    if Path(text).expanduser().is_dir():
        return {"name": "folder", "root": text}
    near = did_you_mean(text, DATASETS)
    raise ConfigError(f"DATASET must be a folder, or one of {', '.join(DATASETS)}, but got {text!r}{near}")


def packed(dataset: dict[str, Scalar], options: PackOptions) -> tuple[Index, str]:
    """Pack a data set; the index, and how a sweep reads it."""
    from sweeper.run.images import keep_labels
    from sweeper.run.packing import PackingBar
    from trainers.packs.write import write_pack

    described, sources = sources_of(dataset, options.size)
    folder = _folder(sources, options)
    bar = None if options.quiet else PackingBar(f"the data set {sources.name}", folder)
    try:
        index = write_pack(
            sources, folder, encoding=options.encoding, workers=options.workers, tell=bar, again=options.again
        )
    finally:
        if bar is not None:
            bar.close()
    keep_labels(described, folder)
    return index, how_to_read(described, sources, options)


def verified(dataset: dict[str, Scalar], options: PackOptions) -> tuple[Index, str]:
    """Compare every byte of a pack with its digest."""
    from trainers.packs.index import check_digests, read_index
    from trainers.packs.write import checked_index

    _, sources = sources_of(dataset, options.size)
    folder = _folder(sources, options)
    read_index(folder)
    index = checked_index(folder, sources)
    check_digests(index)
    return index, f"every byte of {len(index.shards)} shards is as it was written"


def sources_of(dataset: dict[str, Scalar], size: int | None) -> tuple[dict[str, Scalar], Sources]:
    """The data set with `pack` set, where it has that option, and what its pack is made of.

    Raises:
        ConfigError: it is a pack itself.
    """
    from dataclasses import replace

    from trainers.datasets import DATASETS, open_dataset
    from trainers.options import read_options
    from trainers.packs.sources import SIDE

    kind = DATASETS.get(str(dataset.get("name")))
    if kind is not None and "pack" in kind.Options.__dataclass_fields__:
        given = {name: value for name, value in dataset.items() if name != "name"}
        asked: Any = read_options(kind.Options, given, path="dataset", owner=f"an option of {dataset['name']}")
        side = size or asked.pack or SIDE
        dataset = {**dataset, "pack": side, "size": min(asked.size, side)}
    opened = open_dataset(dataset)
    if opened.stays_on_disk and not opened.packs:
        raise ConfigError(f"DATASET must be what a pack is made of, but {dataset['name']} is a pack itself")
    sources = opened.sources(str(dataset["name"]))
    return dataset, replace(sources, side=size or sources.side) if sources.files else sources


def how_to_read(dataset: dict[str, Scalar], sources: Sources, options: PackOptions) -> str:
    """How a sweep reads the pack."""
    import yaml

    from trainers.datasets import open_dataset

    if options.out is not None:
        packed = {"name": "packed", "root": str(_folder(sources, options)), "size": "SIZE"}
        text = yaml.safe_dump(packed, default_flow_style=True, sort_keys=False, allow_unicode=True, width=math.inf)
        return f"a sweep reads it with dataset={shlex.quote(text.strip())}"
    if sources.files:
        return f"a sweep of this data set reads it with dataset.pack={sources.side}"
    if open_dataset(dataset).packs:
        return "a sweep of this data set reads it"
    return "a sweep of this data set stays in memory, since it takes less than 1 GiB; --out writes a pack to be read"


def _folder(sources: Sources, options: PackOptions) -> Path:
    from trainers.packs.cache import pack_folder

    return options.out.expanduser().absolute() if options.out is not None else pack_folder(sources)


def _show(index: Index, how: str, *, as_json: bool, quiet: bool) -> None:
    from sweeper.cli.output import print_json

    def numbers(values: list[float]) -> str:
        return ", ".join(f"{one:.4f}" for one in values)

    mean, deviation = index.mean_and_deviation
    counts = {split: len(places) for split, places in index.places.items()}
    if as_json:
        print_json(
            {
                "folder": str(index.folder),
                **counts,
                "bytes": index.bytes,
                "encoding": index.plan.encoding,
                "digest": index.digest,
                "mean": mean,
                "deviation": deviation,
                "left_out": list(index.left_out),
            }
        )
    elif not quiet:
        lines = [
            f"{index.folder}",
            f"  {counts['train']:,} images to train and {counts['test']:,} to test, {index.bytes / 1e6:,.1f} MB "
            f"({index.plan.encoding}), digest {index.digest}",
            f"  mean {numbers(mean)}; deviation {numbers(deviation)}",
            *(f"  {note}" for note in index.notes),
            *(f"  left out: {line}" for line in index.left_out),
            f"  {how}",
        ]
        for line in lines:
            click.echo(one_line(line))
