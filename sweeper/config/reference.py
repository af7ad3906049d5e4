"""search_spaces/README.md, made from the dataclasses and catalogues that read a search-space file.

`python -m sweeper.config.reference search_spaces` writes README.md and schema.json into that folder.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, asdict
from pathlib import Path
from typing import Any, Final

from sweeper.config.axes import AXES
from sweeper.config.docs import schema
from sweeper.config.docs.docstrings import summary
from sweeper.config.docs.markdown import field_rows, quoted_default, table
from sweeper.config.model import MADE, SECTIONS, SweepConfig, section_options
from sweeper.config.pruners import PRUNERS, WILCOXON, pruner_options
from trainers.options import Option, options_of

INTRODUCTION: Final = """\
# The search-space file

<!-- Written, like schema.json, by `python -m sweeper.config.reference search_spaces`; edit the docstrings instead. -->

One YAML file is one sweep:

```
sweeper run search_spaces/dino.yaml
sweeper run search_spaces/dino.yaml trials=40 dataset.name=cifar10 space.lr.high=0.3 space.mask_ratio=null
```

The arguments after the file are overrides: `key.key=value`, the value in YAML. `space.x=null` takes x out of the space.
`--dry-run` prints the value of every key, defaults included, and starts nothing. Every key is checked before anything
starts. All mistakes are printed at once, one line each: the file, the line, the key, what was expected, and the nearest
right name.

Editors that know the YAML language server complete and check the keys by [schema.json](schema.json), which the first
line of each file names: `# yaml-language-server: $schema=schema.json`, a path relative to the file.

```yaml
method: dino
dataset: {name: photos}
encoder: {name: vit, dim: 96, depth: 4, patch: 8}
epochs: 10
batch_size: 256
trials: 12
space:
  lr: {type: float, low: 1.0e-4, high: 1.0e-1, log: true}
fixed: {teacher_temperature: 0.04}
```
"""

RECIPES: Final = """\
## Papers' recipes

Three folders have sweeps of the size of papers. The head of each file says what it follows, what was read there, and
what is the author's. They are in the repository alone, not among the examples of the wheel: they need their data set
and days on GPUs.

- `cifar/` simclr and vicreg, and `tiny-imagenet/`: 800 epochs at batch 512, as in VICReg's information-theory paper
  (Shwartz-Ziv et al., NeurIPS 2023).
- `cifar/` byol, barlow_twins, moco, swav, dino: 1,000 epochs at batch 256, as in solo-learn, with sgd in place of its
  LARS, which clips. The recipes of CIFAR-10 and CIFAR-100 differ in the data set alone.
- `imagenet/`: 600 epochs at batch 2,048, as in LiDAR's paper (Thilak et al., ICLR 2024), with the axes of its
  replication by IdEst (Mordacq et al., ICML 2026) for vicreg, dino and ijepa. A trial trains on one GPU, and such a
  batch may not fit there; `lr` does not follow `batch_size`, so change both.

