"""One thread for each of pytest's workers: with more they would wait for each other. Set before torch is imported."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
