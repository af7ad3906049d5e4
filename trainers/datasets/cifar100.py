"""cifar100: 60,000 small colour photographs of 100 classes (Krizhevsky 2009), in torchvision's layout on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from trainers.datasets.cifar10 import Cifar10

if TYPE_CHECKING:
    from torchvision.datasets import CIFAR10


class Cifar100(Cifar10):
    """32×32×3; the author's 50,000 to train and 10,000 to test, with the 100 fine classes."""

    title: ClassVar[str] = "CIFAR-100"
    folder: ClassVar[str] = "cifar-100-python"
    archive: ClassVar[str] = "cifar-100-python.tar.gz"

    @staticmethod
    def kind() -> type[CIFAR10]:
        from torchvision.datasets import CIFAR100

        kind: type[CIFAR10] = CIFAR100
        return kind
