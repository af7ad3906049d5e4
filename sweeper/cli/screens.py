"""The output of the commands: sweeps, trials, a choice, a plan. Nothing is computed here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import yaml
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from sweeper.cli.choice import Choice, choose
from sweeper.errors import ResultsError
from sweeper.run.observers.live import STATUS_STYLES
from sweeper.store.layout import SweepFolder
from sweeper.store.listing import FINISHED, INTERRUPTED, Listing, created, hyperparameters_of
from sweeper.store.manifest import NOTES, PROVENANCE, UNREADABLE
from trainers.formats import accuracy, one_line, plain, seconds
from trainers.records import LAYERS, NULL, ORACLE_PREFIX, TrialConfig

if TYPE_CHECKING:
    from sweeper.cli.plan import Estimate
    from sweeper.run.sweep import Summary


def list_data(listings: Iterable[Listing]) -> list[dict[str, Any]]:
    """One row per sweep."""
    rows = []
    for listing in listings:
        try:
            choice = choose(listing)
        except ResultsError:  # no trial has completed yet
            choice = None
        rows.append(
            {
                "name": listing.name,
                "method": listing.settings["method"],
                "dataset": listing.settings["dataset"]["name"],
                "state": listing.state,
                "runs": listing.runs,
                "trials": listing.counts,
                "objective": listing.objective,
                "best_trial": choice.trial if choice else None,
                "best_value": choice.value if choice else None,
                "created": created(listing),
                "folder": str(listing.folder),
            }
        )
    return rows


def list_table(rows: Iterable[Mapping[str, Any]]) -> Table:
    """The table of the sweeps in a folder."""
    table = _table("name", "method", "data set", "trials", "best by objective", "date")
    for row in rows:
        best = f"{row['objective']} {_number(row['best_value'])} (trial {row['best_trial']})"
        _add(
            table,
            row["name"],
            row["method"],
            row["dataset"],
            _count_words(row["trials"], row["runs"], row["state"]),
            best if row["best_trial"] is not None else "–",
            _date(row["created"]),
        )
    return table


def _count_words(counts: Mapping[str, int], runs: int, state: str) -> Text:
    """The counts as text, such as `9 completed, 2 pruned`; with the planned number if the sweep is not finished."""
    text = Text(", ").join(Text(f"{count} {status}", style=STATUS_STYLES[status]) for status, count in counts.items())
    if state != FINISHED:
        text += Text(f"{' ' if counts else '0 '}of {runs}")
        text += Text("" if state in counts else f", {state}", style=STATUS_STYLES.get(state, ""))
    return text


def sweep_parts(listing: Listing) -> list[RenderableType]:
    """The output for one sweep: its config, then its trials."""
    config = {key: value for key, value in listing.settings.items() if key != PROVENANCE}
    parts: list[RenderableType] = [Text(_yaml(config)), trials_table(listing)]
    counts = _text(f"{listing.name}: ") + _count_words(listing.counts, listing.runs, listing.state)
    parts.append(counts)
    parts += [_text(f"dataset: {note}") for note in _dataset_notes(listing)]
    if listing.state == INTERRUPTED:
        parts.append(_text(f"continue with: sweeper resume {listing.folder}"))
    return parts


def _dataset_notes(listing: Listing) -> list[str]:
    """What the data set said of its images, and where the files are listed that it left out."""
    origin = listing.settings.get(PROVENANCE) or {}
    notes = [str(note) for note in origin.get(NOTES) or ()]
    if origin.get(UNREADABLE):
        place = SweepFolder(listing.folder).unreadable
        notes.append(f"files that could not be read and were left out: {origin[UNREADABLE]}, listed in {place}")
    return notes


def trials_table(listing: Listing) -> Table:
    """One row per trial: status, criteria, oracles, and the swept hyperparameters."""
    criteria = ["loss", *(listing.settings.get("criteria") or ())]
    oracles = _oracle_columns(listing.trials)
    swept = list(listing.settings.get("space") or ())
    table = _table(
        "trial", "status", "epochs", *criteria, *(name.removeprefix(ORACLE_PREFIX) for name in oracles), *swept
    )
    for row in listing.trials:
        values = hyperparameters_of(row)
        _add(
            table,
            str(row["trial"]),
            Text(row["status"], style=STATUS_STYLES[row["status"]]),
            str(row.get("epochs", row.get("epoch", 0))),
            *(_number(row.get(name)) for name in criteria),
            *(accuracy(row.get(name)) for name in oracles),
            *(_number(values.get(name)) for name in swept),
        )
    for row in listing.baselines:
        cells = [*(_number(row.get(name)) for name in criteria), *(accuracy(row.get(name)) for name in oracles)]
        _add(table, "–", str(row["baseline"]).replace("_", " "), "0", *cells, *("–" for _ in swept), style="dim")
    return table


def _oracle_columns(trials: Sequence[Mapping[str, Any]]) -> list[str]:
    """The oracle columns in which any trial has a value."""
    names = dict.fromkeys(key for row in trials for key in row if key == "oracle" or key.startswith(ORACLE_PREFIX))
    named = [key for key in names if key.startswith(ORACLE_PREFIX)]
    return [key for key in named or names if any(row.get(key) is not None for row in trials)]


def trial_data(listing: Listing, number: int) -> dict[str, Any]:
    """One trial with its reports.

    Raises:
        ResultsError: the sweep has no such trial.
    """
    rows = [row for row in listing.trials if row["trial"] == number]
    if not rows:
        last = max((row["trial"] for row in listing.trials), default=None)
        there = f"its trials are 0 to {last}" if last is not None else "no trial has started"
        raise ResultsError(f"{listing.name} has no trial {number}: {there}")
    epochs = sorted((row for row in listing.reports if row["trial"] == number), key=lambda row: row["epoch"])
    log = listing.folder / "trials" / f"{number:04d}" / "log.txt"
    return {**rows[0], "log": str(log) if log.is_file() else None, "reports": epochs}


def trial_parts(data: Mapping[str, Any]) -> list[RenderableType]:
    """The output for one trial: its status, its hyperparameters, and its criteria by epoch."""
    head = Text(f"trial {data['trial']}: ") + Text(data["status"], style=STATUS_STYLES[data["status"]])
    if data.get("reason"):
        head += _text(f" ({data['reason']})")
    if data.get("audited"):
        head += Text(f"; audited: the pruner would have stopped it at epoch {data['would_prune_epoch']}")
    lines = [one_line(f"{key}: {data[key]}") for key in ("seed", "checkpoint", "log") if data.get(key) is not None]
    lines += [one_line(f"{key}: {accuracy(data[key])}") for key in _oracle_columns([data])]
    values = hyperparameters_of(data)
    if values:
        lines.append(_yaml_lines({"hyperparameters": values}).rstrip())
    reports = data["reports"]
    known = dict.fromkeys(key for row in reports for key in row)
    criteria = [key for key in known if f"{key}.{LAYERS[0]}" in known and not key.endswith(NULL)]
    names = ["epoch", "step", "loss", *criteria, "spread", "train_seconds", "criteria_seconds"]
    table = _table(*names)
    for row in reports:
        _add(table, *(_number(row.get(name)) for name in names))
    return [head, Text("\n".join(lines)), table if reports else Text("no epoch has been reported")]


def choice_text(choice: Choice) -> str:
    """The selected trial: its checkpoint, its regret, and the search-space file that trains it again."""
    among = "the only completed trial" if choice.completed == 1 else f"of {choice.completed} completed trials"
    lines = [
        f"# {choice.sweep}: {choice.criterion} selects trial {choice.trial} ({_number(choice.value)}), {among}",
        f"# checkpoint: {choice.checkpoint or _without_checkpoint(choice)}",
    ]
    start, sign = choice.untrained_value, 1 if choice.higher_is_better else -1
    if start is not None and sign * start > sign * choice.value:
        high, more = ("high", "more") if choice.higher_is_better else ("low", "less")
        lines.append(
            f"# caution: the untrained encoder has {_number(start)}, {more} than this trial, so here a {high} "
            f"{choice.criterion} does not show that a trial learnt more"
        )
    if choice.best_configuration is not None:
        same = choice.best_configuration == choice.configuration
        lines.append(
            f"# it is one of {choice.seeds} runs of configuration {choice.configuration}, whose mean is "
            f"{_number(choice.configuration_mean)}; "
            + (
                "no configuration has a better mean"
                if same
                else f"configuration {choice.best_configuration} has a better mean, {_number(choice.best_mean)}"
            )
        )
    if choice.regret is not None:
        lines.append(
            f"# {choice.oracle}: {accuracy(choice.accuracy)}; the best, trial {choice.best_trial}, has "
            f"{accuracy(choice.best_accuracy)}; the regret is {100 * choice.regret:.1f} points"
        )
        if choice.untrained_accuracy is not None:
            lines[-1] += f"; the untrained encoder has {accuracy(choice.untrained_accuracy)}"
    lines.append(f"# below is a search-space file; to train this trial again: {choice.again}")
    return "\n".join(map(one_line, lines)) + "\n" + file_text(choice.file)


def _without_checkpoint(choice: Choice) -> str:
    """Why there is no checkpoint, and how to get one."""
    if choice.missing:
        why = f"{choice.missing} is missing, although the sweep kept it; copy it back"
    else:
        kept = {
            "best": "keep_checkpoints: best keeps one for the whole sweep",
            "none": "keep_checkpoints: none",
        }.get(choice.keep_checkpoints, "the sweep was cleaned up")
        why = f"none was kept of this trial ({kept}); set keep_checkpoints=last in the next sweep"
    return f"{why}, or train the trial again as below"


def file_text(content: Mapping[str, Any]) -> str:
    """A search-space file: short sections on one line, hyperparameters one per line."""
    head = _yaml({name: value for name, value in content.items() if name != "fixed"})
    return head + _yaml_lines({"fixed": content["fixed"]})


def plan_parts(
    mapping: Mapping[str, Any], first: Sequence[TrialConfig], runs: int, estimate: Estimate
) -> list[RenderableType]:
    """The output of `--dry-run`: the config, the first trials, and the estimated time."""
    swept = list(first[0].swept) if first else []
    table = _table("trial", "seed", *swept)
    for config in first:
        _add(table, str(config.trial), str(config.seed), *(_number(config.hyperparameters[name]) for name in swept))
    shown = "all trials" if len(first) == runs else f"the first {len(first)} of {runs} trials"
    epoch, criteria, trial, total = (
        seconds(value)
        for value in (
            estimate.epoch_seconds, estimate.criteria_seconds, estimate.trial_seconds, estimate.total_seconds
        )
    )  # fmt: skip
    steps = (
        f"estimated time: an epoch {epoch}, its criteria {criteria}, a trial {trial}, "
        f"the sweep {total} with {estimate.jobs} at a time"
    )
    notes = [_text(f"dataset: {note}") for note in estimate.notes]
    return [Text(_yaml(mapping)), Text(f"{shown}:"), table, Text(f"\n{steps}"), *notes]


def next_steps(summary: Summary) -> str:
    """The outcome of a sweep, and the next commands."""
    state = INTERRUPTED if summary.interrupted else FINISHED
    counts = _count_words(summary.counts, summary.runs, state).plain or "no trial ended"
    folder = one_line(str(summary.folder))
    ended = f"\n{folder}: {counts}, in {seconds(summary.seconds)}"
    if summary.interrupted:  # the message at the interruption says how to continue
        return ended
    best = f"sweeper best {folder}"
    if summary.measured:
        steps = {
            f"sweeper analyze {folder}": "how each criterion ranked the trials",
            best: "the trial that the criterion selects",
        }
    else:  # without accuracies there is nothing that `analyze` could compare the criteria with
        first, *others = summary.criteria
        steps = {best: f"the trial that {first} selects"}
        steps |= {f"{best} --criterion {name}": f"the trial that {name} selects" for name in others[:1]}
    width = max(map(len, steps))
    return "\n".join([ended, *(f"  {command:<{width}}   {meaning}" for command, meaning in steps.items())])


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(_text(column), overflow="fold")
    return table


def _add(table: Table, *cells: str | Text, style: str | None = None) -> None:
    """Add a row; its strings are shown literally."""
    table.add_row(*(cell if isinstance(cell, Text) else _text(cell) for cell in cells), style=style)


def _text(value: str) -> Text:
    """Names and values of a sweep are data: no terminal obeys them, and rich reads no markup in them."""
    return Text(one_line(value))


def _yaml(mapping: Mapping[str, Any]) -> str:
    """A mapping in the format of a search-space file: short values on one line."""
    return _dump(mapping, default_flow_style=None, width=100)


def _yaml_lines(mapping: Mapping[str, Any]) -> str:
    """A mapping with one key per line."""
    return _dump(mapping)


def _dump(mapping: Mapping[str, Any], **how: Any) -> str:
    """YAML that no terminal obeys and that reads back as the same values: what is not shown as it is, is escaped."""
    text = str(yaml.safe_dump(dict(mapping), sort_keys=False, allow_unicode=True, **how))
    if all(one_line(line) == line for line in text.split("\n")):
        return text
    return str(yaml.safe_dump(dict(mapping), sort_keys=False, allow_unicode=False, **how))


def _number(value: object) -> str:
    """A number with four significant digits; other values unchanged; a dash for None.

    >>> _number(0.000123456), _number(12), _number(None), _number("adamw")
    ('0.0001235', '12', '–', 'adamw')
    """
    return str(value) if isinstance(value, int | str) else plain(value)


def _date(moment: str) -> str:
    """The local time to the minute; a dash if there is no time."""
    try:
        return f"{datetime.fromisoformat(moment).astimezone():%Y-%m-%d %H:%M}"
    except ValueError:
        return "–"
