"""I-JEPA: its masks, its loss and gradient against a float64 reference, and what the criteria read."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from trainers.blocks import ContextBlocks, block_shape, context_and_targets, covered, expected_union, random_subset
from trainers.encoders import build_encoder
from trainers.masks import fill_masked
from trainers.methods.base import Batch
from trainers.methods.ijepa import IJEPA, IJEPAParams, sincos_positions
from trainers.optim import build_optimizer, undecayed
from trainers.records import EMBEDDING, REPRESENTATION

VIT = {"name": "vit", "dim": 16, "depth": 2, "heads": 2, "patch": 4}
PAPER = ContextBlocks(4, (0.15, 0.2), (0.75, 1.5), (0.85, 1.0), min_context=10)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def small(encoder: dict[str, object] = VIT, size: int = 32, **overrides: object) -> IJEPA:
    torch.manual_seed(0)
    params = IJEPAParams(**{"predictor_dim": 16, "predictor_depth": 2, **overrides})
    return IJEPA(build_encoder(encoder, size, 1), params)


def images(count: int = 6, size: int = 32) -> Tensor:
    return torch.randint(256, (count, size, size, 1), dtype=torch.uint8, generator=seeded(1))


def masked_batch(method: IJEPA, count: int = 6) -> Batch:
    return method.make_batch(images(count), IJEPA.augmentation, seeded(2))


@pytest.mark.parametrize(("side", "least"), [(14, 10), (8, 10), (8, 4), (7, 4)])
@pytest.mark.parametrize("ratio", [None, 0.2, 0.6])
def test_contexts_are_filled_and_hold_no_target(side: int, least: int, ratio: float | None) -> None:
    blocks = ContextBlocks(4, (0.15, 0.2), (0.75, 1.5), (0.85, 1.0), least, ratio)
    generator = seeded()
    for _ in range(10):
        context, targets = context_and_targets(32, side, blocks, generator)
        assert context.shape[1] >= least
        assert (context[:, 1:] > context[:, :-1]).all()
        assert ((targets >= 0) & (targets < side**2)).all()
        assert not (covered(context, side**2) & covered(targets, side**2)).any()


def test_targets_are_whole_blocks_of_the_papers_sizes() -> None:
    generator = seeded()
    for _ in range(20):
        _, targets = context_and_targets(4, 14, PAPER, generator)
        for block in targets.flatten(0, 1).tolist():
            rows, columns = {place // 14 for place in block}, {place % 14 for place in block}
            assert len(set(block)) == len(block) == len(rows) * len(columns)
            assert max(rows) - min(rows) < len(rows)
            assert max(columns) - min(columns) < len(columns)
            assert 0.12 <= len(block) / 196 <= 0.23  # 0.15 to 0.2, rounded to whole patches
            assert 0.6 <= len(rows) / len(columns) <= 1.75


@given(ratio=st.floats(0.15, 0.65), side=st.integers(8, 16), seed=st.integers(0, 99))
@settings(max_examples=10, deadline=None, derandomize=True)
@pytest.mark.slow
def test_the_ratio_is_the_share_that_the_targets_cover(ratio: float, side: int, seed: int) -> None:
    blocks = ContextBlocks(4, (0.15, 0.2), (0.75, 1.5), (1.0, 1.0), 1, ratio)
    generator = seeded(seed)
    shares = [
        covered(context_and_targets(32, side, blocks, generator).targets, side**2).float().mean() for _ in range(60)
    ]
    assert float(torch.stack(shares).mean()) == pytest.approx(ratio, abs=0.025)


def test_the_expected_union_is_what_draws_give() -> None:
    blocks = ContextBlocks(3, (0.2, 0.2), (1.0, 1.0), (1.0, 1.0), 1)
    shape = block_shape(9, 0.2 * 81, 1.0)
    targets = context_and_targets(20_000, 9, blocks, seeded()).targets
    share = float(covered(targets, 81).float().mean())
    assert share == pytest.approx(expected_union(9, shape, 3), abs=2e-3)


def test_longer_contexts_are_cut_at_random_and_not_to_the_first_indices() -> None:
    free = torch.ones(4000, 16, dtype=torch.bool)
    free[:, 3] = False
    chosen = random_subset(free, 5, seeded())
    counts = torch.bincount(chosen.flatten(), minlength=16)
    assert counts[3] == 0
    others = counts[torch.arange(16) != 3].numpy()
    assert stats.chisquare(others).pvalue > 1e-3
    assert others[-1] > 0  # the first five indices would leave the end of the image unseen


def test_contexts_lie_in_the_middle_of_the_image() -> None:
    """Cut to the first indices, contexts would lie above the middle: their mean row would be 0.3 of a grid higher."""
    generator = seeded()
    rows = [context_and_targets(64, 8, PAPER, generator).context.float().div(8).floor().mean() for _ in range(60)]
    assert float(torch.stack(rows).mean()) == pytest.approx(3.5, abs=0.15)


@pytest.mark.slow
def test_too_small_a_grid_is_refused() -> None:
    with pytest.raises(ValueError, match="must leave `min_context` = 10 patches beside the targets, but 3×3 patches"):
        IJEPA.check(build_encoder(VIT, 12, 1), IJEPAParams())
    IJEPA.check(build_encoder(VIT, 32, 1), IJEPAParams())


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"mask_ratio": 0.0}, r"`mask_ratio` must be in \(0, 1\), but got 0"),
        ({"mask_ratio": 1.0}, r"`mask_ratio` must be in \(0, 1\), but got 1"),
        ({"targets": 0}, "`targets` must be at least 1, but got 0"),
        ({"target_scale_min": 0.3}, r"`target_scale_min` and `target_scale_max` must be in \(0, 1\] and in that order"),
        ({"predictor_dim": 30}, "`predictor_dim` must be a multiple of 4 and of the 1 heads, but got 30"),
        ({"teacher_momentum": 1.1}, r"`teacher_momentum` must be in \[0, 1\], but got 1.1"),
    ],
)
def test_impossible_numbers_are_refused(params: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        IJEPAParams(**params)  # type: ignore[arg-type]


@pytest.mark.slow
def test_ratios_that_a_grid_cannot_have_are_refused() -> None:
    with pytest.raises(ValueError, match=r"`mask_ratio` must be at least 0.0611, .* but got 0.01"):
        IJEPA.check(build_encoder(VIT, 32, 1), IJEPAParams(mask_ratio=0.01))
    with pytest.raises(ValueError, match="must leave `min_context`"):
        IJEPA.check(build_encoder(VIT, 32, 1), IJEPAParams(mask_ratio=0.97))


def test_an_encoder_without_tokens_is_refused() -> None:
    with pytest.raises(ValueError, match="`encoder` must be a vision transformer for ijepa"):
        IJEPA.check(build_encoder({"name": "resnet", "width": 8}, 32, 1), IJEPAParams())


def reference_loss(method: IJEPA, batch: Batch) -> Tensor:
    """One image and one target block at a time, each formula written out, in the dtype of the method."""
    teacher, student, predictor = method.teacher_encoder, method.student_encoder, method.predictor
    terms = []
    for index, view in enumerate(batch.views[0]):
        whole = teacher.tokens(view[None]).patches[0].detach()
        centred = whole - whole.mean(1, keepdim=True)
        goals = centred / (centred.square().mean(1, keepdim=True) + 1e-5).sqrt()
        context = batch.kept[0][index]
        seen = predictor.enter(student.tokens(view[None], context[None]).patches[0])
        for block in batch.targets[index]:
            asked = torch.stack([predictor.mask_token + predictor.positions[place] for place in block.tolist()])
            tokens = torch.cat([seen + predictor.positions[context], asked])[None]
            for layer in predictor.blocks:
                tokens = layer(tokens)
            predicted = predictor.leave(predictor.norm(tokens[0, len(context) :]))
            for row, place in enumerate(block.tolist()):
                gap = (predicted[row] - goals[place]).abs()
                terms.append(torch.where(gap < 1, gap.square() / 2, gap - 0.5).mean())
    return torch.stack(terms).mean()


@pytest.mark.slow
@pytest.mark.parametrize("encoder", [VIT, {"name": "timm/vit_tiny_patch16_224"}], ids=["vit", "timm"])
def test_loss_and_gradient_are_those_of_the_formula(encoder: dict[str, object]) -> None:
    size = 32 if encoder is VIT else 96
    method = small(encoder, size, min_context=4)
    with torch.no_grad():
        for parameter in method.student_encoder.parameters():  # so that teacher and student differ
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=seeded(4)))
    batch = method.make_batch(images(2, size), IJEPA.augmentation, seeded(2))
    precise = copy.deepcopy(method).double()
    expected = reference_loss(precise, Batch((batch.views[0].double(),), batch.kept, batch.targets))
    expected.backward()
    loss = method.loss(batch)
    loss.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    for (name, parameter), exact in zip(method.named_parameters(), precise.parameters(), strict=True):
        assert (parameter.grad is None) == (exact.grad is None), name
        if parameter.grad is not None:
            torch.testing.assert_close(parameter.grad, exact.grad.float(), rtol=1e-4, atol=1e-5)


def test_no_gradient_reaches_the_teacher() -> None:
    method = small()
    method.teacher.requires_grad_(True)  # the loss itself must cut it, not only the parameters' flag
    method.loss(masked_batch(method)).backward()
    assert all(parameter.grad is None for parameter in method.teacher.parameters())
    assert all(p.grad is not None for p in method.predictor.parameters())
    assert method.student_encoder.model.patch_embed.proj.weight.grad.abs().sum() > 0


def test_the_student_sees_the_context_and_nothing_else() -> None:
    """With the teacher's goals held, a change outside the context changes no prediction."""
    method = small().eval()
    batch = masked_batch(method, 1)
    hidden = int(batch.targets[0, 0, 0])
    changed = batch.views[0].clone()
    row, column = hidden // 8 * 4, hidden % 8 * 4
    changed[:, :, row : row + 4, column : column + 4] += 1.0

    def predicted(view: Tensor) -> Tensor:
        return method.predictor(method.student_encoder.tokens(view, batch.kept[0]), batch.targets)

    assert torch.equal(predicted(batch.views[0]), predicted(changed))
    assert method.loss(batch) != method.loss(Batch((changed,), batch.kept, batch.targets))


