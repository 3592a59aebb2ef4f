"""The benchmark on a sentence encoder, with a tiny one of random weights."""

import torch
from benchmarks.compress_sentences import SentenceEncoder, activity, nearest, outgoing_squares, without
from benchmarks.sentences import sentences
from torch import Tensor
from transformers import BertConfig, BertModel


def encoder() -> SentenceEncoder:
    torch.manual_seed(0)
    config = BertConfig(vocab_size=50, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2)
    return SentenceEncoder(BertModel(config)).eval()


def batches() -> list[dict[str, Tensor]]:
    """Two groups of five sentences, some of them padded."""
    tokens = torch.randint(50, (2, 5, 7), generator=torch.Generator().manual_seed(1))
    mask = (torch.arange(7) < torch.tensor([7, 4, 6, 7, 5])[:, None]).long()
    return [{"input_ids": some, "attention_mask": mask} for some in tokens]


def test_sentences_are_all_different_and_the_same_each_time():
    given = sentences(500, seed=0)
    assert len(set(given)) == 500
    assert given == sentences(500, seed=0)
    assert given != sentences(500, seed=1)
    assert not [sentence for sentence in given if " a e" in sentence or "{" in sentence or sentence[0].islower()]


@torch.no_grad()
def test_the_nearest_sentence_is_that_with_the_largest_cosine_and_padding_does_not_matter():
    model, groups = encoder(), batches()
    for group, found in zip(groups, nearest(model, groups), strict=True):
        alone = [
            model.encoder(input_ids=tokens[None, : mask.sum()]).last_hidden_state[0].mean(0)
            for tokens, mask in zip(group["input_ids"], group["attention_mask"], strict=True)
        ]
        for index, one in enumerate(alone):
            cosines = {at: float(torch.cosine_similarity(one, each, 0)) for at, each in enumerate(alone) if at != index}
            assert int(found[index]) == max(cosines, key=cosines.__getitem__)


@torch.no_grad()
def test_neurons_that_give_the_same_everywhere_go_without_a_trace():
    model, groups = encoder(), batches()
    for layer in model.feed_forward():
        layer.before.weight[::2] = 0
        layer.before.bias[::2] = torch.linspace(1, 2, 12)
    means, variances = activity(model, groups)
    smaller = without(model, variances, means)
    for group in groups:
        torch.testing.assert_close(smaller(**group), model(**group))
    assert [int((squares > 0).sum()) for squares in outgoing_squares(smaller)] == [12, 12]
    assert not torch.allclose(without(model, variances)(**groups[0]), model(**groups[0]))
