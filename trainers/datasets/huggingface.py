"""huggingface: a data set of the Hugging Face hub on disk: a folder of parquet or Arrow files with a column of images.

It reads what `save_to_disk` writes, parquet files as the hub has them, and the Arrow files of the library's cache.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, cast

import numpy as np
from numpy.typing import NDArray

from trainers.datasets.base import SPLITS, UNLABELLED, Dataset, DatasetOptions, Images, absolute, check_split, scrambled
from trainers.decode import MAX_PIXELS, read_squares
from trainers.fields import Between

if TYPE_CHECKING:
    import pyarrow as pa

ENDINGS: Final = (".parquet", ".arrow")
CACHED: Final = "cache-"
"""How the name of a file begins that the library's `map` or `filter` has left behind."""
TRAIN: Final = ("train", "training")
TEST: Final = ("validation", "valid", "val", "dev", "test", "testing")
"""Words for the split to test on, the first that exists; a test set beside a validation set is left untouched."""
LABELS: Final = ("label", "labels", "fine_label", "class", "target")
"""Names of the column with the classes, if the file does not say which column has them."""


@dataclass(frozen=True)
class HuggingFaceOptions(DatasetOptions):
    """Where the files are and how they are read."""

    root: str | None = None
    """Folder that is searched for parquet and Arrow files, sub-folders included; it must be given. The names of files
    and folders tell the splits."""
    train: str | None = None
    """The split to train on; null = train or, where no file names a split, all files."""
    test: str | None = None
    """The split that tests the oracle; null = validation or else test or, without both, a share of the other one."""
    test_share: Annotated[float, Between(0, 0.99)] = 0.2
    """Share of the images that score the oracle, where there is no split to test on."""
    image: str | None = None
    """The column of images; null = the first that holds encoded images."""
    label: str | None = None
    """The column of classes, as numbers or text; null = the first that the files declare to be one, or else `label`."""
    labels: bool = True
    """Whether the images have classes."""
    size: Annotated[int, Between(1, 10_000)] = 64
    """Side in pixels: the short side is resized to it, and the middle square is cut out."""
    channels: Literal[1] | Literal[3] = 3
    """3 = colour, 1 = gray."""


class HuggingFace(Dataset):
    """Images of a column of parquet or Arrow files; their order depends on the files' names and the rows alone."""

    Options = HuggingFaceOptions

    def __init__(self, options: HuggingFaceOptions) -> None:
        if not options.root:
            raise ValueError("`dataset.root` must be a folder of parquet or Arrow files; set dataset.root=FOLDER")
        self.root, self.asked = absolute(options.root), options
        super().__init__(replace(options, root=str(self.root)))
        found = [path for path in self.root.rglob("*") if path.suffix in ENDINGS and not path.name.startswith(CACHED)]
        self.files = _splits(self.root, sorted(path for path in found if path.is_file()), options)
        first = self.files["train"][0]
        schema = _schema(first)
        self.image = _image_column(schema, options.image, first)
        self.label = _label_column(schema, options.label, first) if options.labels else None
        self._rows = self._divide()

    def images(self) -> Images:
        read = [self._read(split) for split in SPLITS]
        return Images(read[0][0], read[1][0], tuple(dict.fromkeys(note for _, notes in read for note in notes)))

    def shape(self, split: str) -> tuple[int, ...]:
        check_split(split)
        return len(self._rows[split]), self.asked.size, self.asked.size, self.asked.channels

    def labels(self, split: str) -> NDArray[np.int64] | None:
        check_split(split)
        if self.label is None or len(self._numbers) < 2 or not len(self._rows["test"]):
            return None
        values = self._classes(split)
        return np.array([self._numbers.get(value, UNLABELLED) for value in values], dtype=np.int64)

    @cached_property
    def _numbers(self) -> Mapping[Any, int]:
        """Class -> its number; a number stays what it is, and a negative one is no class."""
        values = {value for split in SPLITS for value in self._classes(split)} - {None}
        if any(isinstance(value, str) for value in values):
            return {value: place for place, value in enumerate(sorted(values, key=str))}
        return {value: int(value) for value in values if value >= 0}

    def _classes(self, split: str) -> list[Any]:
        assert self.label is not None
        column = _column(self.files[split], self.label).to_pylist()
        return [column[row] for row in self._rows[split]]

    def _divide(self) -> dict[str, NDArray[np.int64]]:
        """The rows of each split, in mixed order; where one set of files is both, each row is in one split."""
        order = {split: scrambled(map(str, range(sum(map(_count, self.files[split]))))) for split in SPLITS}
        if self.files["train"] == self.files["test"]:
            count = round(self.asked.test_share * len(order["train"]))
            order = {"train": order["train"][count:], "test": order["train"][:count]}
        if len(order["train"]) < 2:
            raise ValueError(f"`dataset.root` must hold enough images, but got {len(order['train'])} to train")
        return order

    def _read(self, split: str) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
        """The pixels of a split, and what the user should know of them."""
        rows = self._rows[split]
        encoded = _Encoded(_column(self.files[split], self.image), rows, self.root)
        read = read_squares(cast(Sequence[Path], encoded), *self.shape(split)[2:], max_pixels=MAX_PIXELS)
        if read.failures:
            first = min(read.failures)
            raise ValueError(
                f"row {rows[first]} of the {split} split in {self.root} cannot be read as an image "
                f"({read.failures[first]}); take it out"
            )
        return read.pixels, read.notes


