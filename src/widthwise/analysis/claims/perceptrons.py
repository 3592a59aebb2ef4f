"""What the paper states of perceptrons, of the constructions made from one, and of the number of parameters."""

from widthwise.analysis.claims.between_series import alike, greater, same_trend
from widthwise.analysis.claims.claim import Claim
from widthwise.analysis.claims.exact import as_theory, multiplies
from widthwise.analysis.claims.measures import ACCURACY, AUC, SIMILARITY
from widthwise.analysis.claims.trends import flat, grows

FEW_DIMENSIONS, MANY_DIMENSIONS, OPTIMIZER = "mlp10-initialization", "mlp10k-initialization", "mlp10k-optimizer"
SMALL, LARGE = ("σ = 0.0001", "σ = 0.01"), ("σ = 100", "σ = 10000")
MIDDLE = "σ = 0.01"
PARAMETERS, CONSTRUCTIONS = "parameters", "constructions"

BY_INITIALIZATION = (
    Claim(
        "mlp10-accuracy-flat",
        "On data of 10 dimensions accuracy is flat over widths at every σ.",
        "Fig. B5a",
        FEW_DIMENSIONS,
        flat(ACCURACY),
    ),
    Claim(
        "mlp10-removability-flat",
        "On data of 10 dimensions removability is flat over widths at every σ.",
        "Fig. B5b",
        FEW_DIMENSIONS,
        flat(AUC),
    ),
    Claim(
        "mlp10-removability-alike",
        "On data of 10 dimensions perceptrons are about as removable whatever σ is.",
        "Fig. B5b",
        FEW_DIMENSIONS,
        alike(AUC, control=MIDDLE),
    ),
    Claim(
        "mlp10-similarity-grows",
        "On data of 10 dimensions similarity grows with width at every σ.",
        "Section 4, Appendix B.2, Fig. B5c",
        FEW_DIMENSIONS,
        grows(SIMILARITY),
    ),
    Claim(
        "mlp10k-accuracy-flat",
        "On data of 10,000 dimensions accuracy is flat over widths at every σ.",
        "Fig. B4a",
        MANY_DIMENSIONS,
        flat(ACCURACY),
    ),
    Claim(
        "mlp10k-removability-flat",
        "On data of 10,000 dimensions removability is flat over widths at every σ.",
        "Fig. B4b",
        MANY_DIMENSIONS,
        flat(AUC),
    ),
    Claim(
        "mlp10k-removability-alike",
        "On data of 10,000 dimensions perceptrons are about as removable whatever σ is.",
        "Fig. B4b",
        MANY_DIMENSIONS,
        alike(AUC, control=MIDDLE),
    ),
    Claim(
        "mlp10k-small-sigma-similarity-grows",
        "On data of 10,000 dimensions similarity grows with width where σ is small.",
        "Section 4, Appendix B.2, Fig. B4c",
        MANY_DIMENSIONS,
        grows(SIMILARITY, *SMALL),
    ),
    Claim(
        "mlp10k-large-sigma-removability-flat",
        "On data of 10,000 dimensions removability is flat over widths where σ is very large.",
        "Section 4, Appendix B.2, Fig. B4b",
        MANY_DIMENSIONS,
        flat(AUC, *LARGE),
    ),
    Claim(
        "mlp10k-large-sigma-similarity-flat",
        "On data of 10,000 dimensions similarity is flat over widths where σ is very large.",
        "Section 4, Appendix B.2, Fig. B4c",
        MANY_DIMENSIONS,
        flat(SIMILARITY, *LARGE),
    ),
)

BY_OPTIMIZER = (
    Claim(
        "optimizers-similarity-grows",
        "Similarity grows with width under momentum, plain gradient descent and Adam.",
        "Section 4, Fig. B11c",
        OPTIMIZER,
        grows(SIMILARITY),
    ),
    Claim(
        "momentum-and-adam-more-similar",
        "Momentum and Adam lead to more repeated units than plain gradient descent.",
        "Fig. B11c",
        OPTIMIZER,
        greater(SIMILARITY, ("momentum", "sgd"), ("adam", "sgd")),
    ),
    Claim(
        "optimizers-removability-flat",
        "Removability is flat over widths under every optimizer.",
        "Fig. B11b",
        OPTIMIZER,
        flat(AUC),
    ),
    Claim(
        "optimizers-accuracy-flat",
        "Accuracy is flat over widths under every optimizer.",
        "Fig. B11a",
        OPTIMIZER,
        flat(ACCURACY),
    ),
    Claim(
        "optimizers-removability-alike",
        "Perceptrons are about as removable whatever the optimizer.",
        "Fig. B11b",
        OPTIMIZER,
        alike(AUC, ("sgd", "momentum"), ("adam", "momentum")),
    ),
    Claim(
        "optimizer-trends-alike",
        "Optimizers do not change how removability and similarity go with width.",
        "Section 4, Fig. B11",
        OPTIMIZER,
        same_trend(("sgd", "momentum"), ("adam", "momentum")),
    ),
)

COUNTED_AND_CONSTRUCTED = (
    Claim(
        "convolutional-parameters-grow",
        "The parameters of convolutional networks grow exponentially with doublings of width.",
        "Section 3, Appendix A.2, Figs. B1b and B1c",
        PARAMETERS,
        multiplies(3.0, "AlexNet", "ResNet-56", "ResNet-18", "Inception-v3"),
    ),
    Claim(
        "perceptron-parameters-grow",
        "The parameters of perceptrons grow exponentially with doublings of width.",
        "Section 3, Appendix A.2, Fig. B1a",
        PARAMETERS,
        multiplies(1.9, "MLP, 10 inputs", "MLP, 10,000 inputs"),
    ),
    Claim(
        "one-block-parameters-grow",
        "So do those of Inception-v3 of which one block alone gets wider.",
        "Section 3, Appendix A.2, Fig. B1c",
        PARAMETERS,
        multiplies(1.5, "Inception-v3-layer"),
    ),
    Claim(
        "construction-both",
        "Copied units of which half have no outgoing weights are removable and repeated.",
        "Section 2.3",
        CONSTRUCTIONS,
        as_theory("both"),
    ),
    Claim(
        "construction-dead",
        "Added units that are always silent are removable. (The paper counts them as repeated too, we as dead.)",
        "Section 2.3",
        CONSTRUCTIONS,
        as_theory("dead"),
    ),
    Claim(
        "construction-removable",
        "Added units that are uncorrelated and without outgoing weights are removable and not repeated.",
        "Section 2.3",
        CONSTRUCTIONS,
        as_theory("removable"),
    ),
    Claim(
        "construction-repeated",
        "Copied units whose outgoing weights differ by a large constant are repeated and not removable.",
        "Section 2.3",
        CONSTRUCTIONS,
        as_theory("repeated"),
    ),
)

CLAIMS_ON_PERCEPTRONS = (*BY_INITIALIZATION, *BY_OPTIMIZER, *COUNTED_AND_CONSTRUCTED)
