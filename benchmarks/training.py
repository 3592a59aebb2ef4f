"""The speed of training on images, against the plain way and against the work that cannot be avoided.

    python -m benchmarks.training plain     AlexNet at 1x, training images a second: times a plain PyTorch loop
    python -m benchmarks.training bare      AlexNet's gradient: share of the rate of bare convolutions and products
    python -m benchmarks.training data      batches, cropped, flipped and standardized: times the per-image way
    python -m benchmarks.training stacked   three AlexNets as one stack: times the three by themselves
    python -m benchmarks.training rates --device cuda    images a second of each network, and share of the matrix rate

All but the last print a ratio and the bar that it has to reach. Both ways run in this process, on images of CIFAR-10's
shape.
"""

import argparse
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from lightning_fabric import Fabric
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader

from widthwise.data.dataset import Dataset
from widthwise.data.resident import ResidentImages
from widthwise.execution.machine import computing
from widthwise.experiments.settings import resolved
from widthwise.networks.build import build_initialized
from widthwise.networks.cost import arithmetic
from widthwise.training.loop import train

BATCH = 128
BARS = {"plain": 1.5, "bare": 0.7, "data": 20.0, "stacked": 1.0}
ALEXNET = resolved({"network": {"name": "alexnet"}}, "benchmark")
CPU = torch.device("cpu")


def random_images(count: int) -> tuple[Tensor, Tensor]:
    stream = torch.Generator().manual_seed(0)
    return (
        torch.randint(256, (count, 3, 32, 32), generator=stream, dtype=torch.uint8),
        torch.randint(10, (count,), generator=stream),
    )


class PlainImages(torch.utils.data.Dataset):
    """The plain way: PIL images, and transforms of one image after the other."""

    def __init__(self, images: Tensor, labels: Tensor):
        self.images = [Image.fromarray(each) for each in images.permute(0, 2, 3, 1).numpy()]
        self.labels = labels.tolist()

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        bordered = Image.new("RGB", (40, 40))
        bordered.paste(self.images[index], (4, 4))
        top, left = torch.randint(9, (2,)).tolist()
        image = bordered.crop((left, top, left + 32, top + 32))
        if torch.rand(()) < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
        return (pixels - pixels.mean()) / pixels.std().clamp(min=3072**-0.5), self.labels[index]


def plain_alexnet(width_factor: float = 1.0) -> nn.Sequential:
    """AlexNet from PyTorch's own modules."""
    first, second, third, fourth = (round(units * width_factor) for units in (96, 256, 384, 192))
    norm = nn.LocalResponseNorm(size=5, alpha=1e-4, beta=0.75, k=1.0)
    return nn.Sequential(
        *(nn.Conv2d(3, first, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True), norm),
        *(nn.Conv2d(first, second, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True), norm, nn.Flatten()),
        *(nn.Linear(64 * second, third), nn.ReLU(), nn.Linear(third, fourth), nn.ReLU(), nn.Linear(fourth, 10)),
    )


def plain(steps: int) -> None:
    """Training AlexNet at 1x with augmentation."""
    images, labels = random_images(steps * BATCH)
    network = plain_alexnet()
    optimizer = torch.optim.SGD(network.parameters(), 0.01, momentum=0.9)
    loader = DataLoader(PlainImages(images, labels), BATCH, shuffle=True, num_workers=2, persistent_workers=True)

    def plain_epoch() -> None:
        for inputs, targets in loader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(inputs), targets).backward()
            optimizer.step()

    plain_epoch()  # what starts slowly
    plain_seconds = seconds(plain_epoch)
    del loader

    recipe = ALEXNET.training.model_copy(update={"epochs": 2, "augmentation": True})
    few = ResidentImages(*random_images(4), CPU)
    data = Dataset(ResidentImages(images, labels, CPU), few, few, 10, (3, 32, 32), "random images")
    ours = build_initialized(ALEXNET.network, ALEXNET.initialization, (3, 32, 32), 10, 0)
    with computing(None):
        first, both = train(ours, data, recipe, 0, Fabric(accelerator="cpu", devices=1)).history["seconds"]
    rates = len(labels) / plain_seconds, len(labels) / (both - first)
    print(f"AlexNet at 1x, {len(labels):,} images, batches of {BATCH}, {torch.get_num_threads()} threads")
    print(f"the plain way        {rates[0]:8.0f} images/s")
    print(f"widthwise            {rates[1]:8.0f} images/s   {rates[1] / rates[0]:.2f} times (bar: {BARS['plain']})")


