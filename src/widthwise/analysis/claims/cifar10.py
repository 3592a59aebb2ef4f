"""What the paper states of AlexNets and ResNet-56s on CIFAR-10."""

from widthwise.analysis.claims.between_series import alike, greater, same_trend
from widthwise.analysis.claims.claim import Claim
from widthwise.analysis.claims.exact import curves_fall, fitted
from widthwise.analysis.claims.layers import every_layer_grows, layer_grows, lead, no_order_of_depth
from widthwise.analysis.claims.measures import ACCURACY, AUC, SIMILARITY
from widthwise.analysis.claims.trends import either_grows, flat, grows, kept, more_than_doubles

INITIALIZATION, REGULARIZATION = "alexnet-initialization", "alexnet-regularization"
LABELS, BATCH_SIZE = "cifar10-labels", "cifar10-batch-size"
GLOROT, HE, LECUN = "Glorot normal", "He normal", "LeCun normal"
UNIFORM = (("Glorot uniform", GLOROT), ("He uniform", HE), ("LeCun uniform", LECUN))
REGULARIZERS = tuple((name, "none") for name in ("augmentation", "dropout", "weight decay", "all three"))
RESNET56, RANDOM_RESNET56, RANDOM_ALEXNET = (
    "ResNet-56, true labels",
    "ResNet-56, random labels",
    "AlexNet, random labels",
)

BY_INITIALIZATION = (
    Claim(
        "curves-fall",
        "The more units are dropped, the more predicted labels change, at every width.",
        "Section 2.1, Fig. 2",
        INITIALIZATION,
        curves_fall(GLOROT, HE),
    ),
    Claim(
        "glorot-removability-grows",
        "With Glorot's initialization, wider AlexNets have more removable units.",
        "Sections 2.1 and 4, Figs. 2a and 6a",
        INITIALIZATION,
        grows(AUC, GLOROT),
    ),
    Claim(
        "lecun-removability-grows",
        "With LeCun's initialization, wider AlexNets have more removable units.",
        "Section 4, Fig. 6a",
        INITIALIZATION,
        grows(AUC, LECUN),
    ),
    Claim(
        "he-removability-flat",
        "With He's initialization, the removability of AlexNets is fairly flat over widths.",
        "Sections 2.1 and 4, Figs. 2b and 6a",
        INITIALIZATION,
        flat(AUC, HE),
    ),
    Claim(
        "he-similarity-grows",
        "With He's initialization, wider AlexNets have more repeated units.",
        "Section 4, Fig. 6b",
        INITIALIZATION,
        grows(SIMILARITY, HE),
    ),
    Claim(
        "lecun-similarity-grows",
        "With LeCun's initialization, wider AlexNets have more repeated units.",
        "Section 4, Fig. 6b",
        INITIALIZATION,
        grows(SIMILARITY, LECUN),
    ),
    Claim(
        "he-more-similar-than-glorot",
        "Wide AlexNets have more repeated units with He's initialization than with Glorot's.",
        "Section 4, Fig. 6b",
        INITIALIZATION,
        greater(SIMILARITY, (HE, GLOROT), widest=2),
    ),
    Claim(
        "he-last-convolution-similarity-grows",
        "With He's initialization, units of the last convolution have more similar units in wider AlexNets.",
        "Section 2.2, Fig. 3b",
        INITIALIZATION,
        layer_grows(SIMILARITY, HE, "conv2"),
    ),
    Claim(
        "lecun-removability-between",
        "In removability, wide AlexNets of LeCun's initialization lie between those of Glorot's and of He's.",
        "Section 4, Fig. 6a",
        INITIALIZATION,
        greater(AUC, (GLOROT, LECUN), (LECUN, HE), widest=2),
    ),
    Claim(
        "lecun-similarity-between",
        "In similarity, wide AlexNets of LeCun's initialization lie between those of Glorot's and of He's.",
        "Section 4, Fig. 6b",
        INITIALIZATION,
        greater(SIMILARITY, (HE, LECUN), (LECUN, GLOROT), widest=2),
    ),
    Claim(
        "similarity-more-than-doubles",
        "With LeCun's and He's initializations, some doublings of width more than double the number of similar units.",
        "Section 4, Fig. 6b",
        INITIALIZATION,
        more_than_doubles(LECUN, HE),
    ),
    Claim(
        "uniform-accuracy-alike",
        "AlexNets of uniform initial weights are as accurate as those of normal ones.",
        "Section 4, Fig. B3a",
        INITIALIZATION,
        alike(ACCURACY, *UNIFORM),
    ),
    Claim(
        "uniform-removability-alike",
        "AlexNets of uniform initial weights are as removable as those of normal ones.",
        "Section 4, Fig. B3b",
        INITIALIZATION,
        alike(AUC, *UNIFORM),
    ),
    Claim(
        "uniform-similarity-alike",
        "AlexNets of uniform initial weights are as repetitive as those of normal ones.",
        "Section 4, Fig. B3c",
        INITIALIZATION,
        alike(SIMILARITY, *UNIFORM),
    ),
    Claim(
        "uniform-trends-alike",
        "Uniform initial weights lead to the same trends as normal ones.",
        "Section 4, Fig. B3",
        INITIALIZATION,
        same_trend(*UNIFORM),
    ),
)

