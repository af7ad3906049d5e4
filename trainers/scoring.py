"""The label-free criteria of an encoder that exists already, on the images and views of a sweep. It opens no labels."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from trainers.criteria import CRITERIA
from trainers.criteria.base import Features
from trainers.datasets.base import Images
from trainers.device import limit_threads
from trainers.export import ExportedEncoder
from trainers.measure import Sample, embed_clean, embed_views
from trainers.methods import METHODS
from trainers.methods.base import Method
from trainers.reader import Reader, check_channels
from trainers.records import REPRESENTATION, TrialConfig
from trainers.settings import check_network, resolve
from trainers.splits import Data


class Scored:
    """An encoder in the place of a sweep's encoder: what criteria and oracle read of it."""

    def __init__(self, encoder: ExportedEncoder, name: str, config: TrialConfig, images: Images) -> None:
        """Raises: ValueError, if the encoder cannot read these images, or not with this method's views."""
        limit_threads(config.threads)
        data = Data(images, config.device)
        check_channels(data.channels, encoder.recipe, name)
        data.mean, data.std = (torch.tensor(of, device=data.device) for of in (encoder.recipe.mean, encoder.recipe.std))
        reader = Reader(encoder)
        check_network(config, reader)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # of the projector, which nothing reads
            network = METHODS[config.method](reader, resolve(config).params)
        self.config = config
        self.data = data
        network.project = _nothing  # type: ignore[method-assign]  # of an untrained projector no value is read
        self.network: Method = network.to(data.device).to(memory_format=torch.channels_last).eval()

    def criteria(self) -> dict[str, float]:
        """Column -> value on the representation; NaN for a criterion that needs the embedding."""
        sample = Sample(self.network, self.data, self.config.criteria_sample, resolve(self.config))
        views, clean = (embed(self.network, sample)[REPRESENTATION] for embed in (embed_views, embed_clean))
        features = Features(views, clean)
        found: dict[str, float] = {}
        for name in self.config.criteria:
            found |= of_representation(name, features)
        return found


def _nothing(representations: Tensor) -> Tensor:
    """What stands in the place of a projector."""
    return representations


def of_representation(name: str, features: Features) -> dict[str, float]:
    """Column -> value of one criterion on the features of one layer, with the values beside it."""
    criterion = CRITERIA[name]
    beside = {f"{name}_{key}": math.nan for key in criterion.beside}
    if criterion.function is None:
        return {name: math.nan, **beside}
    n, q, _ = features.views.shape
    read = features.first(criterion.images(n, q))
    return {name: criterion.function(read)} | {
        f"{name}_{key}": function(read) for key, function in criterion.beside.items()
    }


def needs_embedding(criteria: Iterable[str]) -> list[str]:
    """The criteria that no encoder alone can have."""
    return [name for name in criteria if CRITERIA[name].function is None]