def test_momentum_rises_on_a_line() -> None:
    method = small(teacher_momentum=0.5, final_teacher_momentum=0.9)
    for progress, momentum in ((0.0, 0.5), (0.5, 0.7), (1.0, 0.9)):
        teacher, student = next(method.teacher_encoder.parameters()), next(method.student_encoder.parameters())
        with torch.no_grad():
            student.add_(1.0)
        expected = momentum * teacher + (1 - momentum) * student
        method.after_step(progress)
        torch.testing.assert_close(teacher, expected)


def test_views_of_the_criteria_are_masks_of_clean_images() -> None:
    method = small().eval()
    batch = method.sample_views(images(), 5, IJEPA.augmentation, method.params, seeded())
    assert len(batch.views) == len(batch.kept) == 5
    assert all(torch.equal(view, batch.views[0]) for view in batch.views)
    assert len({tuple(kept.flatten().tolist()) for kept in batch.kept}) == 5
    assert len({kept.shape for kept in batch.kept}) == 1
    view, kept = batch.views[0], batch.kept[0]
    with torch.no_grad():
        seen = method.features(view, kept)
        again = method.features(fill_masked(view, kept, 4, value=9.0), kept)  # what is hidden does not reach them
    assert all(torch.equal(seen[layer], again[layer]) for layer in seen)
    assert seen[REPRESENTATION].shape == seen[EMBEDDING].shape == (6, 16)