BY_REGULARIZER = (
    Claim(
        "regularizer-trends-alike",
        "Regularizers do not change how removability and similarity go with width.",
        "Section 4, Fig. B10",
        REGULARIZATION,
        same_trend(*REGULARIZERS),
    ),
    Claim(
        "regularizers-raise-removability",
        "Each regularizer makes AlexNets more removable.",
        "Appendix B.3, Fig. B10b",
        REGULARIZATION,
        greater(AUC, *REGULARIZERS),
    ),
    Claim(
        "regularizers-raise-similarity",
        "Each regularizer makes AlexNets more repetitive.",
        "Appendix B.3, Fig. B10c",
        REGULARIZATION,
        greater(SIMILARITY, *REGULARIZERS),
    ),
    Claim(
        "dropout-raises-removability",
        "Dropout makes AlexNets more removable.",
        "Fig. B10b",
        REGULARIZATION,
        greater(AUC, ("dropout", "none")),
    ),
    Claim(
        "dropout-raises-similarity",
        "Dropout makes AlexNets more repetitive.",
        "Fig. B10c",
        REGULARIZATION,
        greater(SIMILARITY, ("dropout", "none")),
    ),
    Claim(
        "weight-decay-raises-removability-slightly",
        "Weight decay makes AlexNets more removable, and by less than dropout does.",
        "Fig. B10b",
        REGULARIZATION,
        greater(AUC, ("weight decay", "none"), ("dropout", "weight decay")),
    ),
    Claim(
        "weight-decay-raises-similarity-slightly",
        "Weight decay makes AlexNets more repetitive, and by less than dropout does.",
        "Fig. B10c",
        REGULARIZATION,
        greater(SIMILARITY, ("weight decay", "none"), ("dropout", "weight decay")),
    ),
    Claim(
        "regularizers-improve-accuracy",
        "Each regularizer improves test accuracy.",
        "Fig. B10a",
        REGULARIZATION,
        greater(ACCURACY, *REGULARIZERS),
    ),
    Claim(
        "weight-decay-improves-accuracy-least",
        "Weight decay improves test accuracy only slightly: less than any other regularizer.",
        "Fig. B10a",
        REGULARIZATION,
        greater(ACCURACY, *((name, "weight decay") for name in ("augmentation", "dropout", "all three"))),
    ),
)

