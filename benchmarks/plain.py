"""The two measures the plain way, with no code of `widthwise` except its settings.

Forward hooks, one pass of the whole network for each layer, level and sampling, activations concatenated,
`numpy.corrcoef`. The units to drop and the activations are drawn by the scheme that `widthwise` documents (in
`widthwise/measurement/masks.py`), written down a second time, so that both ways must give the same numbers.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from widthwise.measurement.settings import Measurement

ABLATION, ACTIVATIONS = 1, 2
"""Parts of the seeds of the two kinds of draws."""


@torch.no_grad()
def plain_profile(
    model: nn.Module, modules: dict[str, nn.Module], batches: Sequence[Tensor], settings: Measurement, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables `layers` (without corrected AUC) and `ablation` of the values that some modules return.

    Args:
        model: the network; it is put into evaluation mode.
        modules: the modules whose values are measured, in order of depth; units along dimension 1.
        batches: the inputs.
        settings: as for `profile`; what is dropped becomes zero.
        seed: as for `profile`.
    """
    model.eval()
    intact = torch.cat([model(batch).argmax(-1) for batch in batches])
    layers, ablation = [], []
    for depth, (name, module) in enumerate(modules.items()):
        values = values_of(model, module, batches)
        similarity, dead = repetition(values, depth, settings, seed)
        whole = settings.granularity == "channel"
        units = values[0].shape[1] if whole else values[0][0].numel()
        counts = [round(share * units) for share in np.linspace(0, 1, settings.levels)]
        unchanged = np.zeros((settings.samplings, settings.levels))
        for sampling in range(settings.samplings):
            stream, first = [seed, ABLATION, depth, 0, sampling], 0
            for batch, value in zip(batches, values, strict=True):
                rows = [0] if whole else range(first, first + len(batch))
                ranks = np.stack([ranks_of(stream, row, units, value.device) for row in rows])
                for level, count in enumerate(counts):
                    labels = labels_with(model, module, batch, mask(ranks >= count, value))
                    unchanged[sampling, level] += (labels == intact[first : first + len(batch)]).sum().item()
                first += len(batch)
        shares = unchanged / len(intact)
        for sampling, curve in enumerate(shares):
            ablation += [
                (name, sampling, level / (settings.levels - 1), counts[level], share)
                for level, share in enumerate(curve)
            ]
        areas = ((shares[:, 1:] + shares[:, :-1]) / 2).mean(axis=1)
        deviations = [each.std(ddof=1) for each in (areas, similarity)]
        layers.append((name, values[0].shape[1], areas.mean(), deviations[0], similarity.mean(), deviations[1], dead))
    columns = ["layer", "units", "auc", "auc_std", "similarity", "similarity_std", "dead_fraction"]
    ablation_columns = ["layer", "sampling", "share_dropped", "units_dropped", "unchanged"]
    return pd.DataFrame(layers, columns=columns), pd.DataFrame(ablation, columns=ablation_columns)


def ranks_of(stream: list[int], row: int, units: int, device: torch.device) -> np.ndarray:
    """The rank of each unit's key in a row's draw: of c units that are dropped, those of the ranks below c are."""
    keys = keys_of(stream, row, units) if device.type == "cpu" else keys_on_device(stream, row, units, device)
    ranks = np.empty(units, dtype=np.int64)
    ranks[np.argsort(keys)] = np.arange(units)
    return ranks


def keys_of(stream: list[int], row: int, units: int) -> np.ndarray:
    """The keys of a row's units, all different."""
    narrow = units <= 2048
    words = -(-units // 2) if narrow else -(-units // 4) + 1
    generator = np.random.PCG64(np.random.SeedSequence(stream))
    generator.advance(row * words)
    random = generator.random_raw(words)
    if narrow:
        halves = np.stack([random >> np.uint64(shift) & np.uint64(2**32 - 1) for shift in (0, 32)], axis=1)
        return with_indices(halves.flatten()[:units])
    quarters = np.stack([random >> np.uint64(shift) & np.uint64(2**16 - 1) for shift in (0, 16, 32, 48)], axis=1)
    around = np.roll(np.arange(units, dtype=np.uint64), int(random[-1]) % units)
    return quarters.flatten()[:units] * np.uint64(units) + around


def keys_on_device(stream: list[int], row: int, units: int, device: torch.device) -> np.ndarray:
    """The keys of a row's units, from a generator of the device, which draws for 64 rows at a time."""
    state = np.random.SeedSequence([*stream, row // 64]).generate_state(1, np.uint64)[0]
    generator = torch.Generator(device).manual_seed(int(state) // 2)
    drawn = torch.randint(2**62, (64, units), generator=generator, device=device, dtype=torch.int64)
    return with_indices(drawn[row % 64].cpu().numpy().astype(np.uint64))


def with_indices(keys: np.ndarray) -> np.ndarray:
    """The keys with the units' indices in place of their lowest bits."""
    size = np.uint64(2 ** max(1, (len(keys) - 1).bit_length()))
    return keys // size * size + np.arange(len(keys), dtype=np.uint64)


def mask(kept: np.ndarray, value: Tensor) -> Tensor:
    """The draws, a row for each example or one for all, in the shape of a value: 1 for what is kept, 0 otherwise."""
    examples, channels, *positions = value.shape
    if len(kept) == 1 and kept.size == channels:
        return torch.from_numpy(kept).to(value).view(1, channels, *[1] * len(positions))
    by_position = kept.reshape(examples, *positions, channels)  # position by position, units last
    return torch.from_numpy(np.moveaxis(by_position, -1, 1).copy()).to(value)


def values_of(model: nn.Module, module: nn.Module, batches: Sequence[Tensor]) -> list[Tensor]:
    """The values that a module returns for each batch."""
    values: list[Tensor] = []
    hook = module.register_forward_hook(lambda module, inputs, output: values.append(output.clone()))
    for batch in batches:
        model(batch)
    hook.remove()
    return values


def labels_with(model: nn.Module, module: nn.Module, batch: Tensor, mask: Tensor) -> Tensor:
    """The labels of a batch when a module's value is multiplied by a mask."""

    def masked(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
        return output * mask

    hook = module.register_forward_hook(masked)
    labels = model(batch).argmax(-1)
    hook.remove()
    return labels


def repetition(values: list[Tensor], depth: int, settings: Measurement, seed: int) -> tuple[np.ndarray, float]:
    """Similarity in each sampling, and the share of constant units."""
    activity = torch.cat([value.movedim(1, -1).flatten(0, -2) for value in values]).cpu().numpy()
    found = []
    for sampling in range(settings.samplings):
        sample = activity.astype(np.float64)
        if settings.activations is not None and len(activity) > settings.activations:
            stream = np.random.SeedSequence([seed, ACTIVATIONS, depth], spawn_key=(sampling,))
            chosen = np.random.default_rng(stream).choice(len(activity), settings.activations, replace=False)
            sample = sample[chosen]
        varying = np.ptp(sample, axis=0) > 0
        correlations = np.abs(np.corrcoef(sample[:, varying].T)).reshape(varying.sum(), -1)
        similar = (correlations >= settings.threshold).sum() - varying.sum()
        found.append(similar / activity.shape[1])
    return np.array(found), float(np.mean(np.ptp(activity, axis=0) == 0))
