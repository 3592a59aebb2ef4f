"""The labels in every kind of output, against a plain argmax; and outputs of which it is known that they have none."""

from collections import namedtuple
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tests.tracing.plain import plain_activity
from torch import Tensor, nn

from widthwise.errors import RequestError
from widthwise.measurement.profile import profile
from widthwise.measurement.settings import Measurement
from widthwise.tracing.inputs import Inputs
from widthwise.tracing.network import Network
from widthwise.tracing.untouched import untouched

EXACT = Measurement(levels=4, samplings=2, activations=None)
IMAGES = torch.randn(10, 3, 6, 6, generator=torch.Generator().manual_seed(0))
SEQUENCES = torch.randn(10, 3, 7, generator=torch.Generator().manual_seed(1))


class Segmenting(nn.Module):
    """A label for each pixel, from a convolution; `form` turns its output into what is returned."""

    def __init__(self, form: Callable[[Tensor], object] = lambda scores: scores, classes: int = 4):
        super().__init__()
        torch.manual_seed(0)
        self.hidden, self.relu, self.head = nn.Conv2d(3, 5, 3, padding=1), nn.ReLU(), nn.Conv2d(5, classes, 1)
        self.form = form

    def forward(self, value: Tensor) -> object:
        return self.form(self.head(self.relu(self.hidden(value))))


class OverTime(Segmenting):
    def __init__(self, form: Callable[[Tensor], object] = lambda scores: scores):
        super().__init__(form)
        self.hidden, self.head = nn.Conv1d(3, 5, 3, padding=1), nn.Conv1d(5, 4, 1)


Auxiliary = namedtuple("Auxiliary", ["logits", "aux_logits"])
FIRST, LAST = (lambda scores: scores.argmax(1)), (lambda scores: scores.argmax(-1))


def upsampled(scores: Tensor) -> Tensor:
    return F.interpolate(scores, scale_factor=2, mode="bilinear")


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (lambda scores: scores, FIRST),
        (lambda scores: scores.softmax(1), FIRST),
        (upsampled, lambda scores: upsampled(scores).argmax(1)),
        (lambda scores: scores.permute(0, 2, 3, 1), FIRST),
        (lambda scores: scores.flatten(2), lambda scores: scores.argmax(1).flatten(1)),
        (lambda scores: scores.flatten(2).transpose(1, 2), lambda scores: scores.argmax(1).flatten(1)),
        (lambda scores: scores[:, 2:], lambda scores: scores[:, 2:].argmax(1)),
        (lambda scores: {"out": scores, "aux": scores * 0}, FIRST),
        (lambda scores: {"logits": scores}, FIRST),
        (lambda scores: (scores, scores * 0), FIRST),
        (lambda scores: [scores], FIRST),
        (lambda scores: Auxiliary(scores, None), FIRST),
    ],
)
def test_a_label_for_each_pixel_is_the_argmax_over_the_convolutions_channels(form: Callable, expected: Callable):
    model = Segmenting(form)
    plain = Segmenting()
    with torch.no_grad():
        labels = expected(plain(IMAGES))
        dropped = expected(plain.head(torch.zeros(10, 5, 6, 6)))
    assert _labels(model, IMAGES).tolist() == labels.tolist()
    measured = profile(model, [IMAGES], settings=EXACT)
    assert measured.about["labels"] == labels.numel()
    last = measured.ablation["unchanged"][measured.ablation["share_dropped"] == 1]
    assert last.tolist() == pytest.approx([(labels == dropped).double().mean().item()] * 2)


def _labels(model: nn.Module, values: Tensor) -> Tensor:
    with untouched(model):
        return Network(model, Inputs((values,), {})).run(Inputs((values,), {})).labels


def test_the_same_over_time():
    model = OverTime()
    with torch.no_grad():
        assert _labels(model, SEQUENCES).tolist() == model(SEQUENCES).argmax(1).tolist()
    model = OverTime(lambda scores: scores.transpose(1, 2))
    with torch.no_grad():
        assert _labels(model, SEQUENCES).tolist() == model(SEQUENCES).argmax(-1).tolist()


@pytest.mark.parametrize(
    ("model", "values", "message"),
    [
        (
            Segmenting(classes=3),
            IMAGES,
            r"of the shape of its input, \(10, 3, 6, 6\), as an autoencoder.*movedim\(1, -1",
        ),
        (
            Segmenting(classes=1),
            IMAGES,
            r"a single output for each position.*predict=lambda output: output\[:, 0\] > 0",
        ),
        (
            Segmenting(lambda scores: torch.einsum("nchw,cd->ndhw", scores, 100 * torch.eye(4) + 1)),
            IMAGES,
            "cannot be known in wh",
        ),
        (
            Segmenting(lambda scores: F.pixel_shuffle(scores, 2)),
            IMAGES,
            "cannot be known in which dimension its classes",
        ),
        (Segmenting(lambda scores: scores.mean((1, 2, 3))), IMAGES, r"a tensor of shape \(10,\), from which no label"),
        (Segmenting(lambda scores: scores.to(torch.complex64)), IMAGES, "complex numbers, from which no label can be"),
        (Segmenting(lambda scores: {"boxes": scores}), IMAGES, "a dictionary with boxes and no logits or out"),
    ],
)
def test_what_is_no_label_or_not_known_to_be_one_is_refused_with_a_remedy(
    model: nn.Module, values: Tensor, message: str
):
    with pytest.raises(RequestError, match=message):
        profile(model, [values])


