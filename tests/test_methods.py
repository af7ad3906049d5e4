"""The losses against lightly's, and the teacher, centre and schedules of DINO against their definitions."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from trainers.encoders import build_encoder
from trainers.methods import METHODS
from trainers.methods.barlow_twins import redundancy_reduction
from trainers.methods.base import Batch, Method
from trainers.methods.byol import prediction_error
from trainers.methods.dino import DINOHead, DINOParams
from trainers.methods.simclr import nt_xent
from trainers.methods.vicreg import covariance_term, variance_term
from trainers.multi_crop import distillation_loss

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # lightly's own imports warn
    from lightly.loss import BarlowTwinsLoss, DINOLoss, NegativeCosineSimilarity, NTXentLoss, VICRegLoss

SMALL = {
    "barlow_twins": {"projector_dim": 24},
    "byol": {"projector_hidden_dim": 24, "projection_dim": 12},
    "byol_logdet": {"projector_hidden_dim": 24, "projection_dim": 12},
    "byol_pairdist": {"projector_hidden_dim": 24, "projection_dim": 12},
    "dino": {"prototypes": 32, "head_hidden_dim": 24, "bottleneck_dim": 12},
    "moco": {"projector_hidden_dim": 24, "projection_dim": 12, "queue_size": 32, "batch_groups": 2},
    "simclr": {"projector_hidden_dim": 24, "projection_dim": 12},
    "swav": {"prototypes": 8, "projector_hidden_dim": 24, "projection_dim": 12},
    "vicreg": {"expander_dim": 24},
    "vicreg_logdet": {"expander_dim": 24},
    "vicreg_pairdist": {"expander_dim": 24},
}

TWO_VIEWS = [name for name in METHODS if name not in ("data2vec", "ijepa")]


def small_method(name: str, **overrides: float) -> Method:
    torch.manual_seed(0)
    encoder = build_encoder({"name": "resnet", "width": 8, "blocks": 1, "stages": 2, "stem_stride": 2}, 16, 3)
    kind = METHODS[name]
    return kind(encoder, kind.Params(**SMALL[name], **overrides))


def batch(views: int = 2, count: int = 8) -> Batch:
    torch.manual_seed(1)
    return Batch(tuple(torch.randn(count, 3, 16, 16) for _ in range(views)), (None,) * views)


@pytest.fixture
def pair() -> tuple[Tensor, Tensor]:
    torch.manual_seed(2)
    return torch.randn(16, 10), torch.randn(16, 10)


@pytest.mark.parametrize("temperature", [0.05, 0.5])
def test_nt_xent_is_lightlys(pair: tuple[Tensor, Tensor], temperature: float) -> None:
    assert nt_xent(*pair, temperature).item() == pytest.approx(NTXentLoss(temperature)(*pair).item(), rel=1e-5)


def test_vicreg_terms_are_lightlys(pair: tuple[Tensor, Tensor]) -> None:
    first, second = pair
    ours = (
        25 * nn.functional.mse_loss(first, second)
        + 25 * (variance_term(first) + variance_term(second)) / 2
        + covariance_term(first)
        + covariance_term(second)
    )
    assert ours.item() == pytest.approx(VICRegLoss(eps=1e-4)(first, second).item(), rel=1e-5)


def test_vicreg_loss_weighs_its_terms() -> None:
    data = batch()
    method = small_method("vicreg")
    first, second = (method.embed(view) for view in data.views)
    whole = VICRegLoss(eps=1e-4)(first, second)
    assert method.loss(data).item() == pytest.approx(whole.item(), rel=1e-5)
    without_covariance = small_method("vicreg", covariance_weight=0.0)
    assert (method.loss(data) - without_covariance.loss(data)).item() == pytest.approx(
        (covariance_term(first) + covariance_term(second)).item(), rel=1e-3
    )


def test_redundancy_reduction_and_its_gradients_are_lightlys(pair: tuple[Tensor, Tensor]) -> None:
    ours, theirs = ([view.double().requires_grad_() for view in pair] for _ in range(2))
    loss = redundancy_reduction(ours[0], ours[1], 0.0051)
    reference = BarlowTwinsLoss(lambda_param=0.0051)(*theirs)
    assert loss.item() == pytest.approx(reference.item(), rel=1e-5)
    for mine, other in zip(torch.autograd.grad(loss, ours), torch.autograd.grad(reference, theirs), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-7)


def test_the_variance_of_redundancy_reduction_is_over_n(pair: tuple[Tensor, Tensor]) -> None:
    """NumPy's corrcoef, which does not depend on the divisor; with b − 1 the diagonal would be (b − 1) / b of it."""
    first, second = (view.double() for view in pair)
    correlations = torch.from_numpy(np.corrcoef(first.numpy(), second.numpy(), rowvar=False)[:10, 10:])
    diagonal = correlations.diagonal()
    unlike = (correlations - diagonal.diag()).square().sum()
    expected = (diagonal - 1).square().sum() + 0.3 * unlike
    assert redundancy_reduction(first, second, 0.3).item() == pytest.approx(expected.item(), rel=1e-4)


