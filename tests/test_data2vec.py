"""data2vec: its masks, its loss and gradient against a float64 reference, and what the criteria read."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from trainers.blocks import covered, hide_blocks
from trainers.encoders import build_encoder
from trainers.masks import fill_masked
from trainers.methods.base import Batch
from trainers.methods.data2vec import Data2Vec, Data2VecParams, contextual_targets
from trainers.optim import undecayed
from trainers.records import EMBEDDING, REPRESENTATION

VIT = {"name": "vit", "dim": 16, "depth": 3, "heads": 2, "patch": 4}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def small(encoder: dict[str, object] = VIT, size: int = 32, **overrides: object) -> Data2Vec:
    torch.manual_seed(0)
    params = Data2VecParams(**{"top_blocks": 2, "min_block": 4, **overrides})
    return Data2Vec(build_encoder(encoder, size, 1), params)


def images(count: int = 6, size: int = 32) -> Tensor:
    return torch.randint(256, (count, size, size, 1), dtype=torch.uint8, generator=seeded(1))


def masked_batch(method: Data2Vec, count: int = 6, size: int = 32) -> Batch:
    return method.make_batch(images(count, size), Data2Vec.augmentation, seeded(2))


@pytest.mark.slow
@given(side=st.integers(2, 16), ratio=st.floats(0.01, 0.99), least=st.integers(1, 16), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_every_image_has_its_share_masked_on_any_grid(side: int, ratio: float, least: int, seed: int) -> None:
    """The reference code gives up after ten blocks that do not fit, so that images on small grids get no mask."""
    hidden = min(side**2 - 1, max(1, round(ratio * side**2)))
    masks = hide_blocks(16, side, hidden, min(least, hidden), 0.3, seeded(seed))
    assert masks.shape == (16, side**2)
    assert (masks.sum(1) == hidden).all()


def neighbours(masks: Tensor, side: int) -> float:
    """Share of the pairs of adjacent patches of which both or none are masked."""
    grid = masks.unflatten(1, (side, side))
    pairs = [grid[:, 1:] == grid[:, :-1], grid[:, :, 1:] == grid[:, :, :-1]]
    return float(torch.cat([pair.flatten() for pair in pairs]).float().mean())


def test_masks_are_blocks_and_not_single_patches() -> None:
    masks = hide_blocks(256, 14, 120, 16, 0.3, seeded())
    alone = torch.rand(256, 196, generator=seeded()).argsort(1) < 120
    assert neighbours(alone, 14) < 0.55
    assert neighbours(masks, 14) > 0.8
    assert masks.float().mean(0).std() < 0.25  # no part of the image is always or never masked
    assert (masks.float().mean(0) > 0.02).all()  # corners least: few blocks reach them


def test_a_batch_masks_what_it_does_not_show() -> None:
    method = small(mask_ratio=0.6)
    batch = masked_batch(method)
    seen, masked = covered(batch.kept[0], 64), covered(batch.targets, 64)
    assert torch.equal(seen, ~masked)
    assert method.shares(batch).tolist() == pytest.approx([38 / 64, 26 / 64])


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"mask_ratio": 0.0}, r"`mask_ratio` must be in \(0, 1\), but got 0"),
        ({"mask_ratio": 1.0}, r"`mask_ratio` must be in \(0, 1\), but got 1"),
        ({"min_block": 0}, "`min_block` must be at least 1, but got 0"),
        ({"min_aspect": 1.5}, r"`min_aspect` must be in \(0, 1\], but got 1.5"),
        ({"beta": 0.0}, "`beta` must be above 0, but got 0"),
    ],
)
def test_impossible_numbers_are_refused(params: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Data2VecParams(**params)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("encoder", "params", "words"),
    [
        ({"name": "resnet", "width": 8}, {}, "`encoder` must be a vision transformer for data2vec"),
        (VIT, {}, "`top_blocks` must be at most the encoder's 3 blocks, but got 6"),
        (VIT, {"top_blocks": 2, "mask_ratio": 0.2}, "`min_block` must be at most the 13 masked patches of 64"),
        (VIT, {"top_blocks": 2, "mask_ratio": 0.001}, "must mask at least 1 of the 64 patches and leave 1"),
        (VIT, {"top_blocks": 2, "mask_ratio": 0.999}, "must mask at least 1 of the 64 patches and leave 1"),
    ],
)
def test_encoders_and_grids_that_do_not_fit_are_refused(
    encoder: dict[str, object], params: dict[str, float], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        Data2Vec.check(build_encoder(encoder, 32, 1), Data2VecParams(**params))  # type: ignore[arg-type]


def normed(rows: Tensor) -> Tensor:
    centred = rows - rows.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()


def reference_loss(method: Data2Vec, batch: Batch) -> Tensor:
    """One image at a time, each formula written out over timm's own modules, in the dtype of the method."""
    terms = []
    for index, view in enumerate(batch.views[0]):
        models = method.teacher_encoder.model, method.student_encoder.model
        masked = batch.targets[index, 0]
        runs = []
        for student, model in enumerate(models):
            patches = model.patch_embed.proj(view[None]).flatten(2)[0].T
            if student:
                hidden = torch.zeros(len(patches), 1, dtype=patches.dtype)
                hidden[masked] = 1
                patches = patches * (1 - hidden) + method.mask_token * hidden
            rows = torch.cat([model.cls_token[0], patches]) + model.pos_embed[0]
            outputs = []
            for block in model.blocks:
                rows = block(rows[None])[0]
                outputs.append(rows)
            runs.append((outputs, model.norm(rows)))
        (outputs, _), (_, final) = runs
        top = outputs[-method.params.top_blocks :]
        goals = normed(sum(normed(output.detach()) for output in top) / len(top))
        for place in masked.tolist():
            gap = (method.head(final[1 + place]) - goals[1 + place]).abs()
            terms.append(torch.where(gap < 2, gap.square() / 4, gap - 1).mean())
    return torch.stack(terms).mean()


