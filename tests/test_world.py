"""Trials of several workers: two processes with half the batch each give the gradient of one with the whole batch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, multiprocessing, nn
from torch import distributed as dist

from trainers.encoders import build_encoder
from trainers.methods import METHODS
from trainers.methods.base import Batch, Method
from trainers.queue import Queue
from trainers.world import SINGLE, Distributed, World

WORKERS = 2
RESNET = {"name": "resnet", "width": 8, "blocks": 1, "stages": 1, "stem_stride": 2}
MASKED = ("data2vec", "ijepa")
"""Methods that need an encoder with tokens, and whose loss does not look across the batch."""
SMALL = {
    "barlow_twins": {"projector_dim": 24},
    "byol": {"projector_hidden_dim": 24, "projection_dim": 12},
    "byol_logdet": {"projector_hidden_dim": 24, "projection_dim": 12},
    "byol_pairdist": {"projector_hidden_dim": 24, "projection_dim": 12},
    "data2vec": {"top_blocks": 2},
    "ijepa": {"predictor_dim": 16, "predictor_depth": 1},
    "dino": {"prototypes": 32, "head_hidden_dim": 24, "bottleneck_dim": 12},
    "moco": {"projector_hidden_dim": 24, "projection_dim": 12, "queue_size": 16, "batch_groups": 2},
    "simclr": {"projector_hidden_dim": 24, "projection_dim": 12},
    "swav": {"prototypes": 8, "projector_hidden_dim": 24, "projection_dim": 12, "queue_size": 8},
    "vicreg": {"expander_dim": 24},
    "vicreg_logdet": {"expander_dim": 24},
    "vicreg_pairdist": {"expander_dim": 24},
}


def build(name: str, world: World) -> Method:
    """In eval mode, where BatchNorm has statistics of its own: those of a batch are not the losses' concern."""
    torch.manual_seed(0)
    options = {"name": "vit", "dim": 16, "depth": 2, "heads": 2, "patch": 2} if name in MASKED else RESNET
    encoder = build_encoder(options, 8, 3)
    method = METHODS[name](encoder, METHODS[name].Params(**SMALL[name])).eval()
    method.progress = 0.5
    method.world = world
    for module in method.modules():
        if isinstance(module, Queue):
            module.pushed.fill_(module.size)  # full, so that it takes part
    return method


def share(name: str, rank: int, workers: int) -> Batch:
    generator = torch.Generator().manual_seed(1)
    views = [torch.randn(8, 3, 8, 8, generator=generator) for _ in range(2)]
    if name in MASKED:
        kept, targets = torch.arange(6).expand(8 // workers, 6), torch.arange(8, 14).expand(8 // workers, 6)
        return Batch((views[0].chunk(workers)[rank],), (kept,), targets.unflatten(1, (2, 3)))
    return Batch(tuple(view.chunk(workers)[rank] for view in views), (None, None))


def outcome(method: Method, loss: Tensor) -> dict[str, Tensor]:
    """The loss, every gradient, and every buffer."""
    loss.backward()
    gradients = {name: p.grad for name, p in method.named_parameters() if p.grad is not None}
    return {"loss": loss.detach(), **gradients, **dict(method.named_buffers())}


def work(rank: int, folder: Path) -> None:
    """One worker: its part of every method's loss, averaged over the workers as DistributedDataParallel does."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=WORKERS)
    world = Distributed()
    assert (world.rank, world.size) == (rank, WORKERS)
    for name in METHODS:
        method = build(name, world)
        found = outcome(method, method.loss(share(name, rank, WORKERS)))
        for key, value in found.items():
            if value.is_floating_point():
                found[key] = world.mean(value)
        torch.save(found, folder / f"{name}-{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    multiprocessing.spawn(work, (folder,), nprocs=WORKERS)
    return folder


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.slow
def test_two_workers_have_the_gradient_of_one(name: str, results: Path) -> None:
    method = build(name, SINGLE)
    expected = outcome(method, method.loss(share(name, 0, 1)))
    assert len(expected) > 10
    for rank in range(WORKERS):
        found = torch.load(results / f"{name}-{rank}.pt", weights_only=True)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in METHODS if name not in MASKED])
def test_without_gathering_they_do_not(name: str) -> None:
    """The mean of the losses of two halves differs, or what they keep for later does: the test above can fail."""
    halves = []
    for rank in range(WORKERS):
        method = build(name, SINGLE)
        halves.append(outcome(method, method.loss(share(name, rank, WORKERS))))
    whole = build(name, SINGLE)
    expected = outcome(whole, whole.loss(share(name, 0, 1)))
    if name == "byol":  # its loss is a mean over images
        torch.testing.assert_close((halves[0]["loss"] + halves[1]["loss"]) / 2, expected["loss"])
    elif name in ("dino", "moco"):  # their losses too, but not what they keep
        kept = "center" if name == "dino" else "queue.rows"
        assert not torch.allclose(halves[0][kept], expected[kept])
    else:
        assert not torch.allclose((halves[0]["loss"] + halves[1]["loss"]) / 2, expected["loss"], rtol=1e-3)


def test_one_worker_is_the_whole_world() -> None:
    rows = nn.Parameter(torch.ones(2, 3))
    assert SINGLE.gather(rows) is rows
    assert torch.equal(SINGLE.mean(rows), rows)
    assert (SINGLE.rank, SINGLE.size) == (0, 1)