def test_barlow_twins_loss_has_its_weight() -> None:
    for weight in (0.0, 0.2):
        method = small_method("barlow_twins", redundancy_weight=weight).eval()
        first, second = (method.embed(view) for view in batch().views)
        expected = BarlowTwinsLoss(lambda_param=weight)(first, second)
        assert method.loss(batch()).item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize(
    ("method", "values", "problem"),
    [
        ("dino", {"prototypes": -1}, "`prototypes` must be at least 2, but got -1"),
        ("dino", {"freeze_prototypes": 5.0}, r"`freeze_prototypes` must be in \[0, 1\], but got 5.0"),
        ("vicreg", {"variance_weight": -1.0}, "`variance_weight` must be at least 0, but got -1.0"),
    ],
    ids=["prototypes", "freeze_prototypes", "variance_weight"],
)
def test_values_that_no_trial_can_train_with_are_errors(method: str, values: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        METHODS[method].Params(**values)


def test_a_negative_redundancy_weight_is_an_error() -> None:
    with pytest.raises(ValueError, match="`redundancy_weight` must be at least 0, but got -1"):
        small_method("barlow_twins", redundancy_weight=-1)


def test_prediction_error_and_its_gradient_are_lightlys(pair: tuple[Tensor, Tensor]) -> None:
    prediction, target = pair[0].requires_grad_(), pair[1]
    loss, reference = prediction_error(prediction, target), 2 + 2 * NegativeCosineSimilarity()(prediction, target)
    assert loss.item() == pytest.approx(reference.item(), rel=1e-5)
    gradients = [torch.autograd.grad(value, prediction)[0] for value in (loss, reference)]
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-7)


def test_byol_predicts_the_target_of_the_other_view() -> None:
    method = small_method("byol").eval()
    with torch.no_grad():
        for parameter in method.teacher.parameters():
            parameter.mul_(1.5).add_(0.01)
        copies = method.teacher.copies
        targets = [copies["projector"](copies["encoder"](view)) for view in batch().views]
        predictions = [method.predictor(method.embed(view)) for view in batch().views]
    crossed, straight = (
        sum(float(2 + 2 * NegativeCosineSimilarity()(p, t)) for p, t in zip(predictions, order, strict=True))
        for order in (targets[::-1], targets)
    )
    assert method.loss(batch()).item() == pytest.approx(crossed, rel=1e-5)
    assert crossed != pytest.approx(straight, rel=1e-4)


