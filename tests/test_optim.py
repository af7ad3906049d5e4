"""Schedules at their start, turning points and end; parameter groups; and the EMA."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from trainers.ema import Teacher, update_ema
from trainers.encoders import build_encoder
from trainers.optim import OPTIMIZERS, Optimizer, build_optimizer, learning_rate, set_schedules
from trainers.records import Scalar


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_biases_and_norms_are_not_decayed(name: str) -> None:
    """With a gradient of zero, only the decay moves a parameter: matrices shrink, the rest stays."""
    net = network()
    before = {key: value.clone() for key, value in net.named_parameters()}
    optimizer = build_optimizer(net, Optimizer(optimizer=name, lr=0.1, weight_decay=0.5))
    for parameter in net.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    moved = {key for key, value in net.named_parameters() if not torch.equal(value, before[key])}
    assert moved == {"0.weight"}


@pytest.mark.parametrize("encoder", [{"name": "vit", "dim": 32, "patch": 7}, {"name": "timm/vit_tiny_patch16_224"}])
def test_position_embeddings_and_tokens_are_not_decayed(encoder: dict[str, Scalar]) -> None:
    """Also if the transformer is a part of a method, where its parameters have other names."""
    method = nn.ModuleDict({"student_encoder": build_encoder(encoder, 28 if "dim" in encoder else 32, 1)})
    decayed, undecayed = build_optimizer(method, Optimizer()).param_groups
    names = {parameter: name.removeprefix("student_encoder.model.") for name, parameter in method.named_parameters()}
    exempt = {names[parameter] for parameter in undecayed["params"]}
    assert {"pos_embed", "cls_token"} <= exempt
    assert exempt - {"pos_embed", "cls_token"} == {name for p, name in names.items() if p.ndim == 1}
    assert "patch_embed.proj.weight" in {names[parameter] for parameter in decayed["params"]}


def test_lars_scales_the_step_to_the_norm_of_the_weights() -> None:
    """You et al. 2017: a layer's step is lr · 1e-3 · ‖w‖ along the unit gradient, where nothing is decayed."""
    net = nn.Linear(4, 3, bias=False)
    before = net.weight.detach().clone()
    optimizer = build_optimizer(net, Optimizer(optimizer="lars", lr=0.5, weight_decay=0.0, momentum=0.0))
    net.weight.grad = torch.randn(3, 4)
    optimizer.step()
    expected = before - 0.5 * 1e-3 * before.norm() * net.weight.grad / net.weight.grad.norm()
    torch.testing.assert_close(net.weight.detach(), expected, rtol=1e-5, atol=1e-7)


def test_learning_rate_rises_then_falls() -> None:
    settings = Optimizer(lr=2.0, warmup=0.1, final_lr=0.01)
    rates = [learning_rate(settings, step, 100) for step in range(100)]
    assert rates[9] == rates[10] == 2.0
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert learning_rate(settings, 100, 100) == pytest.approx(0.02)


def test_weight_decay_follows_its_cosine() -> None:
    net = network()
    settings = Optimizer(weight_decay=0.04, final_weight_decay=0.4)
    optimizer = build_optimizer(net, settings)
    for step, expected in ((0, 0.04), (50, 0.22), (100, 0.4)):
        set_schedules(optimizer, settings, step, 100)
        assert optimizer.param_groups[0]["weight_decay"] == pytest.approx(expected)
        assert optimizer.param_groups[1]["weight_decay"] == 0.0


def test_ema_moves_by_one_minus_the_momentum() -> None:
    teacher, student = nn.Linear(2, 2), nn.Linear(2, 2)
    expected = 0.9 * teacher.weight.detach() + 0.1 * student.weight.detach()
    update_ema(teacher, student, 0.9)
    torch.testing.assert_close(teacher.weight.detach(), expected)


def test_a_teacher_begins_as_its_students_and_never_has_a_gradient() -> None:
    students = {"encoder": network(), "head": nn.Linear(3, 2)}
    teacher = Teacher(0.5, students)
    start = {name: copy.state_dict() for name, copy in teacher.copies.items()}
    for name, student in students.items():
        assert all(torch.equal(value, start[name][key]) for key, value in student.state_dict().items())
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    assert all(parameter.requires_grad for student in students.values() for parameter in student.parameters())
    before = teacher.copies["head"].weight.clone()
    with torch.no_grad():
        students["head"].weight.add_(1.0)
    teacher.update(students, 0.5)  # halfway on the cosine from 0.5 to 1: a momentum of 0.75
    torch.testing.assert_close(teacher.copies["head"].weight, before + 0.25)
    teacher.update(students, 1.0)
    torch.testing.assert_close(teacher.copies["head"].weight, before + 0.25)


def test_unknown_optimizer_is_said() -> None:
    with pytest.raises(ValueError, match="adamw, sgd, lars"):
        Optimizer(optimizer="adam")