def bare(steps: int) -> None:
    """The gradient of AlexNet at 1x, against the convolutions and matrix products in it by themselves."""
    network = build_initialized(ALEXNET.network, ALEXNET.initialization, (3, 32, 32), 10, 0)
    network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    inputs, labels = next(ResidentImages(*random_images(BATCH), CPU).batches(BATCH))

    def ours() -> None:
        network.zero_grad()
        nn.functional.cross_entropy(network(inputs), labels).backward()

    first, second, third, fourth = 96, 256, 384, 192
    convolutions = [(3, first, 32, False), (first, second, 16, True)]
    dense = [(64 * second, third), (third, fourth), (fourth, 10)]
    works = {}
    for layout in (torch.contiguous_format, torch.channels_last):
        operands = []
        for before, after, size, to_inputs in convolutions:
            value = torch.randn(BATCH, before, size, size).contiguous(memory_format=layout)
            weight = torch.randn(after, before, 5, 5).contiguous(memory_format=layout)
            gradient = torch.randn_like(nn.functional.conv2d(value, weight, padding=2))
            operands.append((value, weight, gradient, to_inputs))
        products = [(torch.randn(BATCH, i), torch.randn(o, i), torch.randn(BATCH, o)) for i, o in dense]
        works[layout] = (operands, products)

    def products_alone(layout: torch.memory_format) -> None:
        operands, products = works[layout]
        for value, weight, gradient, to_inputs in operands:
            nn.functional.conv2d(value, weight, padding=2)
            torch.ops.aten.convolution_backward(
                gradient, value, weight, None, [1, 1], [2, 2], [1, 1], False, [0, 0], 1, [to_inputs, True, False]
            )
        for value, weight, gradient in products:
            torch.mm(value, weight.T)
            torch.mm(gradient, weight)
            torch.mm(gradient.T, value)

    flops = 2 * BATCH * (2 * 1024 * 75 * first + 3 * 256 * 25 * first * second + 3 * sum(i * o for i, o in dense))
    with computing(None):
        times = alternated([ours, *(lambda layout=layout: products_alone(layout) for layout in works)], steps)
    fastest = min(times[1:])
    print(f"AlexNet at 1x, a batch of {BATCH}, {torch.get_num_threads()} threads")
    print(f"bare operations      {fastest / BATCH * 1e3:8.2f} ms/image   {flops / fastest / 1e9:.0f} GFLOP/s")
    print(f"our gradient         {times[0] / BATCH * 1e3:8.2f} ms/image   {flops / times[0] / 1e9:.0f} GFLOP/s")
    print(f"share of the bare rate   {fastest / times[0]:.2f} (bar: {BARS['bare']})")


def data_path(epochs: int) -> None:
    """Batches by themselves, in one process each."""
    images, labels = random_images(20_000)
    loader = DataLoader(PlainImages(images[:5000], labels[:5000]), BATCH, shuffle=True)
    resident = ResidentImages(images, labels, CPU)

    def ours(epoch: int) -> None:
        for _ in resident.epoch(0, epoch, BATCH, augment=True):
            pass

    def plain_way() -> None:
        for _ in loader:
            pass

    with computing(None):
        ours(0)  # what starts slowly
        our_rate = len(labels) / min(seconds(lambda epoch=epoch: ours(epoch)) for epoch in range(1, epochs + 1))
        plain_rate = 5000 / min(seconds(plain_way) for _ in range(2))
    print(f"the per-image way    {plain_rate:10,.0f} images/s")
    print(
        f"widthwise            {our_rate:10,.0f} images/s   {our_rate / plain_rate:.0f} times (bar: {BARS['data']:.0f})"
    )