def test_byols_target_has_no_gradient_and_follows_parameters_only_after_the_step() -> None:
    method = small_method("byol", teacher_momentum=0.5)
    students = [*method.encoder.parameters(), *method.projector.parameters()]
    teachers = list(method.teacher.parameters())
    with torch.no_grad():
        for parameter in students:
            parameter.add_(1.0)
    before = [parameter.clone() for parameter in teachers]
    method.loss(batch()).backward()
    assert all(p.grad is None and torch.equal(p, old) for p, old in zip(teachers, before, strict=True))
    buffers = [buffer.clone() for buffer in method.teacher.buffers()]
    method.after_step(0.0)
    assert all(torch.equal(a, b) for a, b in zip(buffers, method.teacher.buffers(), strict=True))
    for old, teacher, student in zip(before, teachers, students, strict=True):
        torch.testing.assert_close(teacher, (old + student) / 2)


def test_distillation_loss_is_lightlys(pair: tuple[Tensor, Tensor]) -> None:
    torch.manual_seed(3)
    students = [*pair, torch.randn(16, 10)]
    teachers = [torch.randn(16, 10), torch.randn(16, 10)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference = DINOLoss(output_dim=10, warmup_teacher_temp=0.04, teacher_temp=0.04, student_temp=0.1)
    theirs = reference(teachers, students, epoch=99)
    ours = distillation_loss(students, [(t / 0.04).softmax(-1) for t in teachers], 0.1)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)


def test_dino_center_follows_the_teachers_outputs() -> None:
    method = small_method("dino", center_momentum=0.75)
    data = batch()
    with torch.no_grad():
        outputs = method.teacher_head(method.teacher_encoder(torch.cat(data.views)))
    method.loss(data)
    torch.testing.assert_close(method.center, 0.25 * outputs.mean(0), rtol=1e-4, atol=1e-6)


def test_dino_teacher_is_the_ema_of_the_student() -> None:
    method = small_method("dino", teacher_momentum=0.5)
    teachers = [*method.teacher_encoder.parameters(), *method.teacher_head.parameters()]
    students = [*method.student_encoder.parameters(), *method.student_head.parameters()]
    with torch.no_grad():
        for parameter in students:
            parameter.add_(1.0)
    before = [parameter.clone() for parameter in teachers]
    method.after_step(0.0)
    for old, teacher, student in zip(before, teachers, students, strict=True):
        torch.testing.assert_close(teacher, (old + student) / 2)
    halfway = [parameter.clone() for parameter in teachers]
    method.after_step(1.0)  # the momentum ends at 1: the teacher stands still
    assert all(torch.equal(a, b) for a, b in zip(halfway, teachers, strict=True))


def test_dino_shows_its_teacher() -> None:
    method = small_method("dino").eval()
    images = batch().views[0]
    seen = [method.represent(images), method.embed(images)]
    with torch.no_grad():
        for student in (method.student_encoder, method.student_head):
            for parameter in student.parameters():
                parameter.add_(1.0)
    assert all(torch.equal(a, b) for a, b in zip(seen, [method.represent(images), method.embed(images)], strict=True))


def test_dino_loss_written_out() -> None:
    """Two whole views and a local crop, a centre that is not 0, unlike temperatures; −Σ t ln s over unlike pairs."""
    method = small_method("dino", student_temperature=0.3, teacher_temperature=0.07).eval()
    data = batch()
    views = (*data.views, torch.randn(8, 3, 8, 8))
    method.center.copy_(torch.randn(32))
    with torch.no_grad():
        teachers = [method.teacher_head(method.teacher_encoder(view)) for view in views[:2]]
        students = [method.student_head(method.student_encoder(view)) for view in views]
        targets = [((teacher - method.center) / 0.07).exp() for teacher in teachers]
        targets = [target / target.sum(1, keepdim=True) for target in targets]
        pairs = [(t, s) for t in range(2) for s in range(3) if t != s]
        terms = [-(targets[t] * (students[s] / 0.3).log_softmax(1)).sum(1).mean() for t, s in pairs]
        expected = sum(terms) / len(terms)
    assert len(pairs) == 4
    assert method.loss(Batch(views, (None,) * 3)).item() == pytest.approx(float(expected), rel=1e-5)


