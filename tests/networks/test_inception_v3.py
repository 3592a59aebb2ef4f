"""Inception-v3 has the published size and shapes, with every layer scaled or one block alone."""

import pytest
import torch
from torch import nn

from widthwise.networks.inception_v3 import InceptionV3, InceptionV3Description


def meta(*arguments, **options) -> InceptionV3:
    with torch.device("meta"):
        return InceptionV3(*arguments, **options)


def images(size: int, examples: int = 2) -> torch.Tensor:
    return torch.empty(examples, 3, size, size, device="meta")


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_it_has_the_published_size():
    # torchvision's inception_v3 with its 1,000 classes, as it is trained and without the auxiliary head
    assert parameters(meta(1000)) == 27_161_264
    assert parameters(meta(1000, auxiliary=False)) == 23_834_568


def test_its_layers_have_the_published_shapes():
    # Szegedy et al. 2015, Table 1
    network, shapes = meta(1000), {}
    for name in network.measured_layers:
        network.get_submodule(name).register_forward_hook(
            lambda module, inputs, value, name=name: shapes.update({name: tuple(value.shape[1:])})
        )
    network(images(299))
    assert shapes == {
        "Conv2d_1a_3x3": (32, 149, 149),
        "Conv2d_2a_3x3": (32, 147, 147),
        "Conv2d_2b_3x3": (64, 147, 147),
        "Conv2d_3b_1x1": (80, 73, 73),
        "Conv2d_4a_3x3": (192, 71, 71),
        "Mixed_5b": (256, 35, 35),
        **dict.fromkeys(("Mixed_5c", "Mixed_5d"), (288, 35, 35)),
        **dict.fromkeys(("Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"), (768, 17, 17)),
        "Mixed_7a": (1280, 8, 8),
        **dict.fromkeys(("Mixed_7b", "Mixed_7c"), (2048, 8, 8)),
    }


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("Mixed_5b.branch5x5_2.conv.weight", (64, 48, 5, 5)),
        ("Mixed_5b.branch_pool.conv.weight", (32, 192, 1, 1)),
        ("Mixed_6a.branch3x3.conv.weight", (384, 288, 3, 3)),
        ("Mixed_6c.branch7x7dbl_4.conv.weight", (160, 160, 7, 1)),
        ("Mixed_6e.branch7x7_3.bn.running_mean", (192,)),
        ("Mixed_7a.branch7x7x3_2.conv.weight", (192, 192, 1, 7)),
        ("Mixed_7c.branch3x3_2b.conv.weight", (384, 384, 3, 1)),
        ("Mixed_7c.branch3x3dbl_3a.conv.weight", (384, 384, 1, 3)),
        ("AuxLogits.conv1.conv.weight", (768, 128, 5, 5)),
        ("AuxLogits.fc.weight", (1000, 768)),
        ("fc.weight", (1000, 2048)),
    ],
)
def test_its_weights_are_named_as_torchvision_names_them(name: str, shape: tuple[int, ...]):
    assert meta(1000).state_dict()[name].shape == shape


def test_the_auxiliary_head_answers_while_training_alone():
    network = meta(7, width_factor=0.25)
    assert [logits.shape for logits in network(images(299))] == [(2, 7), (2, 7)]
    assert network.eval()(images(299)).shape == (2, 7)
    assert meta(7, width_factor=0.25, auxiliary=False)(images(299)).shape == (2, 7)


def test_the_smallest_images_are_299_wide_with_the_head_and_75_without():
    network = meta(7, width_factor=0.25)
    network(images(299))
    with pytest.raises(RuntimeError, match="Kernel size can't be greater than actual input size"):
        network(images(298))
    network.eval()(images(75))
    with pytest.raises(RuntimeError):
        network(images(74))


def test_scaling_one_block_changes_that_block_and_what_reads_it():
    # Mixed_6a pools its input and hands it on, so Mixed_6b reads the block too
    intact, wide = meta(1000), meta(1000, 2.0, "mixed_5d")
    changed = {
        name for name, module in wide.named_children() if parameters(module) != parameters(intact.get_submodule(name))
    }
    assert changed == {"Mixed_5d", "Mixed_6a", "Mixed_6b"}
    for name, module in wide.Mixed_5d.named_modules():
        if isinstance(module, nn.Conv2d):
            assert module.out_channels == 2 * intact.Mixed_5d.get_submodule(name).out_channels
    for block in ("Mixed_6a", "Mixed_6b"):
        for name, module in wide.get_submodule(block).named_modules():
            if isinstance(module, nn.Conv2d):
                assert module.out_channels == intact.get_submodule(f"{block}.{name}").out_channels
    read = {
        *("Mixed_6a.branch3x3", "Mixed_6a.branch3x3dbl_1"),
        *(f"Mixed_6b.{branch}" for branch in ("branch1x1", "branch7x7_1", "branch7x7dbl_1", "branch_pool")),
    }
    added = sum(288 * wide.get_submodule(name).conv.weight[:, 0].numel() for name in read)
    block = parameters(wide.Mixed_5d) - parameters(intact.Mixed_5d)
    assert parameters(wide) - parameters(intact) == block + added


@pytest.mark.parametrize("scaled", ["all", "mixed_5d"])
def test_the_varied_layers_are_those_whose_convolutions_are_scaled(scaled):
    intact, wide = meta(1000), meta(1000, 2.0, scaled)
    varied = []
    for layer in intact.measured_layers:
        units, more = (
            [module.out_channels for module in network.get_submodule(layer).modules() if isinstance(module, nn.Conv2d)]
            for network in (intact, wide)
        )
        if more == [2 * each for each in units]:
            varied.append(layer)
        else:
            assert more == units
    assert varied == list(InceptionV3Description(scaled=scaled).varied_layers or intact.measured_layers)


@torch.no_grad()
def test_batch_norm_keeps_0_9997_of_its_averages():
    network = InceptionV3(2, 0.0625, auxiliary=False)
    inputs = torch.randn(4, 3, 75, 75)
    given = network.Conv2d_1a_3x3.conv(inputs)
    network(inputs)
    norm = network.Conv2d_1a_3x3.bn
    torch.testing.assert_close(norm.running_mean, (1 - 0.9997) * given.mean((0, 2, 3)))
    torch.testing.assert_close(norm.running_var, 0.9997 + (1 - 0.9997) * given.var((0, 2, 3)))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert (module.eps, module.momentum) == (0.001, norm.momentum)


@torch.no_grad()
def test_a_mixed_block_joins_its_branches_in_order():
    torch.manual_seed(0)
    block = InceptionV3(2, 0.25).eval().Mixed_7b
    value = torch.randn(2, 320, 4, 4)
    inner, deeper = block.branch3x3_1(value), block.branch3x3dbl_2(block.branch3x3dbl_1(value))
    pooled = torch.nn.functional.avg_pool2d(value, 3, stride=1, padding=1)
    expected = [
        block.branch1x1(value),
        *(block.branch3x3_2a(inner), block.branch3x3_2b(inner)),
        *(block.branch3x3dbl_3a(deeper), block.branch3x3dbl_3b(deeper)),
        block.branch_pool(pooled),
    ]
    assert torch.equal(block(value), torch.cat(expected, 1))
