"""Train one trial: take a TrialConfig, and give an EpochReport after every epoch. It needs nothing but torch."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from trainers.datasets.base import Images
from trainers.device import exact, fast_bfloat16, limit_threads, now
from trainers.images import read_images
from trainers.measure import Measurement, Sample, measure, watch
from trainers.methods.base import Method
from trainers.network import build_method, load_state, measurable
from trainers.optim import build_optimizer, set_schedules
from trainers.records import CHECKPOINT, EpochReport, TrialConfig, is_measured
from trainers.seeds import augmentation_generator, dropout_seed, training_order
from trainers.settings import check_data, resolve
from trainers.splits import Data

EARLIER: Final = {"criteria_every": 1}
"""Fields of a TrialConfig that checkpoints of earlier versions lack, with the values that they meant."""

Told = Callable[[int, int, int], None]
"""Called after every update with the epoch, counted from 1, its updates so far, and those of a whole epoch."""


def train(
    config: TrialConfig, *, images: Images | None = None, folder: Path | None = None, told: Told | None = None
) -> Iterator[EpochReport]:
    """Pretrain and yield a report after every epoch.

    With a `folder`, each epoch is saved in its checkpoint before the report is yielded. If there is a checkpoint
    already, its reports are yielded again and training continues after them; if it is damaged, a warning says so and
    training starts from the beginning. The numbers do not depend on where training was interrupted; on a GPU, as far
    as its kernels are deterministic.

    Args:
        config: the trial.
        images: the data set's images, if the caller has read them already.
        folder: where the checkpoint is.
        told: is called after every update.

    Raises:
        ValueError: the configuration cannot be trained, or the checkpoint belongs to another configuration.
    """
    trainer = Trainer(config, images if images is not None else read_images(config.dataset), told)
    checkpoint = folder / CHECKPOINT if folder is not None else None
    if checkpoint is not None and checkpoint.exists() and (state := read_checkpoint(checkpoint)) is not None:
        yield from trainer.restore(state, checkpoint)
    while trainer.epoch < config.epochs:
        report = trainer.run_epoch()
        if checkpoint is not None:
            trainer.save(checkpoint)
        yield report


class Trainer:
    """The state of one trial between epochs."""

    def __init__(self, config: TrialConfig, images: Images, told: Told | None = None) -> None:
        limit_threads(config.threads)
        self.config = config
        self.told = told
        self.settings = resolve(config)
        self.data = Data(images, config.device)
        self.steps_per_epoch = len(self.data.train) // config.batch_size
        if self.steps_per_epoch == 0:
            raise ValueError(
                f"`batch_size` must be at most the {len(self.data.train)} training images, but got {config.batch_size}"
            )
        check_data(config, len(self.data.train))
        self.method = build_method(config, self.data)
        self.optimizer = build_optimizer(self.method, self.settings.optimizer)
        self.sample = Sample(self.method, self.data, config.criteria_sample, self.settings)
        self.epoch = 0
        self.reports: list[EpochReport] = []

    @property
    def step(self) -> int:
        """Optimiser updates so far."""
        return self.epoch * self.steps_per_epoch

    def run_epoch(self) -> EpochReport:
        """Train one epoch, measure the network, and report both."""
        began = now(self.data.device)
        with exact(), dropping(self.data.device, self.config.seed, self.epoch + 1):
            loss, masked, visible = self._train_epoch()
        trained = now(self.data.device)
        self.epoch += 1
        network = measurable(self.method, self.config, self.data)
        ready = now(self.data.device)
        found = self._measure(network)
        train_seconds = trained - began
        each = {name: ready - trained + seconds for name, seconds in found.seconds.items()}
        report = EpochReport(
            trial=self.config.trial,
            epoch=self.epoch,
            step=self.step,
            loss=loss,
            criteria=found.criteria,
            spread=found.spread,
            seconds={"train": train_seconds, "criteria": now(self.data.device) - trained, **each},
            images_per_second=self.steps_per_epoch * self.config.batch_size / train_seconds,
            masked_share=masked,
            visible_share=visible,
            embedding_rank=found.embedding_rank,
            nulls=found.nulls,
        )
        self.reports.append(report)
        return report

    def _measure(self, network: Method) -> Measurement:
        """The criteria, and after the last epoch their nulls; between measurements, what the collapse rule reads."""
        config = self.config
        if not is_measured(self.epoch, config.criteria_every, config.epochs):
            return watch(network, self.sample, config.criteria)
        return measure(network, self.sample, config.criteria, config.method, nulls=self.epoch == config.epochs)

    def _train_epoch(self) -> tuple[float, float, float]:
        """Train on every image once, in an order drawn for this seed and epoch.

        Returns:
            The mean loss, and the mean masked and visible shares of the patches.
        """
        config, method = self.config, self.method.train()
        generator = augmentation_generator(self.data.device, config.seed, self.epoch + 1)
        order = training_order(len(self.data.train), self.data.device, config.seed, self.epoch + 1)
        steps = config.epochs * self.steps_per_epoch
        shares = torch.zeros(2, dtype=torch.float64)
        total = torch.zeros((), device=self.data.device, dtype=torch.float64)
        whole = order[: self.steps_per_epoch * config.batch_size]
        for index, images in enumerate(self.data.train.stream(whole, config.batch_size)):
            step = self.step + index
            method.progress = step / steps
            set_schedules(self.optimizer, self.settings.optimizer, step, steps)
            batch = method.make_batch(images, self.settings.augmentation, generator)
            batch = replace(batch, views=tuple(map(self.data.normalize, batch.views)))
            with torch.autocast(self.data.device.type, torch.bfloat16, enabled=fast_bfloat16(self.data.device)):
                loss = method.loss(batch)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            if self.settings.optimizer.clip_norm is not None:
                nn.utils.clip_grad_norm_(method.parameters(), self.settings.optimizer.clip_norm)
            self.optimizer.step()
            method.after_step((step + 1) / steps)
            total += loss.detach()
            shares = shares.to(loss.device) + method.shares(batch).to(loss.device)
            if self.told is not None:
                self.told(self.epoch + 1, index + 1, self.steps_per_epoch)
        masked, visible = (shares / self.steps_per_epoch).tolist()
        return float(total) / self.steps_per_epoch, masked, visible

    def save(self, checkpoint: Path) -> None:
        """Write the checkpoint to a temporary file, then rename it: an interrupted write leaves the previous one."""
        state = {
            "config": identity(self.config),
            "epoch": self.epoch,
            "method": self.method.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "reports": [asdict(report) for report in self.reports],
        }
        temporary = checkpoint.with_suffix(f".{os.getpid()}.tmp")
        with temporary.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(checkpoint)

    def restore(self, state: dict[str, Any], checkpoint: Path) -> list[EpochReport]:
        """Restore the state of a checkpoint, and return its reports, oldest first."""
        if EARLIER | state["config"] != identity(self.config):
            raise ValueError(f"`folder` holds the checkpoint of another configuration: {checkpoint}; remove it first")
        self.method.load_state_dict(state["method"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch = state["epoch"]
        self.reports = [EpochReport(**report) for report in state["reports"]]
        return list(self.reports)


def read_checkpoint(checkpoint: Path) -> dict[str, Any] | None:
    """Return the state in a checkpoint, or warn and return None if it is damaged."""
    try:
        return load_state(checkpoint)
    except ValueError as error:
        warnings.warn(f"{error}; training starts from the beginning", stacklevel=2)
        return None


def identity(config: TrialConfig) -> dict[str, Any]:
    """The part of a configuration that training depends on: it may continue on another device or with other oracles."""
    elsewhere = ("dataset", "device", "threads", "oracle", "oracle_choices")
    return {name: value for name, value in asdict(config).items() if name not in elsewhere}


@contextmanager
def dropping(device: torch.device, seed: int, epoch: int) -> Iterator[None]:
    """Seed torch's global generators for an epoch, for encoders with dropout, and restore them afterwards."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(dropout_seed(seed, epoch))
        yield