def test_simclr_loss_has_its_temperature() -> None:
    for temperature in (0.1, 0.7):
        method = small_method("simclr", temperature=temperature).eval()
        first, second = (method.embed(view) for view in batch().views)
        assert method.loss(batch()).item() == pytest.approx(NTXentLoss(temperature)(first, second).item(), rel=1e-5)


@pytest.mark.parametrize("name", ["simclr", "vicreg"])
def test_losses_are_taken_in_float32_where_networks_run_in_bfloat16(name: str) -> None:
    method = small_method(name).eval()
    with torch.autocast("cpu", torch.bfloat16):
        first, second = (method.embed(view).float() for view in batch().views)
        low = method.loss(batch())
    exact = nt_xent(first, second, 0.1) if name == "simclr" else VICRegLoss(eps=1e-4)(first, second)
    assert low.item() == pytest.approx(exact.item(), rel=1e-5)


def test_dinos_cosines_are_taken_in_float32_too() -> None:
    head = small_method("dino").student_head.eval()
    representations = torch.randn(8, head.mlp[0].in_features)
    with torch.autocast("cpu", torch.bfloat16):
        bottleneck, cosines = head.bottleneck(representations), head(representations)
    assert torch.equal(cosines, torch.nn.functional.linear(bottleneck, torch.nn.functional.normalize(head.prototypes)))


@pytest.mark.parametrize("count", [4, 40])
def test_covariances_are_the_same_from_either_product(count: int) -> None:
    torch.manual_seed(5)
    embeddings = torch.randn(count, 12, dtype=torch.float64)
    covariance = torch.cov(embeddings.T)
    expected = (covariance - covariance.diagonal().diag()).square().sum() / 12
    torch.testing.assert_close(covariance_term(embeddings), expected)


def test_dino_prototypes_are_frozen_at_first() -> None:
    method = small_method("dino", freeze_prototypes=0.1)
    method.loss(batch()).backward()
    assert method.student_head.prototypes.grad is None
    method.progress = 0.1
    method.loss(batch()).backward()
    assert method.student_head.prototypes.grad is not None


def test_dino_logits_are_cosines() -> None:
    torch.manual_seed(4)
    head = DINOHead(6, DINOParams(**SMALL["dino"]))
    logits = head(torch.randn(5, 6))
    assert logits.shape == (5, 32)
    assert logits.abs().max() <= 1 + 1e-6


def test_dino_takes_local_crops() -> None:
    data = batch(2)
    local = Batch((*data.views, torch.randn(8, 3, 8, 8)), (None,) * 3)
    assert small_method("dino").loss(local).isfinite()


@pytest.mark.parametrize("name", TWO_VIEWS)
def test_every_method_trains_and_shows_both_layers(name: str) -> None:
    method = small_method(name)
    method.progress = 0.5
    loss = method.loss(batch())
    assert loss.ndim == 0
    loss.backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in method.parameters())
    method.eval()
    images = batch().views[0]
    representations = method.represent(images)
    assert representations.shape == (8, 16)
    torch.testing.assert_close(method.embed(images), method.project(representations))


@pytest.mark.parametrize("name", TWO_VIEWS)
def test_hidden_patches_do_not_reach_the_student(name: str) -> None:
    """Changing a hidden patch leaves the loss of a one-network method as it was; a teacher sees it."""
    method = small_method(name).eval()
    kept = torch.arange(1, 64).expand(8, 63)
    views = batch().views
    changed = tuple(view.clone() for view in views)
    for view in changed:
        view[:, :, :2, :2] += 1.0
    same = method.loss(Batch(views, (kept, kept))).item() == method.loss(Batch(changed, (kept, kept))).item()
    assert same is not hasattr(method, "teacher")
