"""What a trial computes on: its cores, its precision and its clock."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager

import torch
from threadpoolctl import threadpool_limits


def limit_threads(threads: int) -> None:
    """Limit PyTorch and NumPy's BLAS to so many cores; sums depend on how many there are."""
    torch.set_num_threads(threads)
    threadpool_limits(threads, user_api="blas")


def exact() -> AbstractContextManager[None]:
    """Make convolutions on a GPU deterministic and in full float32, without TF32; no effect on the CPU."""
    return torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)


def fast_bfloat16(device: torch.device) -> bool:
    """Whether the device computes bfloat16 natively; emulated, it is slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())


def now(device: torch.device) -> float:
    """Seconds on a clock, after the device has finished all work given to it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
