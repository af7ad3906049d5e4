"""search_spaces/README.md, written from the dataclasses and catalogues that read a search-space file.

`python -m sweeper.config.reference > search_spaces/README.md` writes it anew.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, asdict, fields, is_dataclass
from typing import Any, Final, get_type_hints

import yaml

from sweeper.config.fields import arguments_of, describe
from sweeper.config.model import CollapseRule, PrunerConfig, Resources, Search, SweepConfig
from sweeper.config.pruners import PRUNERS, WILCOXON
from sweeper.config.space import AXES
from trainers.records import CriteriaSample

INTRODUCTION: Final = """\
# The search-space file

<!-- Written by `python -m sweeper.config.reference > search_spaces/README.md`; edit the docstrings instead. -->

One YAML file is one sweep:

```
sweeper run search_spaces/dino.yaml
sweeper run search_spaces/dino.yaml trials=40 dataset.name=cifar10 space.lr.high=0.3 space.mask_ratio=null
```

What stands behind the file is an override: `key.key=value`, the value in YAML. `space.x=null` takes x out of the space.
`--dry-run` prints the file as resolved, every default written out, and starts nothing. Every key is checked before
anything starts; an error names the file, the line, the key, what was expected, and the nearest right name.

```yaml
method: dino
dataset: {name: mnist5k}
encoder: {name: vit, dim: 96, depth: 4, patch: 7}
epochs: 10
batch_size: 256
trials: 12
space:
  lr: {type: float, low: 1.0e-4, high: 1.0e-1, log: true}
fixed: {teacher_temperature: 0.04}
```
"""

SECTIONS: Final = {
    "search": Search,
    "pruner": PrunerConfig,
    "resources": Resources,
    "criteria_sample": CriteriaSample,
    "collapse": CollapseRule,
}


def write() -> str:
    """The whole document."""
    parts = [INTRODUCTION, _keys(), _space(), *(_section(name) for name in SECTIONS), _datasets(), _encoders()]
    parts += [_criteria(), _oracles(), _methods(), _shared_hyperparameters()]
    return "\n".join(part.strip() + "\n" for part in parts)


def _keys() -> str:
    rows = []
    for name, expected, default, meaning in field_rows(SweepConfig):
        if name in SECTIONS:
            expected, default = f"a mapping, see [below](#{name})", ""
        expected, default = _TOP.get(name, (expected, default))
        if name != "points":
            rows.append((f"`{name}`", expected, default, meaning))
    return f"## Keys\n\n{table(('key', 'value', 'default', 'meaning'), rows)}"


_TOP: Final[Mapping[str, tuple[str, str]]] = {
    "method": ("a [method](#methods)", ""),
    "dataset": ("a mapping with `name`, see [data sets](#data-sets)", ""),
    "encoder": ("a mapping with `name`, see [encoders](#encoders)", ""),
    "space": ("a mapping, see [below](#space-and-fixed)", "nothing varies"),
    "fixed": ("a mapping, see [below](#space-and-fixed)", "the method's defaults"),
    "criteria": ("a list of [criteria](#criteria)", "all of them"),
    "objective": ("a [criterion](#criteria)", "`lidar`"),
    "oracle": ("an [oracle](#oracles), a list of them, or `none`", "`lidar_paper`"),
}


def _space() -> str:
    kinds = [
        f"### `type: {name}`\n\n{summary(kind)}\n\n{_field_table(kind, without=('type',))}"
        for name, kind in AXES.items()
    ]
    return "\n\n".join(
        [
            "## space and fixed",
            "Both hold hyperparameters of the [method, its optimiser and its augmentation](#methods) by name: `fixed` "
            "their value, `space` what they range over. One in both is held at the value in `fixed`, and the log says "
            "so; with `search.sampler: axes` that value is the centre around which the others are varied.",
            *kinds,
        ]
    )


def _section(name: str) -> str:
    kind = SECTIONS[name]
    body = f"## {name}\n\n{summary(kind)}\n\n{_field_table(kind, without=('arguments',))}"
    return f"{body}\n\n{_pruners()}" if name == "pruner" else body


def _pruners() -> str:
    rows = []
    for name, pruner in PRUNERS.items():
        arguments = arguments_of(pruner)
        written = [_argument(key, default) for key, (_, default) in arguments.items()]
        rows.append((f"`{name}`", ", ".join(written) or "none"))
    listed = table(("pruner", "its arguments, with Optuna's defaults"), rows)
    more = (
        "`max_resource: auto` is the sweep's epochs. `patient` wraps another pruner: "
        "`{name: patient, patience: 2, wrapped_pruner: {name: median}}`."
    )
    peaks = (
        "`median` and `percentile` judge a trial by the best value it has had so far, so that one which begins high "
        "and falls is never stopped: where a criterion does so, take `successive_halving` or `hyperband`, which "
        "compare values of the same epoch. What any of them costs, `audit` tells."
    )
    return f"{listed}\n\n{more} `wilcoxon` is refused: {WILCOXON.partition(': ')[2]}.\n\n{peaks}"


def _argument(name: str, default: object) -> str:
    return f"`{name}`" + ("" if default is inspect.Parameter.empty else f" = {shown_default(default)}")


def _datasets() -> str:
    from trainers.datasets import DATASETS

    parts = [f"### {name}\n\n{summary(kind)}\n\n{_field_table(kind.Options)}" for name, kind in DATASETS.items()]
    return "\n\n".join(["## Data sets", "Options stand beside `name`: `dataset: {name: …, option: …}`.", *parts])


def _encoders() -> str:
    from trainers.encoders import ENCODERS, TIMM_PREFIX, TimmOptions

    kinds: dict[str, type[Any]] = {**ENCODERS, f"{TIMM_PREFIX}MODEL": TimmOptions}
    parts = [f"### {name}\n\n{summary(kind)}\n\n{_field_table(kind)}" for name, kind in kinds.items()]
    return "\n\n".join(["## Encoders", "Options stand beside `name`: `encoder: {name: …, option: …}`.", *parts])


def _criteria() -> str:
    from trainers.criteria import CRITERIA
    from trainers.methods import METHODS

    rows = []
    for name, criterion in CRITERIA.items():
        settings = ", ".join(f"{key} = {value:g}" for key, value in criterion.settings.items())
        rows.append((f"`{name}`", settings, *(criterion.layer_of(method) for method in METHODS)))
    head = ("criterion", "constants", *(f"layer for {method}" for method in METHODS))
    text = "All are measured on both layers after every epoch; the plain column repeats the layer that the table names."
    return f"## Criteria\n\n{text}\n\n{table(head, rows)}"


def _oracles() -> str:
    from trainers.oracles import ORACLES

    rows = [
        (f"`{name}`", ", ".join(f"{key} = {value:g}" for key, value in asdict(protocol).items()))
        for name, protocol in ORACLES.items()
    ]
    return f"## Oracles\n\nThey read labels, and steer nothing.\n\n{table(('oracle', 'protocol'), rows)}"


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
    """One row per hyperparameter, one column of defaults per method."""
    methods = list(methods)
    rows = []
    for name, expected, _, meaning in field_rows(type(default(methods[0]))):
        values = (shown_default(getattr(default(method), name)) for method in methods)
        rows.append((f"`{name}`", expected, *values, meaning))
    return table(("name", "value", *(f"in {method}" for method in methods), "meaning"), rows)


def _field_table(kind: type[Any], *, without: Iterable[str] = ()) -> str:
    rows = [(f"`{row[0]}`", *row[1:]) for row in field_rows(kind) if row[0] not in without]
    return table(("key", "value", "default", "meaning"), rows) if rows else "It has no options."


def field_rows(kind: type[Any]) -> list[tuple[str, str, str, str]]:
    """Name, what may be written, default and meaning of every field of a dataclass."""
    hints = get_type_hints(kind, include_extras=True)
    meanings = field_docs(kind)
    rows = []
    for one in fields(kind):
        default = one.default_factory() if one.default_factory is not MISSING else one.default
        shown = "" if default is MISSING or is_dataclass(default) else shown_default(default)
        try:
            expected = describe(hints[one.name])
        except KeyError:  # a mapping or a record, which is described in words
            expected = ""
        rows.append((one.name, expected, shown, " ".join(meanings.get(one.name, "").split())))
    return rows


def field_docs(kind: type[Any]) -> dict[str, str]:
    """The string below each field of a class and of those it extends."""
    docs: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        if not is_dataclass(one):
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(one))).body[0]
        assert isinstance(body, ast.ClassDef)
        for field_node, next_node in zip(body.body, body.body[1:], strict=False):
            if isinstance(field_node, ast.AnnAssign) and isinstance(field_node.target, ast.Name):
                match next_node:
                    case ast.Expr(value=ast.Constant(value=str(text))):
                        docs[field_node.target.id] = text
    return docs


def shown_default(value: object) -> str:
    """A default as YAML writes it.

    >>> shown_default(None), shown_default(1e-05), shown_default(("lidar",))
    ('`null`', '`1.0e-05`', '`[lidar]`')
    """
    plain = list(value) if isinstance(value, tuple) else value
    text = yaml.safe_dump(plain, default_flow_style=True, width=1000).strip()
    return f"`{text.removesuffix('...').strip()}`"


def summary(kind: type[Any]) -> str:
    """The docstring of a class up to its first blank line, on one line."""
    return " ".join((inspect.getdoc(kind) or "").partition("\n\n")[0].split())


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A Markdown table; columns that are empty in every row are left out.

    >>> print(table(("key", "default"), [("`lr`", "`0.1`")]))
    | key | default |
    | --- | --- |
    | `lr` | `0.1` |
    """
    rows = list(rows)
    kept = [index for index in range(len(head)) if any(row[index] for row in rows)]
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(line[index].replace("|", "\\|") for index in kept) + " |" for line in lines)


if __name__ == "__main__":
    print(write(), end="")
