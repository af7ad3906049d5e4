"""The catalogue of self-supervised methods: a new one is a file here and a line below."""

from __future__ import annotations

from typing import Final

from trainers.methods.barlow_twins import BarlowTwins
from trainers.methods.base import Method
from trainers.methods.byol import BYOL
from trainers.methods.byol_logdet import BYOLLogDet
from trainers.methods.byol_pairdist import BYOLPairDist
from trainers.methods.data2vec import Data2Vec
from trainers.methods.dino import DINO
from trainers.methods.ijepa import IJEPA
from trainers.methods.moco import MoCo
from trainers.methods.simclr import SimCLR
from trainers.methods.swav import SwAV
from trainers.methods.vicreg import VICReg
from trainers.methods.vicreg_logdet import VICRegLogDet
from trainers.methods.vicreg_pairdist import VICRegPairDist

METHODS: Final[dict[str, type[Method]]] = {
    "barlow_twins": BarlowTwins,
    "byol": BYOL,
    "byol_logdet": BYOLLogDet,
    "byol_pairdist": BYOLPairDist,
    "data2vec": Data2Vec,
    "dino": DINO,
    "ijepa": IJEPA,
    "moco": MoCo,
    "simclr": SimCLR,
    "swav": SwAV,
    "vicreg": VICReg,
    "vicreg_logdet": VICRegLogDet,
    "vicreg_pairdist": VICRegPairDist,
}
