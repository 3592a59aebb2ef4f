"""Compare a saved profile with the plain way of measuring, on the same data and with the same draws.

    python -m benchmarks.agreement FILE.py:FACTORY --weights W --data D --mean M --std S --profile P

The network must measure modules that it names in `measured_layers`.
"""

import argparse

import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from benchmarks.plain import plain_profile
from widthwise.commands.loading import InputOptions, importing_user_code, load_batches, load_model
from widthwise.measurement.result import Profile
from widthwise.measurement.settings import Measurement

BATCH = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    for option in ("--weights", "--data", "--mean", "--std", "--profile"):
        parser.add_argument(option, required=True)
    parser.add_argument("--split", default="test")
    arguments = parser.parse_args()
    mean, std = ([float(each) for each in text.split(",")] for text in (arguments.mean, arguments.std))
    with importing_user_code():
        model = load_model(arguments.model, arguments.weights).eval()
        batches = load_batches(InputOptions([arguments.data], arguments.split, mean, std, None))
        images = torch.cat([batch[0] for batch in batches if isinstance(batch, tuple)])
    compare(model, images, Profile.load(arguments.profile))


def compare(model: nn.Module, images: Tensor, profile: Profile) -> None:
    """Measure the model the plain way and print the largest differences from a profile."""
    images = images[: profile.examples].contiguous(memory_format=torch.channels_last)
    modules = {name: model.get_submodule(name) for name in profile.layers["layer"]}
    settings = TypeAdapter(Measurement).validate_python(profile.about["settings"])
    layers, ablation = plain_profile(model, modules, images.split(BATCH), settings, profile.about["seed"])

    difference = (profile.ablation["unchanged"] - ablation["unchanged"]).abs().max() * len(images)
    print(f"{len(images):,} images, {len(ablation)} ablations of {len(modules)} layers")
    print(f"labels that differ in the worst ablation: {difference:.0f}")
    for column in ("auc", "similarity", "dead_fraction"):
        print(f"largest difference of {column}: {(profile.layers[column] - layers[column]).abs().max():.1e}")


if __name__ == "__main__":
    main()
