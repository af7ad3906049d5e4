"""The reason of a failure in one line, and its kind: memory, disk or error."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from typing import Final, Literal

from sweeper.store.atomic import FULL

OUT_OF_MEMORY: Final = ("CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")


@dataclass(frozen=True)
class Failure:
    """What a worker tells the driver when its task could not be done."""

    reason: str
    kind: Literal["error", "memory", "disk"] = "error"


def reason_of(error: BaseException) -> str:
    """The last line of the error's traceback.

    >>> reason_of(ValueError("`lr` must be positive\\nbut got -1"))
    'ValueError: `lr` must be positive but got -1'
    """
    return " ".join("".join(traceback.format_exception_only(error)).split())


def kind_of(error: BaseException) -> Literal["error", "memory", "disk"]:
    import torch

    if isinstance(error, torch.OutOfMemoryError):
        return "memory"
    # Libraries below PyTorch report a full GPU in words alone.
    if isinstance(error, RuntimeError) and any(words in str(error) for words in OUT_OF_MEMORY):
        return "memory"
    return "disk" if isinstance(error, OSError) and error.errno in FULL else "error"