def test_clean_images_are_read_from_the_teacher() -> None:
    method = small().eval()
    clean = torch.randn(3, 1, 32, 32, generator=seeded(3))
    with torch.no_grad():
        before = method.represent(clean)
        for parameter in method.student_encoder.parameters():
            parameter.add_(1.0)
        assert torch.equal(method.represent(clean), before)
        torch.testing.assert_close(before, method.teacher_encoder.tokens(clean).patches.mean(1))
        assert torch.equal(method.features(clean)[EMBEDDING], method.embed(clean))
    with pytest.raises(TypeError, match="not made of its pooled representations"):
        method.project(before)


def test_reports_say_what_is_masked_and_visible() -> None:
    method = small(mask_ratio=0.3)
    batch = masked_batch(method)
    masked, visible = method.shares(batch).tolist()
    expected = np.mean([len(set(blocks.flatten().tolist())) for blocks in batch.targets]) / 64
    assert masked == pytest.approx(expected, rel=1e-6)
    assert visible == pytest.approx(batch.kept[0].shape[1] / 64)


def test_positions_are_timms() -> None:
    from timm.layers import build_sincos2d_pos_embed

    theirs = build_sincos2d_pos_embed([5, 5], dim=16, interleave_sin_cos=False)
    ours = sincos_positions(5, 16)
    torch.testing.assert_close(ours.sort(1).values, theirs.sort(1).values)  # the order of the axes is a convention
    column = [math.sin(1.0), math.sin(0.1), math.sin(0.01), math.sin(0.001)]
    assert ours[1, :4].tolist() == pytest.approx(column, rel=1e-5)
    assert ours[5, 8:12].tolist() == pytest.approx(column, rel=1e-5)


def test_the_mask_token_does_not_decay() -> None:
    method = small()
    assert method.predictor.mask_token in undecayed(method)
    trained = sum(len(group["params"]) for group in build_optimizer(method, IJEPA.optimizer).param_groups)
    assert trained == len([*method.student_encoder.parameters(), *method.predictor.parameters()])
