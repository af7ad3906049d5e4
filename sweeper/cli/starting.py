"""The command that writes something to start from: init."""

from __future__ import annotations

from pathlib import Path

import click

from sweeper.errors import ConfigError
from trainers.formats import one_line


@click.command(short_help="Write the example search spaces.")
@click.argument("folder", metavar="[DIR]", default="search_spaces", type=click.Path(path_type=Path))
def init(folder: Path) -> None:
    """Write the example search spaces to DIR (default: search_spaces), one file for each method.

    README.md beside them describes every key. Editors that know the YAML language server complete and check the keys
    by schema.json. A file that is there and differs from the example is not overwritten.

    \b
      sweeper init
      sweeper run search_spaces/dino.yaml --dry-run

    `sweeper run dino` runs the example without a file.
    """
    for file in write_examples(folder):
        click.echo(one_line(str(file)))


def write_examples(folder: Path) -> list[Path]:
    """Write the examples and what belongs beside them; the files.

    Raises:
        ConfigError: one of the files is there with another content; nothing is written.
    """
    from sweeper.config.examples import example_files

    contents = {folder / file.name: file.read_bytes() for file in example_files()}
    for file, content in contents.items():
        if file.exists() and (not file.is_file() or file.read_bytes() != content):
            raise ConfigError(f"{file} is there and differs from the example; move it away, or choose another DIR")
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in contents.items():
        file.write_bytes(content)
    return list(contents)
