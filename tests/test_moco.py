"""MoCo: its loss against lightly's bank and NumPy, its queue, its groups of BatchNorm, and what it refuses."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from sweeper.cli.commands import execute
from sweeper.cli.plan import enough_images
from trainers.datasets.base import Images
from trainers.encoders import build_encoder
from trainers.loop import Trainer, train
from trainers.methods.base import Batch
from trainers.methods.moco import MoCo, MoCoParams, deinterleave, info_nce, interleave
from trainers.network import load_state
from trainers.queue import Queue
from trainers.records import CHECKPOINT, CriteriaSample, Scalar, TrialConfig

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # lightly's own imports warn
    from lightly.loss import NTXentLoss

ROOT = Path(__file__).parents[1]
RESNET = {"name": "resnet", "width": 8, "blocks": 1, "stages": 2, "stem_stride": 2}
SMALL: dict[str, Scalar] = {"projector_hidden_dim": 24, "projection_dim": 12, "queue_size": 16, "batch_groups": 2}
QUEUED: dict[str, dict[str, Scalar]] = {
    "moco": {"queue_size": 48, "batch_groups": 2, "projection_dim": 8},
    "swav": {"queue_size": 32, "prototypes": 8, "projection_dim": 8, "local_crops": 0, "optimizer": "sgd"},
}


def small_moco(**overrides: Scalar) -> MoCo:
    torch.manual_seed(0)
    method = MoCo(build_encoder(RESNET, 16, 3), MoCoParams(**SMALL | overrides))  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in method.teacher.parameters():  # a teacher unlike its student
            parameter.mul_(1.2).add_(0.02)
    return method


def batch(count: int = 8) -> Batch:
    torch.manual_seed(1)
    return Batch(tuple(torch.randn(count, 3, 16, 16) for _ in range(2)), (None, None))


def unit(rows: Tensor) -> NDArray[np.float64]:
    array = rows.detach().double().numpy()
    return array / np.linalg.norm(array, axis=1, keepdims=True)


def contrast(
    queries: NDArray[np.float64], keys: NDArray[np.float64], negatives: NDArray[np.float64], temperature: float
) -> float:
    """Equation 1 of the paper, averaged over the queries."""
    positive = np.exp((queries * keys).sum(1) / temperature)
    return float(-np.log(positive / (positive + np.exp(queries @ negatives.T / temperature).sum(1))).mean())


@pytest.mark.parametrize("temperature", [0.07, 0.2])
def test_loss_gradient_and_queue_are_lightlys_over_several_batches(temperature: float) -> None:
    torch.manual_seed(2)
    queue = Queue(24, 10)
    reference = NTXentLoss(temperature, memory_bank_size=(24, 10))
    reference.memory_bank.bank.copy_(queue.rows)
    for _ in range(5):  # the third batch fills the queue, the others take the places of the oldest
        queries, keys = torch.randn(8, 10, requires_grad=True), torch.randn(8, 10)
        normalized = torch.nn.functional.normalize(keys, dim=1)
        loss = info_nce(torch.nn.functional.normalize(queries, dim=1), normalized, queue.rows, temperature)
        queue.push(normalized)
        theirs = reference(queries, keys)
        assert loss.item() == pytest.approx(theirs.item(), rel=1e-5)
        gradients = [torch.autograd.grad(value, queries)[0] for value in (loss, theirs)]
        torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-7)
        torch.testing.assert_close(queue.rows, reference.memory_bank.bank)


def test_the_loss_is_the_papers_and_a_positive_is_not_among_its_negatives() -> None:
    method = small_moco(temperature=0.3).eval()
    first = method.queue.rows
    before = unit(first)
    with torch.no_grad():
        queries = unit(method.embed(batch().views[0]))
        keys = unit(method.teacher.copies["projector"](method.teacher.copies["encoder"](batch().views[1])))
    expected = contrast(queries, keys, before, 0.3)
    loss = method.loss(batch())
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(method.queue.rows[:8].numpy(), keys, atol=1e-6)
    assert torch.equal(method.queue.rows[8:], first[8:])
    after = unit(method.queue.rows)
    assert contrast(queries, keys, after, 0.3) > expected * 1.05  # the trap: the keys are pushed before the loss


def test_the_gradient_reaches_the_query_network_alone() -> None:
    method = small_moco()
    method.loss(batch()).backward()
    assert all(p.grad is None for p in method.teacher.parameters())
    students = [*method.encoder.parameters(), *method.projector.parameters()]
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in students)
    assert not method.queue.rows.requires_grad


def test_a_queue_holds_the_last_rows() -> None:
    queue = Queue(6, 1)
    for first in range(0, 10, 2):
        assert queue.is_full == (first >= 6)
        seen = queue.rows
        copy = seen.clone()
        queue.push(torch.tensor([[first], [first + 1]]).float())
        assert torch.equal(seen, copy)  # the loss may still need it
    assert queue.rows.flatten().tolist() == [6, 7, 8, 9, 4, 5]


@pytest.mark.parametrize("groups", [2, 4])
def test_keys_are_normalised_in_other_groups_than_their_queries(groups: int) -> None:
    """Of each group of queries, every group of keys has an equal share; and the groups are those that run."""
    place = torch.arange(16)
    query_groups, key_groups = place.chunk(groups), interleave(place, groups).chunk(groups)
    for of_keys in key_groups:
        shares = [int(torch.isin(of_keys, of_queries).sum()) for of_queries in query_groups]
        assert shares == [16 // groups**2] * groups
    assert torch.equal(deinterleave(interleave(place, groups), groups), place)
    method, data = small_moco(batch_groups=groups), batch(16)
    twin = small_moco(batch_groups=groups)
    before = unit(method.queue.rows)
    with torch.no_grad():
        copies = twin.teacher.copies
        keys = torch.cat([copies["projector"](copies["encoder"](data.views[1][of_keys])) for of_keys in key_groups])
        keys = keys[torch.cat(key_groups).argsort()]
        queries = torch.cat([twin.embed(data.views[0][of_queries]) for of_queries in query_groups])
    expected = contrast(unit(queries), unit(keys), before, 0.2)
    assert method.loss(data).item() == pytest.approx(expected, rel=1e-4)
    assert small_moco(batch_groups=1).loss(data).item() != pytest.approx(expected, rel=1e-3)


def test_the_momentum_is_held_unless_it_has_a_final_value() -> None:
    for final, momentum in ((None, 0.5), (1.0, 0.75)):
        method = small_moco(teacher_momentum=0.5, final_teacher_momentum=final)
        students = [*method.encoder.parameters(), *method.projector.parameters()]
        before = [parameter.clone() for parameter in method.teacher.parameters()]
        method.after_step(0.5)
        for old, teacher, student in zip(before, method.teacher.parameters(), students, strict=True):
            torch.testing.assert_close(teacher, momentum * old + (1 - momentum) * student)


def test_the_cosines_are_taken_in_float32_where_networks_run_in_bfloat16() -> None:
    method = small_moco(batch_groups=1).eval()
    before = unit(method.queue.rows)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        queries = unit(method.embed(batch().views[0]))
        keys = unit(method.teacher.copies["projector"](method.teacher.copies["encoder"](batch().views[1])))
        low = method.loss(batch())
    assert low.item() == pytest.approx(contrast(queries, keys, before, 0.2), rel=1e-5)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"queue_size": 72}, "`queue_size` must be less than the 64 training images, best at most a fifth .*got 72"),
        ({"queue_size": 20}, "`queue_size` must be a multiple of the batch of 8 images, but got 20"),
        ({"batch_groups": 3}, "`batch_groups` must divide the batch of 8 images into groups of at least 2, but got 3"),
        ({"batch_groups": 8}, "`batch_groups` must divide .*, but got 8"),
        ({"queue_size": 0}, "`queue_size` must be at least 1, but got 0"),
        ({"temperature": 0.0}, "`temperature` must be above 0"),
    ],
)
def test_what_cannot_be_trained_is_said(params: dict[str, Scalar], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Trainer(trial("moco", batch_size=8, hyperparameters=params), random_images())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "override", "words"),
    [
        ("moco", "fixed.queue_size=8192", "`queue_size` must be less than the 4000 training images"),
        ("moco", "fixed.queue_size=800", "`queue_size` must be a multiple of the batch of 128 images, but got 800"),
        ("moco", "space.queue_size={type: categorical, choices: [256, 300]}", "a multiple of the batch of 128 images"),
        ("swav", "fixed.queue_size=8192", "`queue_size` must be less than the 4000 training images"),
        (
            "swav",
            "fixed.prototypes=512",
            "`prototypes` must be at most 128, because the batch of 128",
        ),
    ],
)
def test_a_sweep_that_cannot_be_trained_is_refused_before_anything_starts(
    file: str,
    override: str,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    source = (ROOT / "search_spaces" / f"{file}.yaml").read_text(encoding="utf-8")
    if override.startswith("space.queue_size"):
        source = "".join(line for line in source.splitlines(keepends=True) if "queue_size" not in line)
    (tmp_path / "sweep.yaml").write_text(source, encoding="utf-8")
    assert execute(["run", "sweep.yaml", override]) == 2
    (said,) = capfd.readouterr().err.splitlines()
    assert said.startswith("sweeper: ")
    assert words in said
    assert not (tmp_path / "results").exists()


def test_the_estimate_of_a_sweep_takes_more_images_than_the_queue() -> None:
    config = dataclasses.replace(trial("moco"), criteria_sample=CriteriaSample(images=10))
    assert enough_images(config, 4000) == 64  # twice the batch would do without the queue of 48
    assert enough_images(config, 50) == 50
    assert enough_images(trial("swav", hyperparameters={"queue_size": 0}), 4000) == 32


def random_images() -> Images:
    rng = np.random.default_rng(0)
    train, test = (rng.integers(0, 256, (n, 12, 12, 3), dtype=np.uint8) for n in (64, 32))
    return Images(train=train, test=test)


def trial(method: str, *, batch_size: int = 16, hyperparameters: dict[str, Scalar] | None = None) -> TrialConfig:
    return TrialConfig(
        method=method,
        dataset={"name": "given"},
        encoder=RESNET,
        epochs=3,
        batch_size=batch_size,
        hyperparameters={"projector_hidden_dim": 16} | QUEUED[method] | (hyperparameters or {}),
        criteria_sample=CriteriaSample(images=16, views=2),
    )


@pytest.mark.slow
@pytest.mark.parametrize("method", QUEUED)
def test_a_resumed_trial_has_the_queue_of_an_uninterrupted_one(method: str, tmp_path: Path) -> None:
    """Bit for bit, as all else in the checkpoint."""
    config, images = dataclasses.replace(trial(method), criteria=()), random_images()
    folders = [tmp_path / name for name in ("whole", "stopped")]
    for folder in folders:
        folder.mkdir()
    list(train(config, images=images, folder=folders[0]))
    first = train(config, images=images, folder=folders[1])
    next(first)
    first.close()
    stopped = load_state(folders[1] / CHECKPOINT)["method"]
    list(train(config, images=images, folder=folders[1]))
    whole, resumed = (load_state(folder / CHECKPOINT)["method"] for folder in folders)
    assert list(whole) == list(resumed)
    queues = [name for name in whole if name.endswith("rows")]
    assert len(queues) == (1 if method == "moco" else 2)
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name
    assert not any(torch.equal(whole[name], stopped[name]) for name in queues)  # it moved after the interruption


def test_each_worker_of_several_pushes_the_keys_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    method = small_moco().eval()

    class Two:
        rank, size = 1, 2

        def gather(self, rows: Tensor) -> Tensor:
            return torch.cat([-rows, rows])

        def mean(self, value: Tensor) -> Tensor:
            return value

    method.world = Two()
    method.loss(batch())
    assert int(method.queue.pushed) == 16
    torch.testing.assert_close(method.queue.rows[:8], -method.queue.rows[8:])