def stacked(steps: int) -> None:
    """The second convolution of three replicates: in one grouped convolution, or one after the other, on one thread."""
    members = 3
    with computing(1):
        for width_factor in (0.25, 1.0):
            before, after = round(96 * width_factor), round(256 * width_factor)

            def gradient(members: int, before: int = before, after: int = after) -> Callable[[], None]:
                layout = torch.channels_last
                value = torch.randn(BATCH, members * before, 16, 16).contiguous(memory_format=layout)
                weight = torch.randn(members * after, before, 5, 5).contiguous(memory_format=layout)
                of_output = torch.randn(BATCH, members * after, 16, 16).contiguous(memory_format=layout)

                def work() -> None:
                    nn.functional.conv2d(value, weight, padding=2, groups=members)
                    torch.ops.aten.convolution_backward(
                        *(of_output, value, weight, None, [1, 1], [2, 2], [1, 1], False, [0, 0], members),
                        [True, True, False],
                    )

                return work

            alone, together = alternated([gradient(1), gradient(members)], steps)
            three = members * alone
            print(f"AlexNet at {width_factor:g}x, three times alone  {three:8.3f} s")
            print(f"AlexNet at {width_factor:g}x, stacked            {together:8.3f} s   {three / together:.2f} times")


def rates(steps: int, device: str) -> None:
    """Training steps of the networks for CIFAR-10, against one large matrix product in the same precision."""
    square = 8192 if device != "cpu" else 2048
    for precision in ("32-true", "bf16-mixed"):
        dtype = torch.float32 if precision == "32-true" else torch.bfloat16
        matrix = torch.randn(square, square, device=device, dtype=dtype)
        fastest = min(seconds(lambda matrix=matrix: finished(device, matrix @ matrix)) for _ in range(5))
        rate = 2 * square**3 / fastest
        print(f"{precision}: {rate / 1e12:.2f} TFLOP/s in a product of {square}×{square} matrices")
        for name, width_factor in (*(("alexnet", width) for width in (0.25, 0.5, 1.0, 2.0, 4.0)), ("resnet56", 1.0)):
            content = {"network": {"name": name, "width_factor": width_factor}}
            trial = resolved({**content, "training": {"epochs": 2, "precision": precision}}, "benchmark")
            images = ResidentImages(*random_images(steps * BATCH), torch.device(device))
            few = ResidentImages(*random_images(4), torch.device(device))
            data = Dataset(images, few, few, 10, (3, 32, 32), "random images")
            network = build_initialized(trial.network, trial.initialization, (3, 32, 32), 10, 0)
            fabric = Fabric(accelerator=torch.device(device).type, devices=1, precision=precision)
            with computing(None):
                first, both = train(network, data, trial.training, 0, fabric).history["seconds"]
            speed = len(images) / (both - first)
            flops = speed * arithmetic(trial.network, (3, 32, 32), 10).training_flops
            print(f"{name} at {width_factor:g}x {speed:10,.0f} images/s   {flops / rate:.1%} of that", flush=True)


def finished(device: str, value: Tensor) -> Tensor:
    """The value, when it is ready."""
    if device != "cpu":
        torch.cuda.synchronize()
    return value


def alternated(works: Sequence[Callable[[], None]], times: int) -> list[float]:
    """The median seconds of each piece of work, run in turn."""
    for work in works:
        work()  # what starts slowly
    measured = [[seconds(work) for work in works] for _ in range(times)]
    return np.median(measured, axis=0).tolist()


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["plain", "bare", "data", "stacked", "rates"])
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--device", default="cpu", help="of rates")
    arguments = parser.parse_args()
    if arguments.what == "rates":
        rates(arguments.steps, arguments.device)
        return
    works = {"plain": plain, "bare": bare, "data": data_path, "stacked": stacked}
    works[arguments.what](arguments.steps)


if __name__ == "__main__":
    main()