class _Encoded:
    """The images of chosen rows as files that are open, or the paths of those that are beside the tables."""

    def __init__(self, column: pa.ChunkedArray, rows: NDArray[np.int64], root: Path) -> None:
        self.column, self.rows, self.root = column, rows, root

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: int) -> BytesIO | Path:
        value: Any = self.column[int(self.rows[place])].as_py()
        content = value.get("bytes") if isinstance(value, dict) else value
        if content is not None:
            return BytesIO(content)
        if isinstance(value, dict) and value.get("path"):
            return self.root / str(value["path"])
        raise ValueError("it is empty")


def _splits(root: Path, files: list[Path], options: HuggingFaceOptions) -> dict[str, list[Path]]:
    """The files of each split; the same for both where there is nothing to test on."""
    if not files:
        raise ValueError(f"`dataset.root` must hold parquet or Arrow files, but got none in {root}")
    words = {path: _words(path.relative_to(root)) for path in files}

    def having(word: str) -> list[Path]:
        return [path for path in files if word in words[path]]

    def first(asked: str | None, known: Sequence[str], key: str) -> list[Path]:
        found = next((having(word) for word in ([asked.lower()] if asked else known) if having(word)), [])
        if asked and not found:
            raise ValueError(f"`dataset.{key}` must be a split of {root}, but no file there is called {asked!r}")
        return found

    test = first(options.test, TEST, "test")
    train = first(options.train, TRAIN, "train")
    if not train and not test:
        return {"train": files, "test": files}
    if not train:
        raise ValueError(f"`dataset.root` must hold a split to train on, but {root} has no file called train")
    return {"train": train, "test": test or train}


def _words(path: Path) -> set[str]:
    """The words in the names of a file and of its folders, in lower case.

    >>> sorted(_words(Path("data/Train-00000-of-00002.parquet")))
    ['00000', '00002', 'data', 'of', 'train']
    """
    return set(re.split(r"[-_./]", path.with_suffix("").as_posix().lower()))


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Raises: ValueError with the file's name, where the file is damaged."""
    import pyarrow as pa

    try:
        yield
    except (OSError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{path} cannot be read ({reason}); get the file again") from None


def _arrow(path: Path) -> pa.Table:
    """The table of an Arrow file, which stays on the disk; the library writes streams, others write files."""
    import pyarrow as pa

    source = pa.memory_map(str(path))
    try:
        return pa.ipc.open_stream(source).read_all()
    except pa.ArrowInvalid:
        return pa.ipc.open_file(source).read_all()


def _schema(path: Path) -> pa.Schema:
    import pyarrow.parquet as pq

    with _named(path):
        return pq.read_schema(path) if path.suffix == ".parquet" else _arrow(path).schema


def _count(path: Path) -> int:
    """The rows of a file."""
    import pyarrow.parquet as pq

    with _named(path):
        return int(pq.read_metadata(path).num_rows if path.suffix == ".parquet" else _arrow(path).num_rows)


def _column(files: Sequence[Path], name: str) -> pa.ChunkedArray:
    """One column of several files, one after the other.

    Raises:
        ValueError: a file lacks it.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    chunks: list[pa.Array] = []
    for path in files:
        names = _schema(path).names
        if name not in names:
            raise ValueError(f"{path} must have the column {name}, but has {', '.join(names)}")
        with _named(path):
            table = pq.read_table(path, columns=[name]) if path.suffix == ".parquet" else _arrow(path)
            chunks += table.column(name).chunks
    return pa.chunked_array(chunks)


def _image_column(schema: pa.Schema, asked: str | None, path: Path) -> str:
    """The column of images: structs with encoded bytes and a path, or bytes alone."""
    import pyarrow as pa

    def holds(kind: pa.DataType) -> bool:
        if pa.types.is_struct(kind):
            return any(field.name == "bytes" for field in kind)
        return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))

    found = [field.name for field in schema if holds(field.type)]
    if asked in found or (asked is None and found):
        return asked or str(found[0])
    raise ValueError(
        f"`dataset.image` must be a column of encoded images, but {path} has {', '.join(found) or 'none'}"
        + (f", not {asked}" if asked else f" among {', '.join(schema.names)}")
    )


def _label_column(schema: pa.Schema, asked: str | None, path: Path) -> str | None:
    """The column of classes, or None."""
    if asked is not None:
        if asked not in schema.names:
            raise ValueError(f"`dataset.label` must be a column of {path}, but got {asked}; it has {schema.names}")
        return asked
    declared = json.loads((schema.metadata or {}).get(b"huggingface", b"{}")).get("info", {}).get("features", {})
    classes = [name for name, kind in declared.items() if isinstance(kind, dict) and kind.get("_type") == "ClassLabel"]
    return next((name for name in (*classes, *LABELS) if name in schema.names), None)