```
sweeper run search_spaces/cifar/simclr.yaml dataset.name=cifar100
sweeper run search_spaces/imagenet/dino.yaml dataset.root=/data/imagenet batch_size=512 fixed.lr=1.0e-3
```
"""


def write() -> str:
    """The whole document."""
    parts = [INTRODUCTION, RECIPES, _keys(), _space(), *(_section(name) for name in SECTIONS), _datasets(), _encoders()]
    parts += [_criteria(), _oracles(), _methods(), _shared_hyperparameters()]
    return "\n".join(part.strip() + "\n" for part in parts)


def write_files(folder: Path) -> None:
    """README.md and schema.json in `folder`."""
    (folder / "README.md").write_text(write(), encoding="utf-8")
    (folder / "schema.json").write_text(schema.write(), encoding="utf-8")


def _keys() -> str:
    rows = []
    for name, expected, default, meaning in field_rows(SweepConfig):
        if name in SECTIONS:
            expected, default = (
                f"a mapping, see [below](#{name})",
                "from the images" if name == "criteria_sample" else "",
            )
        expected, default = _TOP.get(name, (expected, default))
        if name not in MADE:
            rows.append((f"`{name}`", expected, default, meaning))
    return f"## Keys\n\n{table(('key', 'value', 'default', 'meaning'), rows)}"


_TOP: Final[Mapping[str, tuple[str, str]]] = {
    "method": ("a [method](#methods)", ""),
    "dataset": ("a name, or a mapping with `name`, see [data sets](#data-sets)", ""),
    "encoder": ("a name, or a mapping with `name`, see [encoders](#encoders)", ""),
    "criteria_sample": ("a mapping, see [below](#criteria_sample)", "from the images"),
    "batch_size": ("a whole number from 2 to 10,000,000", "from the images"),
    "pruner": ("a name, or a mapping with `name`, see [below](#pruner)", "`none`"),
    "space": ("a mapping, see [below](#space-and-fixed)", "nothing varies"),
    "fixed": ("a mapping, see [below](#space-and-fixed)", "the method's defaults"),
    "criteria": (
        "`default`, `all`, a [criterion](#criteria), or a list of them",
        "`default`, a [cheap set](#criteria)",
    ),
    "objective": ("a [criterion](#criteria)", "`lidar`"),
    "observers": ("a name, a mapping with `name` and options, or a list of these", "`[]`"),
    "oracle": ("an [oracle](#oracles), a mapping with `probe`, a list of these, or `none`", "`lidar_paper`"),
}


def _space() -> str:
    kinds = [
        f"### `type: {name}`\n\n{summary(kind)}\n\n{_field_table(kind, _without_type(kind))}"
        for name, kind in AXES.items()
    ]
    return "\n\n".join(
        [
            "## space and fixed",
            "Both hold hyperparameters of the [method, its optimiser and its augmentation](#methods) by name: `fixed` "
            "has their value, `space` has their range. A hyperparameter in both is held at the value in `fixed`, and "
            "the log says so; with `search.sampler: axes`, that value is the centre around which the others vary.",
            *kinds,
        ]
    )


def _without_type(kind: type[Any]) -> dict[str, Option]:
    return {name: option for name, option in options_of(kind).items() if name != "type"}


def _section(name: str) -> str:
    kind = SECTIONS[name]
    body = f"## {name}\n\n{summary(kind)}\n\n{_field_table(kind, section_options(name))}"
    return f"{body}\n\n{_pruners()}" if name == "pruner" else body


def _pruners() -> str:
    rows = []
    for name in PRUNERS:
        arguments = [_argument(key, option.default) for key, option in pruner_options(name).items()]
        rows.append((f"`{name}`", ", ".join(arguments) or "none"))
    listed = table(("pruner", "its arguments, with Optuna's defaults"), rows)
    more = (
        "`max_resource: auto` is the sweep's epochs. `patient` wraps another pruner: "
        "`{name: patient, patience: 2, wrapped_pruner: {name: median}}`."
    )
    peaks = (
        "`median` and `percentile` compare the best value of a trial so far, so they never stop a trial that begins "
        "high and falls. For a criterion that does this, take `successive_halving` or `hyperband`, which compare "
        "values of the same epoch. `audit` measures what a pruner costs."
    )
    return f"{listed}\n\n{more} `wilcoxon` is refused: {WILCOXON.partition(': ')[2]}.\n\n{peaks}"


def _argument(name: str, default: object) -> str:
    return f"`{name}`" + ("" if default is MISSING else f" = {quoted_default(default)}")


def _datasets() -> str:
    from trainers.datasets import DATASETS

    parts = [f"### {name}\n\n{summary(kind)}\n\n{_field_table(kind.Options)}" for name, kind in DATASETS.items()]
    return "\n\n".join(
        [
            "## Data sets",
            "The options follow the `name`: `dataset: {name: …, option: …}`; a name alone takes the defaults.",
            *parts,
        ]
    )


def _encoders() -> str:
    from trainers.encoders import ENCODERS, TIMM_PREFIX, TimmOptions

    kinds: dict[str, type[Any]] = {**ENCODERS, f"{TIMM_PREFIX}MODEL": TimmOptions}
    parts = [f"### {name}\n\n{summary(kind)}\n\n{_field_table(kind)}" for name, kind in kinds.items()]
    return "\n\n".join(
        [
            "## Encoders",
            "The options follow the `name`: `encoder: {name: …, option: …}`; a name alone takes the defaults.",
            *parts,
        ]
    )


def _criteria() -> str:
    from trainers.criteria import CRITERIA, DEFAULT_CRITERIA
    from trainers.methods import METHODS

    rows = []
    for name, criterion in CRITERIA.items():
        settings = ", ".join(f"{key} = {quoted_default(value)}" for key, value in criterion.settings.items())
        facts = (criterion.label, "more" if criterion.higher_is_better else "less", settings)
        layers = {method: str(criterion.description(method)["layer"]) for method in METHODS}
        rows.append((f"`{name}`", *facts, by_method(layers)))
    head = ("criterion", "name", "better", "constants", "layer")
    text = (
        "Each is measured on both layers; the plain column repeats the layer that the table names. "
        f"`criteria: default` is {', '.join(f'`{name}`' for name in DEFAULT_CRITERIA)}; `criteria: all` is every one. "
        "The docstring of each file in `trainers/criteria/` has the source, the cost, and what a collapse does to it."
    )
    return f"## Criteria\n\n{text}\n\n{table(head, rows)}"


def _oracles() -> str:
    from trainers.oracles import ORACLES

    rows = [
        (
            f"`{name}`",
            summary(type(protocol)),
            ", ".join(f"{key} = {quoted_default(value)}" for key, value in asdict(protocol).items()),
        )
        for name, protocol in ORACLES.items()
    ]
    text = (
        "They read labels. The search sees no result of theirs. `oracle: [lidar_paper, knn]` runs several on the same "
        "features, and the first is that of the plain column. A mapping changes constants of a protocol, or names "
        "another data set: its images, resized and converted to what the encoder reads, with its own training and test "
        "labels. Its columns are called `oracle.<probe>@<data set>`, and `lidar_paper@mnist5k` is short for a data set "
        "with its default options."
    )
    example = "oracle: [lidar_paper, {probe: few_label, images: 5}, {probe: lidar_paper, dataset: {name: mnist5k}}]"
    return f"## Oracles\n\n{text}\n\n```\n{example}\n```\n\n{table(('oracle', 'protocol', 'constants'), rows)}"


def _methods() -> str:
    from trainers.methods import METHODS

    parts = ["## Methods", "Defaults are the papers'."]
    for name, kind in METHODS.items():
        parts.append(f"### {name}\n\n{summary(kind)}\n\n{_field_table(kind.Params)}")
    return "\n\n".join(parts)


def _shared_hyperparameters() -> str:
    """Of the optimiser and of the augmentation, whose defaults differ from method to method."""
    from trainers.methods import METHODS

    parts = []
    for title, default in (
        ("Optimiser", lambda method: METHODS[method].optimizer),
        ("Augmentation", lambda method: METHODS[method].augmentation),
    ):
        parts.append(f"### {title}\n\nHyperparameters of every method.\n\n{_side_by_side(default, METHODS)}")
    return "\n\n".join(parts)


def _side_by_side(default: Callable[[str], Any], methods: Iterable[str]) -> str:
    """One row per hyperparameter; the most common default first, then that of each other method."""
    methods = list(methods)
    rows = []
    for name, expected, _, meaning in field_rows(type(default(methods[0]))):
        values = {method: quoted_default(getattr(default(method), name)) for method in methods}
        rows.append((f"`{name}`", expected, by_method(values), meaning))
    return table(("name", "value", "default", "meaning"), rows)


def by_method(values: Mapping[str, str]) -> str:
    """The most common value, then the others with their methods.

    >>> by_method({"byol": "lars", "dino": "adamw", "simclr": "lars"})
    'lars; adamw: dino'
    """
    methods: dict[str, list[str]] = {}
    for method, value in values.items():
        methods.setdefault(value, []).append(method)
    common = max(methods, key=lambda value: len(methods[value]))
    others = [f"{value}: {', '.join(names)}" for value, names in methods.items() if value != common]
    return "; ".join([common, *others])


def _field_table(kind: type[Any], options: Mapping[str, Option] | None = None) -> str:
    """One row per field of a dataclass; `options` has what its annotations do not say."""
    rows = [(f"`{row[0]}`", *row[1:]) for row in field_rows(kind, options)]
    return table(("key", "value", "default", "meaning"), rows) if rows else "It has no options."


if __name__ == "__main__":
    write_files(Path(sys.argv[1]))
