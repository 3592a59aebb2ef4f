"""The two measures the plain way: forward hooks, one pass of the whole network for each layer, level and sampling,
activations concatenated, `numpy.corrcoef`. It draws the units to drop as `widthwise` does, so that both must agree."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from widthwise.measurement.ablation import ABLATION_STREAM
from widthwise.measurement.masks import dropped_counts, laid_out, levels_survived, random_levels, stays
from widthwise.measurement.passes import RANDOM_SHARES, chosen_activations
from widthwise.measurement.settings import Measurement


@torch.no_grad()
def plain_profile(
    model: nn.Module, modules: dict[str, nn.Module], batches: Sequence[Tensor], settings: Measurement, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables `layers` (without corrected AUC) and `ablation` of the values that some modules return."""
    model.eval()
    intact = torch.cat([model(batch).argmax(-1) for batch in batches])
    layers, ablation = [], []
    for depth, (name, module) in enumerate(modules.items()):
        values = _values(model, module, batches)
        similarity, dead = _repetition(values, depth, settings, seed)
        shape = values[0].shape
        shares = np.ones((settings.samplings, settings.levels))
        whole = settings.granularity == "channel"
        units = shape[1] if whole else values[0][0].numel()
        counts = dropped_counts(units, settings.levels)
        levels = random_levels(counts, units)
        for sampling in range(settings.samplings):
            seeds = np.random.SeedSequence([seed, ABLATION_STREAM, depth, RANDOM_SHARES, sampling])
            for level, count in enumerate(counts):
                labels, first = [], 0
                for batch, value in zip(batches, values, strict=True):
                    rows, start = (1, 0) if whole else (len(batch), first)
                    mask = torch.tensor(float(count == 0))
                    if level in levels:
                        survived = levels_survived(seeds, start, rows, units, counts, value.device)
                        mask = stays(laid_out(survived, value, 1), levels.index(level))
                    labels.append(_labels_without(model, module, batch, mask))
                    first += len(batch)
                shares[sampling, level] = (torch.cat(labels) == intact).double().mean()
                ablation.append((name, sampling, level / (settings.levels - 1), count, shares[sampling, level]))
        areas = np.trapezoid(shares, dx=1 / (settings.levels - 1), axis=1)
        deviations = [each.std(ddof=1) for each in (areas, similarity)]
        layers.append((name, shape[1], areas.mean(), deviations[0], similarity.mean(), deviations[1], dead))
    columns = ["layer", "units", "auc", "auc_std", "similarity", "similarity_std", "dead_fraction"]
    ablation_columns = ["layer", "sampling", "share_dropped", "units_dropped", "unchanged"]
    return pd.DataFrame(layers, columns=columns), pd.DataFrame(ablation, columns=ablation_columns)


def _values(model: nn.Module, module: nn.Module, batches: Sequence[Tensor]) -> list[Tensor]:
    values: list[Tensor] = []
    hook = module.register_forward_hook(lambda module, inputs, output: values.append(output.clone()))
    for batch in batches:
        model(batch)
    hook.remove()
    return values


def _labels_without(model: nn.Module, module: nn.Module, batch: Tensor, mask: Tensor) -> Tensor:
    def masked(module: nn.Module, inputs: object, output: Any) -> Tensor:
        return output * mask

    hook = module.register_forward_hook(masked)
    labels = model(batch).argmax(-1)
    hook.remove()
    return labels


def _repetition(values: list[Tensor], depth: int, settings: Measurement, seed: int) -> tuple[np.ndarray, float]:
    """Similarity in each sampling, and the share of constant units."""
    activity = torch.cat([value.movedim(1, -1).flatten(0, -2) for value in values]).numpy()
    choices = chosen_activations(len(activity), settings, seed, depth)
    found = []
    for chosen in choices if choices is not None else [slice(None)] * settings.samplings:
        sample = activity[chosen].astype(np.float64)
        varying = np.ptp(sample, axis=0) > 0
        correlations = np.abs(np.corrcoef(sample[:, varying].T)).reshape(varying.sum(), -1)
        similar = (correlations >= settings.similarity_threshold).sum() - varying.sum()
        found.append(similar / activity.shape[1])
    return np.array(found), float(np.mean(np.ptp(activity, axis=0) == 0))
