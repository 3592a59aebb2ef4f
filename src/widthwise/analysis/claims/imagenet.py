"""What the paper states of ResNet-18s and Inception-v3s on ImageNet."""

from widthwise.analysis.claims.between_series import alike, same_trend
from widthwise.analysis.claims.claim import Claim
from widthwise.analysis.claims.layers import (
    every_layer_grows,
    in_order,
    layer_grows,
    layers_flat,
    lead,
    no_order_of_depth,
)
from widthwise.analysis.claims.measures import ACCURACY, AUC, SIMILARITY
from widthwise.analysis.claims.trends import falls, grows

WIDTH, BATCH_SIZE, CONVERGENCE = "imagenet-width", "resnet18-batch-size", "resnet18-convergence"
RESNET18, INCEPTION, ONE_BLOCK = "ResNet-18", "Inception-v3", "Inception-v3-layer"
BLOCKS = ("Mixed_5d", "Mixed_6e", "Mixed_7c")
"""The last 35×35, 17×17 and 8×8 blocks."""
END = "at the end"

CLAIMS_ON_IMAGENET = (
    Claim(
        "resnet18-removability-grows",
        "Wider ResNet-18s have more removable units.",
        "Section 4, Fig. 4",
        WIDTH,
        grows(AUC, RESNET18),
    ),
    Claim(
        "inception-removability-grows",
        "Wider Inception-v3s, and those of which one block is wider, have more removable units.",
        "Section 4, Fig. 4",
        WIDTH,
        grows(AUC, INCEPTION, ONE_BLOCK),
    ),
    Claim(
        "resnet18-similarity-grows",
        "Wider ResNet-18s have more repeated units.",
        "Section 4, Fig. 4",
        WIDTH,
        grows(SIMILARITY, RESNET18),
    ),
    Claim(
        "inception-similarity-falls",
        "Wider Inception-v3s have fewer repeated units.",
        "Section 4, Fig. 4",
        WIDTH,
        falls(SIMILARITY, INCEPTION),
    ),
    Claim(
        "resnet18-last-stage-most-removable",
        "In ResNet-18 the last stage resists ablation most.",
        "Fig. B7a",
        WIDTH,
        lead(AUC, RESNET18, "layer4"),
    ),
    Claim(
        "resnet18-stem-most-similar",
        "In ResNet-18 the first convolution is the most repetitive layer.",
        "Fig. B7b",
        WIDTH,
        lead(SIMILARITY, RESNET18, "stem"),
    ),
    Claim(
        "resnet18-every-layer-grows",
        "Each layer of ResNet-18 grows more removable or more repetitive with width.",
        "Section 4, Appendix B.3, Fig. B7",
        WIDTH,
        every_layer_grows(RESNET18),
    ),
    Claim(
        "inception-removability-by-depth",
        "The last 35×35, 17×17 and 8×8 blocks of Inception-v3 are the more removable the deeper they lie.",
        "Fig. B8a",
        WIDTH,
        in_order(AUC, INCEPTION, *BLOCKS),
    ),
    Claim(
        "inception-17x17-most-similar",
        "Of the last 35×35, 17×17 and 8×8 blocks of Inception-v3 the 17×17 one is the most repetitive.",
        "Fig. B8b",
        WIDTH,
        lead(SIMILARITY, INCEPTION, BLOCKS[1], among=BLOCKS),
    ),
    Claim(
        "inception-every-layer-grows",
        "Each layer of Inception-v3 grows more removable or more repetitive with width.",
        "Section 4, Appendix B.3, Fig. B8",
        WIDTH,
        every_layer_grows(INCEPTION),
    ),
    Claim(
        "imagenet-no-order-of-depth",
        "How removable or repeated the units of a layer are has no consistent relationship with its depth.",
        "Section 4, Figs. B7 and B8",
        WIDTH,
        no_order_of_depth(RESNET18, INCEPTION),
    ),
    Claim(
        "one-block-removability-grows",
        "Where one block of Inception-v3 alone gets wider, that block gets more removable.",
        "Appendix B.3, Fig. B9",
        WIDTH,
        layer_grows(AUC, ONE_BLOCK, BLOCKS[0]),
    ),
    Claim(
        "other-blocks-removability-constant",
        "Where one block of Inception-v3 alone gets wider, the removability of the others stays.",
        "Appendix B.3, Fig. B9",
        WIDTH,
        layers_flat(AUC, ONE_BLOCK, *BLOCKS[1:]),
    ),
    Claim(
        "other-blocks-similarity-constant",
        "Where one block of Inception-v3 alone gets wider, the similarity of the others stays.",
        "Fig. B9",
        WIDTH,
        layers_flat(SIMILARITY, ONE_BLOCK, *BLOCKS[1:]),
    ),
    Claim(
        "resnet18-batch-size-accuracy",
        "Batch size and learning rate together hardly change the accuracy of ResNet-18s.",
        "Section 4, Appendix B.3, Fig. B12a",
        BATCH_SIZE,
        alike(ACCURACY, control="k = 1"),
    ),
    Claim(
        "resnet18-batch-size-removability",
        "Batch size and learning rate together hardly change the removability of ResNet-18s.",
        "Section 4, Fig. B12b",
        BATCH_SIZE,
        alike(AUC, control="k = 1"),
    ),
    Claim(
        "resnet18-batch-size-similarity",
        "Batch size and learning rate together hardly change the similarity of ResNet-18s.",
        "Section 4, Fig. B12c",
        BATCH_SIZE,
        alike(SIMILARITY, control="k = 1"),
    ),
    Claim(
        "resnet18-batch-size-trends",
        "Batch size and learning rate together do not change the trends of ResNet-18s.",
        "Appendix B.3, Fig. B12",
        BATCH_SIZE,
        same_trend(control="k = 1"),
    ),
    Claim(
        "convergence-removability",
        "Training on after convergence does not change the removability of ResNet-18s.",
        "Appendix A.3, Fig. B2b",
        CONVERGENCE,
        alike(AUC, control=END),
    ),
    Claim(
        "convergence-similarity",
        "Training on after convergence does not change the similarity of ResNet-18s.",
        "Appendix A.3, Fig. B2c",
        CONVERGENCE,
        alike(SIMILARITY, control=END),
    ),
    Claim(
        "convergence-trends",
        "Training on after convergence does not change how removability and similarity go with width.",
        "Section 3, Appendix A.3, Fig. B2",
        CONVERGENCE,
        same_trend(control=END),
    ),
)
