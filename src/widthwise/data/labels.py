"""Random labels: a share of the labels to learn is replaced by uniform draws (Section 4.3)."""

import torch
from jaxtyping import Int
from torch import Tensor

from widthwise.data.source import DataSource
from widthwise.randomness import generator


def partly_random(
    labels: Int[Tensor, " examples"], source: DataSource, split: str, classes: int
) -> Int[Tensor, " examples"]:
    """The labels of a split, a share of them replaced by uniform draws if it is one of `random_label_splits`.

    The draws come from a separate stream of the source's seed: nothing else changes with the share.
    """
    if source.random_label_share == 0 or split not in source.random_label_splits:
        return labels
    count = round(source.random_label_share * len(labels))
    stream = generator(source.seed, "random labels", split)
    replaced = torch.randperm(len(labels), generator=stream)[:count]
    return labels.index_copy(0, replaced, torch.randint(classes, (count,), generator=stream))
