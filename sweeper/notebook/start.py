"""The functions that give a Sweep: `sweeper.run` and `sweeper.open`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeper.notebook.sweep import Sweep

if TYPE_CHECKING:
    from sweeper.config.model import SweepConfig
    from sweeper.run.options import RunOptions

Config = str | Path | Mapping[str, Any]
"""A search-space file, the name of an example, or a mapping with the keys of a file."""


def run(
    config: Config,
    *overrides: str,
    name: str | None = None,
    results: str | Path = "results",
    resume: bool = False,
    local: bool = False,
    device: str = "auto",
    address: str | None = None,
    jobs: int | None = None,
    timeout: float | None = None,
    storage: str | None = None,
    quiet: bool = False,
) -> Sweep:
    """Run a sweep to its end and return it.

    An interrupt (Ctrl-C, or a notebook's stop button) ends the sweep early and returns what there is; `Sweep.resume`
    continues it.

    Args:
        config: a search-space file, the name of an example such as "dino", or a mapping with the keys of a file.
        overrides: "key.key=value", values in YAML, as on the command line.
        name: of the sweep and of its folder; None = method, data set, time.
        results: the folder that gets the sweep's folder.
        resume: continue the sweep of that name if there is one, as `sweeper run --resume`.
        local: run one trial at a time in this process, without Ray.
        device: auto, cpu or cuda.
        address: of a Ray cluster to join.
        jobs: trials at once.
        timeout: seconds after which the sweep ends as if interrupted.
        storage: the whole URL of the study's storage, if the config has it without the password.
        quiet: print nothing.

    Raises:
        ConfigError: the config, an override or an option is wrong; one line per mistake.
        ResultsError: there is a sweep of that name.
        SweepError: the sweep cannot go on.
    """
    from sweeper.cli.naming import check_free, check_name, check_same, default_name
    from sweeper.errors import ConfigError
    from sweeper.run.observers import make_observers
    from sweeper.run.options import RunOptions
    from sweeper.run.sweep import resume_sweep, run_sweep

    options = RunOptions(local, device, address, jobs, timeout, quiet=quiet, storage=storage)
    if resume and name is None:
        raise ConfigError("`resume` must be given with the `name` of the sweep to continue")
    read = _read(config, overrides, options)
    folder = Path(results) / (check_name(name) if name is not None else default_name(read))
    if resume and folder.exists():
        check_same(read, folder, cluster=options.on_cluster)
        resume_sweep(folder, options, make_observers(options), trials=read.trials)
    else:
        check_free(folder)
        run_sweep(read, folder, options, make_observers(options))
    return Sweep(folder)


def open_sweep(name: str | Path, results: str | Path = "results") -> Sweep:
    """The sweep of a folder, of a name below `results`, of the beginning of a name, or "latest".

    Raises:
        ResultsError: there is no such sweep, or several begin so.
    """
    from sweeper.store.find import find_sweep

    return Sweep(find_sweep(str(name), Path(results)))


def _read(config: Config, overrides: Sequence[str], options: RunOptions) -> SweepConfig:
    """The sweep that `config` and the overrides describe."""
    from sweeper.config.examples import find_file
    from sweeper.config.read import load_config, parse_config, warn_of_equal_trials
    from sweeper.run.observers import observer_options

    known, cluster = observer_options(), options.on_cluster
    if not isinstance(config, Mapping):
        return load_config(find_file(Path(config)), overrides, cluster=cluster, observers=known)
    read = parse_config(_plain(config), overrides, source="config", cluster=cluster, observers=known)
    warn_of_equal_trials(read)
    return read


def _plain(value: Any) -> Any:
    """A value as YAML has it: paths as text, tuples as lists, NumPy's scalars as Python's.

    >>> _plain({"dataset": {"root": Path("a")}, "criteria": ("lidar", "rankme")})
    {'dataset': {'root': 'a'}, 'criteria': ['lidar', 'rankme']}
    """
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, Path):
        return str(value)
    return value.item() if getattr(value, "shape", None) == () else value
