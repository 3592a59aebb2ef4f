"""The residual networks: their published sizes, and what a block adds to what."""

import numpy as np
import pytest
import torch
from torch import nn

from widthwise.networks.resnet import BasicBlock, Projection, ZeroPadding
from widthwise.networks.resnet18 import ResNet18, ResNet18Description
from widthwise.networks.resnet56 import ResNet56, ResNet56Description


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_a_resnet56_without_weights_in_its_shortcuts_has_the_published_size():
    # He et al. 2015, Table 6: 0.85M
    assert parameters(ResNet56(10, shortcut="zero_padding")) == 853_018


@pytest.mark.parametrize(("blocks", "published"), [(3, 0.27), (5, 0.46), (7, 0.66), (9, 0.85), (18, 1.7)])
def test_with_other_numbers_of_blocks_it_is_the_published_deeper_or_shallower_network(blocks: int, published: float):
    # He et al. 2015, Table 6: 20, 32, 44, 56 and 110 layers, millions of parameters
    with torch.device("meta"):
        network = ResNet56Description(blocks=blocks, shortcut="zero_padding").build((3, 32, 32), 10)
    layers = [module for module in network.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    assert len(layers) == {3: 20, 5: 32, 7: 44, 9: 56, 18: 110}[blocks]
    assert float(f"{parameters(network) / 1e6:.2g}") == published


def test_a_resnet18_with_more_blocks_has_two_more_convolutions_a_stage():
    with torch.device("meta"):
        network = ResNet18Description(width_factor=0.25, blocks=3).build((3, 64, 64), 10)
        assert network(torch.empty(2, 3, 64, 64)).shape == (2, 10)
    large = [module for module in network.modules() if isinstance(module, nn.Conv2d) and module.kernel_size != (1, 1)]
    assert len(large) == 1 + 4 * 3 * 2


def test_projections_of_a_resnet56_add_a_convolution_and_a_batch_norm_to_each_stage():
    added = sum(inputs * outputs + 2 * outputs for inputs, outputs in [(16, 16), (16, 32), (32, 64)])
    assert parameters(ResNet56(10)) == 853_018 + added == 856_058


def test_a_resnet18_has_the_published_size():
    # torchvision's resnet18 with its 1,000 classes
    assert parameters(ResNet18(1000)) == 11_689_512


def test_a_resnet18_projects_where_its_shape_changes():
    weights = {name for name in ResNet18(1000).state_dict() if "downsample.0" in name}
    assert weights == {f"layer{stage}.0.downsample.0.weight" for stage in (2, 3, 4)}
    assert not any("downsample" in name for name in ResNet18(1000, shortcut="zero_padding").state_dict())
    added = sum(inputs * outputs + 2 * outputs for inputs, outputs in [(64, 128), (128, 256), (256, 512)])
    assert parameters(ResNet18(1000, shortcut="zero_padding")) == 11_689_512 - added


@pytest.mark.parametrize(
    ("inputs", "outputs", "stride", "size"), [(4, 8, 2, 8), (3, 8, 2, 7), (5, 5, 2, 6), (2, 4, 1, 3)]
)
def test_zero_padding_takes_every_second_pixel_and_adds_zeros_on_both_sides(inputs, outputs, stride, size):
    value = torch.randn(2, inputs, size, size)
    given = value.numpy()
    smaller = len(range(0, size, stride))
    expected = np.zeros((2, outputs, smaller, smaller), dtype=np.float32)
    for unit in range(inputs):
        for row in range(smaller):
            for column in range(smaller):
                place = (outputs - inputs) // 2 + unit
                expected[:, place, row, column] = given[:, unit, row * stride, column * stride]
    np.testing.assert_array_equal(ZeroPadding(inputs, outputs, stride)(value).numpy(), expected)


@torch.no_grad()
@pytest.mark.parametrize("network", [ResNet56(10, 0.5), ResNet18(10, 0.125)], ids=["resnet56", "resnet18"])
def test_a_projection_is_a_convolution_of_single_pixels_and_a_batch_norm(network):
    block = network.layer2[0].eval()
    nn.init.zeros_(block.bn2.weight)  # of the sum only the shortcut stays
    convolution, norm = block.downsample
    norm.running_mean.normal_()
    norm.running_var.uniform_(1, 2)
    value = torch.randn(2, 8, 6, 6)
    mixed = torch.einsum("oi,nihw->nohw", convolution.weight[:, :, 0, 0], value[:, :, ::2, ::2])
    mean, deviation = norm.running_mean.view(-1, 1, 1), (norm.running_var + 1e-5).sqrt().view(-1, 1, 1)
    torch.testing.assert_close(block(value), ((mixed - mean) / deviation).clamp_min(0), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_block_of_one_shape_adds_its_input_and_then_rectifies():
    block = BasicBlock(3, 3).eval()
    nn.init.zeros_(block.bn2.weight)
    nn.init.constant_(block.bn2.bias, -0.5)
    value = torch.randn(2, 3, 5, 5)
    torch.testing.assert_close(block(value), (value - 0.5).clamp_min(0))


def test_the_sizes_of_images_are_the_published_ones():
    # He et al. 2015, Table 1 (112, 56, 28, 14 and 7 pixels) and Section 4.2 (32, 16 and 8)
    for network, size, expected in [
        (ResNet18(1000, 0.25), 224, [112, 56, 28, 14, 7]),
        (ResNet56(10, 0.25), 32, [32, 32, 16, 8]),
    ]:
        sizes = []
        for layer in network.measured_layers:
            network.get_submodule(layer).register_forward_hook(
                lambda module, inputs, value, sizes=sizes: sizes.append(value.shape[-1])
            )
        network.to("meta")(torch.empty(1, 3, size, size, device="meta"))
        assert sizes == expected


@pytest.mark.parametrize(
    ("network", "blocks"),
    [
        (ResNet56(10, 0.25), 9),
        (ResNet18(10, 0.25), 2),
        (ResNet56(10, 0.25, blocks=1), 1),
        (ResNet18(10, 0.25, blocks=3), 3),
    ],
)
def test_every_stage_has_as_many_blocks(network, blocks):
    for layer in network.measured_layers[1:]:
        stage = network.get_submodule(layer)
        assert [type(block) for block in stage] == [BasicBlock] * blocks


def test_the_smallest_images_go_through():
    for network in (ResNet18(10, 0.25).eval(), ResNet56(10, 0.25).eval()):
        assert network(torch.randn(1, 3, 1, 1)).shape == (1, 10)


def test_a_projection_is_a_strided_convolution_and_learns_with_few_channels():
    """The shape at which PyTorch's own gradient ends the process on some CPUs: 8 channels of 56×56 pixels."""
    projection, reference = Projection(8, 16, 1, stride=2, bias=False), nn.Conv2d(8, 16, 1, stride=2, bias=False)
    reference.load_state_dict(projection.state_dict())
    images = torch.randn(4, 8, 56, 56, generator=torch.Generator().manual_seed(0))
    results = []
    for module, layout in ((projection, torch.channels_last), (reference, torch.contiguous_format)):
        inputs = images.clone(memory_format=layout).requires_grad_()
        outputs = module.to(memory_format=layout)(inputs)
        outputs.square().sum().backward()
        results.append((outputs, inputs.grad, module.weight.grad))
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
