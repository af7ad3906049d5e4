"""What a trial computes on: its cores, its precision and its clock."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager

import torch
from threadpoolctl import threadpool_limits


def limit_threads(threads: int) -> None:
    """Let this process compute on so many cores, PyTorch and NumPy's BLAS alike: sums come out the same everywhere."""
    torch.set_num_threads(threads)
    threadpool_limits(threads, user_api="blas")


def exact() -> AbstractContextManager[None]:
    """Convolutions that are the same in every run, and whose float32 is float32; of no effect on the CPU."""
    return torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)


def fast_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is native there: where it is emulated, it is slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())


def now(device: torch.device) -> float:
    """Seconds on a clock, once the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
