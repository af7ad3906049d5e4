"""Where and for how long a sweep runs."""

from __future__ import annotations

from dataclasses import dataclass

from sweeper.errors import ConfigError


@dataclass(frozen=True)
class RunOptions:
    """What the command line says about where and for how long to run, and what is shown.

    Raises:
        ConfigError: two of them exclude each other.
    """

    local: bool = False
    device: str = "auto"
    address: str | None = None
    jobs: int | None = None
    timeout: float | None = None
    """Seconds after which the sweep ends as if interrupted."""
    quiet: bool = False
    as_json: bool = False
    storage: str | None = None
    """The storage's whole URL, for a sweep whose sweep.yaml holds it without the password."""
    observers: tuple[str, ...] = ()
    """Further observers of this command: a name each, or a mapping in YAML with `name` and options."""

    def __post_init__(self) -> None:
        if self.local and self.address:
            raise ConfigError("`--local` must be given without --address: one runs here, the other on a cluster")
        if self.local and self.jobs not in (None, 1):
            raise ConfigError(f"`--jobs` must be 1 with --local, which runs one trial at a time, but got {self.jobs}")

    @property
    def on_cluster(self) -> bool:
        """Whether trials run on other machines, so that this one's cores and GPUs are no limit."""
        return self.address is not None
