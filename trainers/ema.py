"""The exponential moving average of networks, from which students learn without labels."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import nn

from trainers.optim import cosine


class Teacher(nn.Module):
    """Copies of the student's networks without a gradient, which follow them with a momentum that rises to 1.

    The copies start equal to the students. Buffers, such as BatchNorm's statistics, are the teacher's own.
    """

    def __init__(self, momentum: float, students: Mapping[str, nn.Module]) -> None:
        """Copy the `students`; `momentum` is in [0, 1], before the first update."""
        super().__init__()
        self.momentum = momentum
        self.copies = nn.ModuleDict({name: copy.deepcopy(student) for name, student in students.items()})
        self.requires_grad_(False)

    def update(self, students: Mapping[str, nn.Module], progress: float) -> None:
        """Move each copy towards its student; the momentum rises on a cosine, to 1 at `progress` 1."""
        self.follow(students, cosine(self.momentum, 1.0, progress))

    def follow(self, students: Mapping[str, nn.Module], momentum: float) -> None:
        """Move each copy towards its student with this momentum, for a schedule of the method's own."""
        for name, student in students.items():
            update_ema(self.copies[name], student, momentum)


@torch.no_grad()
def update_ema(teacher: nn.Module, student: nn.Module, momentum: float) -> None:
    """teacher ← momentum · teacher + (1 − momentum) · student, over parameters; buffers are the teacher's own."""
    torch._foreach_lerp_(list(teacher.parameters()), list(student.parameters()), 1 - momentum)