def test_predict_says_what_cannot_be_known():
    model = Segmenting(lambda scores: torch.einsum("nchw,cd->ndhw", scores, 100 * torch.eye(4) + 1))
    measured = profile(model, [IMAGES], settings=EXACT, predict=lambda output: output.movedim(1, -1))
    assert measured.ablation.equals(profile(Segmenting(), [IMAGES], settings=EXACT).ablation)


class Tokens(nn.Module):
    """A label for each position of a sequence, or one for each example, by `attention_mask`'s mean."""

    def __init__(self, pooled: bool = False):
        super().__init__()
        torch.manual_seed(0)
        self.table, self.hidden, self.relu, self.head = nn.Embedding(20, 6), nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 5)
        self.pooled = pooled

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        value = self.relu(self.hidden(self.table(input_ids)))
        if self.pooled:
            value = (value * attention_mask[..., None]).sum(1) / attention_mask.sum(1, keepdim=True)
        return self.head(value)


def _padded() -> dict[str, Tensor]:
    mask = torch.arange(7)[None] < torch.tensor([7, 3, 5, 2, 7, 1, 4, 6])[:, None]
    tokens = torch.randint(0, 20, (8, 7), generator=torch.Generator().manual_seed(2))
    return {"input_ids": tokens.masked_fill(~mask, 0), "attention_mask": mask.long()}


@pytest.mark.parametrize("pooled", [False, True])
@pytest.mark.parametrize("batch_size", [None, 3])
def test_padding_is_left_out_of_labels_statistics_and_correlations(pooled: bool, batch_size: int | None):
    model, batch = Tokens(pooled), _padded()
    kept = batch["attention_mask"].bool().flatten()
    activity = plain_activity(model, [tuple(batch.values())], "relu")[kept]
    measured = profile(model, [batch], settings=EXACT, batch_size=batch_size)
    with torch.no_grad():
        labels = model(**batch).argmax(-1).flatten()
        labels = labels if pooled else labels[kept]
    units = measured.units
    assert measured.about["labels"] == len(labels)
    assert measured.most_frequent_label_share == labels.bincount().max().item() / len(labels)
    assert units["mean"].tolist() == pytest.approx(activity.mean(0).tolist(), rel=1e-5, abs=1e-7)
    rows = batch["attention_mask"].bool()
    active = (plain_activity(model, [tuple(batch.values())], "relu").view(8, 7, 8) != 0) & rows[..., None]
    assert units["active_share"].tolist() == active.any(1).double().mean(0).tolist()
    r = torch.corrcoef(activity.T).abs().fill_diagonal_(0)
    live = (activity.amax(0) > activity.amin(0)).tolist()
    assert units["constant"].tolist() == [not each for each in live]
    assert units["similar_units"][live].tolist() == (r.nan_to_num() >= 0.5).sum(1)[live].tolist()
    dropped = model.head.bias.argmax()
    last = measured.ablation["unchanged"][measured.ablation["share_dropped"] == 1]
    assert last.tolist() == pytest.approx([(labels == dropped).double().mean().item()] * 2)


def test_padding_does_not_change_a_profile():
    model, batch = Tokens(), _padded()
    mask = batch["attention_mask"].bool()
    alone = [
        {name: value[index : index + 1, : mask[index].sum()] for name, value in batch.items()} for index in range(8)
    ]
    channels = Measurement(levels=4, samplings=2, activations=None, granularity="channel")
    padded, plain = (profile(model, each, settings=channels) for each in ([batch], alone))
    assert padded.ablation["unchanged"].tolist() == pytest.approx(plain.ablation["unchanged"].tolist())
    assert padded.units["r"].abs().tolist() == pytest.approx(plain.units["r"].abs().tolist(), abs=1e-5)


def test_sampled_activations_are_none_of_padding():
    model, batch = Tokens(), _padded()
    measured = profile(model, [batch], settings=Measurement(levels=4, samplings=3, activations=20, thresholds=(0.5,)))
    activity = plain_activity(model, [tuple(batch.values())], "relu").numpy()
    kept = batch["attention_mask"].flatten().numpy()
    for sampling, seeds in enumerate(np.random.SeedSequence([0, 2, 0]).spawn(3)):
        drawn = np.random.default_rng(seeds).choice(56, 20, replace=False)
        chosen = activity[drawn[kept[drawn] == 1]]
        varying = chosen[:, np.ptp(chosen, axis=0) > 0]
        r = np.abs(np.corrcoef(varying.T)) - np.eye(varying.shape[1])
        found = measured.similarity["similarity"][measured.similarity["sampling"] == sampling]
        assert found.tolist() == pytest.approx([(r >= 0.5).sum() / 8])


def test_predict_may_take_the_inputs_too():
    model, batch = Tokens(), _padded()
    seen = []

    def predict(output: Tensor, inputs: dict[str, Tensor]) -> Tensor:
        seen.append(set(inputs))
        return output[torch.arange(len(output)), inputs["attention_mask"].sum(1) - 1]

    measured = profile(model, [batch], settings=EXACT, predict=predict)
    assert measured.about["labels"] == 8
    assert seen[0] == {"input_ids", "attention_mask"}
    measured = profile(
        Segmenting(),
        [IMAGES],
        settings=EXACT,
        predict=lambda output, inputs: (inputs[:, :1] + 0 * output[:, :1] > 0).long(),
    )
    assert (measured.ablation["unchanged"] == 1).all()
    measured = profile(Segmenting(), [IMAGES], settings=EXACT, predict=lambda output, dim=1: output.argmax(dim))
    assert measured.about["labels"] == 360
