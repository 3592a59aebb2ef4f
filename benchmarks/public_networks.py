"""The networks of torchvision and timm on which `profile` is tried, with random weights that carry a signal.

PyPI's torchvision is built for PyTorch with CUDA. It loads beside a CPU-only PyTorch of the same release, without its
own operators, if the two that it describes while it is imported are declared first.
"""

import importlib.util
from collections.abc import Callable
from functools import cache, partial

import torch
from torch import Tensor, nn

Shape = tuple[int, ...]

TORCHVISION: dict[str, Shape] = {
    **dict.fromkeys(
        (
            *("resnet18", "resnext50_32x4d", "wide_resnet50_2", "densenet121", "googlenet", "mobilenet_v2"),
            *("mobilenet_v3_small", "shufflenet_v2_x0_5", "squeezenet1_1", "mnasnet0_5", "efficientnet_b0"),
            *("efficientnet_v2_s", "regnet_x_400mf", "regnet_y_400mf", "convnext_tiny", "vit_b_16", "swin_t"),
            *("swin_v2_t", "fcn_resnet50", "deeplabv3_resnet50", "lraspp_mobilenet_v3_large"),
        ),
        (3, 32, 32),
    ),
    "alexnet": (3, 64, 64),
    "inception_v3": (3, 75, 75),
    **dict.fromkeys(("r3d_18", "mc3_18", "r2plus1d_18", "swin3d_t"), (3, 4, 32, 32)),
}
"""torchvision's networks, and the shape of an image or video that each of them takes."""

TIMM: dict[str, Shape] = {
    **dict.fromkeys(
        (
            *("resnet10t", "resnetv2_18", "seresnet18", "skresnet18", "ecaresnet26t", "resnest14d", "res2net50_26w_4s"),
            *("efficientnet_lite0", "mobilenetv4_conv_small", "convnextv2_atto", "convmixer_768_32", "convformer_s18"),
            *("poolformer_s12", "caformer_s18", "ghostnet_050", "ghostnetv3_050", "nfnet_l0", "hrnet_w18_small"),
            *("dla34", "rexnet_100", "tresnet_m", "edgenext_xx_small", "fastvit_t8", "tiny_vit_5m_224", "davit_tiny"),
            *("focalnet_tiny_srf", "inception_next_atto", "mambaout_femto", "starnet_s050", "pvt_v2_b0", "shvit_s1"),
            *("hgnetv2_b0", "efficientvit_b0", "fasternet_t0", "vovnet39a", "dpn48b", "xception41", "cs3darknet_s"),
            *("rdnet_tiny", "iformer_t", "nextvit_small", "lcnet_035", "selecsls42"),
        ),
        (3, 64, 64),
    ),
    **dict.fromkeys(("efficientformer_l1", "haloregnetz_b"), (3, 224, 224)),
    "crossvit_tiny_240": (3, 240, 240),
}
"""timm's networks that take images of any size, or of one size only."""

TIMM_SIZED: dict[str, Shape] = dict.fromkeys(
    (
        *("vit_tiny_patch16_224", "deit_tiny_distilled_patch16_224", "deit3_small_patch16_224"),
        *("beit_base_patch16_224", "eva02_tiny_patch14_224", "cait_xxs24_224", "xcit_nano_12_p16_224", "convit_tiny"),
        *("mixer_s32_224", "gmlp_ti16_224", "gmixer_12_224", "resmlp_12_224", "coatnet_pico_rw_224", "coat_tiny"),
        *("maxvit_pico_rw_256", "levit_128s", "mobilevit_xxs", "mobilevitv2_050", "efficientformerv2_s0", "pit_ti_224"),
        *("visformer_tiny", "repvgg_a0", "repvit_m0_9", "volo_d1_224", "tnt_s_patch16_224", "twins_svt_small"),
        *("sequencer2d_s", "nest_tiny", "mvitv2_tiny", "gcvit_xxtiny", "swiftformer_xs", "hiera_tiny_224"),
        *("efficientvit_m0", "vit_relpos_small_patch16_224", "vit_small_resnet26d_224", "botnet26t_256"),
        *("lambda_resnet26t", "samvit_base_patch16_224", "vit_small_patch14_dinov2", "swinv2_tiny_window8_256"),
    ),
    (3, 64, 64),
)
"""timm's networks that are built for one size of image, here a small one."""


@cache
def public_networks() -> dict[str, tuple[Callable[[], nn.Module], Shape]]:
    """The networks whose package is installed, by name: a function that builds each, and the shape of an input."""
    found: dict[str, tuple[Callable[[], nn.Module], Shape]] = {}
    if importlib.util.find_spec("torchvision"):
        if not torch.version.cuda:
            declare_operators()
        found |= {
            f"torchvision/{name}": (partial(_of_torchvision, name, each), each) for name, each in TORCHVISION.items()
        }
        if importlib.util.find_spec("timm"):
            create = importlib.import_module("timm").create_model
            found |= {f"timm/{name}": (partial(create, name), each) for name, each in TIMM.items()}
            found |= {
                f"timm/{name}": (partial(create, name, img_size=each[-1]), each) for name, each in TIMM_SIZED.items()
            }
    return found


def declare_operators() -> None:
    """Declare the two operators that torchvision describes while it is imported, although it does not bring them."""
    for name in ("nms", "qnms"):
        torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


def _of_torchvision(name: str, shape: Shape) -> nn.Module:
    options: dict[str, object] = {"weights": None}
    if name.startswith(("fcn", "deeplabv3", "lraspp")):
        options["weights_backbone"] = None
    elif name in ("googlenet", "inception_v3"):
        options["init_weights"] = False  # which takes a minute, and is replaced
    elif name == "vit_b_16":
        options["image_size"] = shape[-1]
    return importlib.import_module("torchvision.models").get_model(name, **options)


@torch.no_grad()
def carry_signal(model: nn.Module, example: Tensor) -> None:
    """Change a network's first weights so that all of its parts act on its output.

    Many networks start with scales of 0 or 1e-6, which switch blocks off: whatever is dropped in them then changes no
    label. So each parameter whose entries are all equal gets random entries. The statistics of batch norms become
    those of `example`, so that activity neither vanishes nor explodes with depth.
    """
    for name, parameter in model.named_parameters():
        constant = bool((parameter == parameter.flatten()[0]).all())
        if not constant or (parameter.numel() == 1 and parameter.item()):
            continue
        if parameter.dim() == 1 and not name.endswith("bias"):
            parameter.uniform_(0.5, 1.5)
        else:
            parameter.normal_(std=0.1)
    model.eval()
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.train()
        norm.momentum = 1.0  # the statistics of this run alone
    model(example)
    model.eval()
