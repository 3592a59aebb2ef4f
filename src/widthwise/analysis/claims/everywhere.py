"""What the paper states of every experiment with trained networks: the hypothesis, kept accuracy, precise samplings."""

from widthwise.analysis.claims.claim import Claim
from widthwise.analysis.claims.exact import samplings_agree
from widthwise.analysis.claims.trends import kept, supported
from widthwise.wording import listed

EXPERIMENTS = {
    "imagenet-width": ("ResNet-18s and Inception-v3s on ImageNet", "Figs. 1a and 4"),
    "cifar10-labels": ("AlexNets and ResNet-56s on true and on random labels", "Figs. 1b and 5"),
    "alexnet-initialization": ("AlexNets of any initialization", "Figs. 1c, 6 and B3"),
    "alexnet-regularization": ("AlexNets with any regularizer", "Fig. B10"),
    "cifar10-batch-size": ("AlexNets and ResNet-56s with any k", "Fig. B13"),
    "resnet18-batch-size": ("ResNet-18s with any k", "Fig. B12"),
    "mlp10-initialization": ("perceptrons on 10 dimensions", "Fig. B5"),
    "mlp10k-initialization": ("perceptrons on 10,000 dimensions", "Fig. B4"),
    "mlp10k-optimizer": ("perceptrons trained by any optimizer", "Fig. B11"),
}
"""Whose claims they are, and the figures that show them."""
WITHOUT_GROWTH = {"mlp10k-initialization": ("σ = 100", "σ = 10000")}
"""The paper's own exception from its hypothesis: a very large variance on data of many dimensions."""
WITH_ACCURACY = {"cifar10-labels": ("AlexNet, true labels", "ResNet-56, true labels")}
"""The series in which accuracy is not chance, where not all."""


def _claims(experiment: str, networks: str, figures: str) -> tuple[Claim, ...]:
    exception, accurate = WITHOUT_GROWTH.get(experiment, ()), WITH_ACCURACY.get(experiment, ())
    return (
        Claim(
            f"{experiment}-hypothesis",
            f"Removable or repeated units emerge with width in {networks}"
            f"{', but where σ is very large' if exception else ''}.",
            f"Sections 2.4 and 4, {figures}",
            experiment,
            supported(*exception),
        ),
        Claim(
            f"{experiment}-accuracy-kept",
            f"Accuracy does not fall with width in {listed(accurate) or networks}.",
            f"Sections 2 and 3, {figures}",
            experiment,
            kept(*accurate),
        ),
        Claim(
            f"{experiment}-samplings-agree",
            f"The measures of one network hardly differ between samplings in {networks}.",
            "Section 3",
            experiment,
            samplings_agree(),
        ),
    )


CLAIMS_EVERYWHERE = tuple(claim for experiment, said in EXPERIMENTS.items() for claim in _claims(experiment, *said))