BY_LABELS = (
    Claim(
        "random-labels-fitted",
        "On random labels all networks of 1× and wider fit their training set.",
        "Section 4",
        LABELS,
        fitted(RANDOM_ALEXNET, RANDOM_RESNET56),
    ),
    Claim(
        "random-labels-accuracy-kept",
        "On random labels, too, test accuracy does not fall with width.",
        "Section 2, Fig. 1b",
        LABELS,
        kept(RANDOM_ALEXNET, RANDOM_RESNET56),
    ),
    Claim(
        "random-labels-alexnet-grows",
        "AlexNets that are trained on random labels grow removable or repeated units with width.",
        "Section 4, Fig. 5",
        LABELS,
        either_grows(RANDOM_ALEXNET),
    ),
    Claim(
        "random-labels-resnet56-grows",
        "ResNet-56s that are trained on random labels grow removable or repeated units with width.",
        "Section 4, Fig. 5",
        LABELS,
        either_grows(RANDOM_RESNET56),
    ),
    Claim(
        "random-labels-flatten-resnet56-removability",
        "On random labels the removability of ResNet-56s does not change with width.",
        "Section 4, Fig. 5a",
        LABELS,
        flat(AUC, RANDOM_RESNET56),
    ),
    Claim(
        "random-labels-raise-resnet56-similarity",
        "On random labels ResNet-56s have more repeated units than on true ones.",
        "Section 4, Fig. 5b",
        LABELS,
        greater(SIMILARITY, (RANDOM_RESNET56, RESNET56)),
    ),
    Claim(
        "resnet56-layers-most-removable",
        "In ResNet-56 the first convolution and the last stage are the most removable.",
        "Fig. B6a",
        LABELS,
        lead(AUC, RESNET56, "stem", "layer3"),
    ),
    Claim(
        "resnet56-layers-most-similar",
        "In ResNet-56 the first convolution and the last stage are the most repetitive.",
        "Fig. B6b",
        LABELS,
        lead(SIMILARITY, RESNET56, "stem", "layer3"),
    ),
    Claim(
        "resnet56-no-order-of-depth",
        "In ResNet-56, how removable or repeated the units of a layer are does not go with its depth.",
        "Section 4, Fig. B6",
        LABELS,
        no_order_of_depth(RESNET56),
    ),
    Claim(
        "resnet56-every-layer-grows",
        "Each layer of ResNet-56 grows more removable or more repetitive with width.",
        "Section 4, Appendix B.3, Fig. B6",
        LABELS,
        every_layer_grows(RESNET56),
    ),
)


def _of_batch_size(network: str) -> tuple[Claim, ...]:
    low, control, high = (f"{network}, k = {k}" for k in ("0.25", "1", "4"))
    pairs, id_of = ((low, control), (high, control)), network.lower().replace("-", "")
    return (
        Claim(
            f"{id_of}-batch-size-accuracy",
            f"Batch size and learning rate together hardly change the accuracy of {network}s.",
            "Section 4, Appendix B.3, Fig. B13",
            BATCH_SIZE,
            alike(ACCURACY, *pairs),
        ),
        Claim(
            f"{id_of}-batch-size-removability",
            f"Batch size and learning rate together hardly change the removability of {network}s.",
            "Section 4, Appendix B.3, Fig. B13",
            BATCH_SIZE,
            alike(AUC, *pairs),
        ),
        Claim(
            f"{id_of}-batch-size-similarity",
            f"Batch size and learning rate together hardly change the similarity of {network}s.",
            "Section 4, Appendix B.3, Fig. B13",
            BATCH_SIZE,
            alike(SIMILARITY, *pairs),
        ),
        Claim(
            f"{id_of}-batch-size-trends",
            f"Batch size and learning rate together do not change the trends of {network}s.",
            "Appendix B.3, Fig. B13",
            BATCH_SIZE,
            same_trend(*pairs),
        ),
        Claim(
            f"{id_of}-large-batches-raise-removability",
            f"With a larger k {network}s tend to be slightly more removable.",
            "Fig. B13",
            BATCH_SIZE,
            greater(AUC, (high, low)),
        ),
        Claim(
            f"{id_of}-large-batches-raise-similarity",
            f"With a larger k {network}s tend to be slightly more repetitive.",
            "Fig. B13",
            BATCH_SIZE,
            greater(SIMILARITY, (high, low)),
        ),
    )


CLAIMS_ON_CIFAR10 = (
    *BY_INITIALIZATION,
    *BY_REGULARIZER,
    *BY_LABELS,
    *_of_batch_size("AlexNet"),
    *_of_batch_size("ResNet-56"),
)
