"""The catalogue of self-supervised methods: a new one is a file here and a line below."""

from __future__ import annotations

from typing import Final

from trainers.methods.barlow_twins import BarlowTwins
from trainers.methods.base import Method
from trainers.methods.byol import BYOL
from trainers.methods.data2vec import Data2Vec
from trainers.methods.dino import DINO
from trainers.methods.ijepa import IJEPA
from trainers.methods.moco import MoCo
from trainers.methods.simclr import SimCLR
from trainers.methods.swav import SwAV
from trainers.methods.vicreg import VICReg

METHODS: Final[dict[str, type[Method]]] = {
    "barlow_twins": BarlowTwins,
    "byol": BYOL,
    "data2vec": Data2Vec,
    "dino": DINO,
    "ijepa": IJEPA,
    "moco": MoCo,
    "simclr": SimCLR,
    "swav": SwAV,
    "vicreg": VICReg,
}