@pytest.mark.slow
@pytest.mark.parametrize("encoder", [VIT, {"name": "timm/vit_tiny_patch16_224"}], ids=["vit", "timm"])
def test_loss_and_gradient_are_those_of_the_formula(encoder: dict[str, object]) -> None:
    size = 32 if encoder is VIT else 64
    method = small(encoder, size)
    with torch.no_grad():
        method.head.weight.mul_(5)  # so that both pieces of the loss are used
        for parameter in method.student_encoder.parameters():  # so that teacher and student differ
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=seeded(4)))
    batch = masked_batch(method, 2, size)
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


def test_each_block_weighs_the_same_in_the_target() -> None:
    """Without the norm of each block, a block of large activations would be all of the target."""
    blocks = [torch.randn(2, 5, 8, generator=seeded(seed), dtype=torch.float64) for seed in range(3)]
    found = contextual_targets(blocks)
    torch.testing.assert_close(
        contextual_targets([blocks[0], blocks[1], 1000 * blocks[2] + 7]), found, rtol=1e-3, atol=1e-3
    )
    torch.testing.assert_close(found.double(), normed(sum(map(normed, blocks)) / 3), rtol=1e-5, atol=1e-5)
    without = normed((blocks[0] + blocks[1] + 1000 * blocks[2]) / 3)
    assert (without - found).abs().max() > 0.1


def test_no_gradient_reaches_the_teacher() -> None:
    method = small()
    method.teacher.requires_grad_(True)  # the loss itself must cut it, not only the parameters' flag
    method.loss(masked_batch(method)).backward()
    assert all(parameter.grad is None for parameter in method.teacher.parameters())
    assert method.mask_token.grad is not None
    assert method.mask_token.grad.abs().sum() > 0
    assert method.student_encoder.model.patch_embed.proj.weight.grad.abs().sum() > 0


def test_masked_patches_do_not_reach_the_student() -> None:
    method = small().eval()
    batch = masked_batch(method)
    changed = fill_masked(batch.views[0], batch.kept[0], 4, value=9.0)
    seen, same = (
        method.student_encoder.tokens(view, batch.kept[0], mask_token=method.mask_token)
        for view in (batch.views[0], changed)
    )
    assert torch.equal(seen.sequence, same.sequence)
    assert seen.patches.shape == (6, 64, 16)  # every patch has a token
    assert torch.equal(seen.positions, torch.arange(64).expand(6, -1))
    assert method.loss(batch) != method.loss(Batch((changed,), batch.kept, batch.targets))  # the teacher sees them


def test_momentum_rises_on_a_line() -> None:
    method = small(teacher_momentum=0.5, final_teacher_momentum=0.9)
    for progress, momentum in ((0.0, 0.5), (0.5, 0.7), (1.0, 0.9)):
        teacher, student = next(method.teacher_encoder.parameters()), next(method.student_encoder.parameters())
        with torch.no_grad():
            student.add_(1.0)
        expected = momentum * teacher + (1 - momentum) * student
        method.after_step(progress)
        torch.testing.assert_close(teacher, expected)


def test_views_of_the_criteria_are_masks_that_only_visible_patches_pass() -> None:
    method = small().eval()
    batch = method.sample_views(images(), 5, Data2Vec.augmentation, method.params, seeded())
    assert all(torch.equal(view, batch.views[0]) for view in batch.views)
    assert len({tuple(kept.flatten().tolist()) for kept in batch.kept}) == 5
    view, kept = batch.views[0], batch.kept[0]
    with torch.no_grad():
        seen = method.features(view, kept)
        again = method.features(fill_masked(view, kept, 4, value=9.0), kept)
        tokens = method.teacher_encoder.tokens(view, kept)
        assert tokens.patches.shape[1] == kept.shape[1]  # no mask token enters
        torch.testing.assert_close(seen[EMBEDDING], method.head(tokens.patches).mean(1))
        torch.testing.assert_close(seen[REPRESENTATION], tokens.patches.mean(1))
        torch.testing.assert_close(method.embed(view), method.features(view)[EMBEDDING])
    assert all(torch.equal(seen[layer], again[layer]) for layer in seen)


def test_the_mask_token_does_not_decay() -> None:
    method = small()
    assert method.mask_token in undecayed(method)
