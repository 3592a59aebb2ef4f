"""Teacher data (Section 3): normal inputs and the balanced labels of a random network, or random ones in part."""

import pytest
import torch

from widthwise.data.source import TeacherData
from widthwise.data.teacher import draw_teacher, teacher_data


@pytest.mark.parametrize("dimensions", [10, 10_000])
def test_inputs_are_standard_normal_and_each_label_covers_40_to_60_percent(dimensions: int):
    data = teacher_data(TeacherData(dimensions=dimensions, seed=1))
    for split in (data.train, data.validation, data.test):
        assert split.inputs.shape == (1000, dimensions)
        assert split.inputs.mean().item() == pytest.approx(0, abs=0.04)
        assert split.inputs.std().item() == pytest.approx(1, abs=0.04)
        assert split.labels.unique().tolist() == [0, 1]
        # balance is demanded of fresh random inputs; a sample of 1,000 strays by up to 5 points more
        assert 0.35 < split.labels.double().mean().item() < 0.65


def test_labels_are_the_teachers():
    data = teacher_data(TeacherData(seed=4))
    teacher = draw_teacher(10, 4)
    assert teacher.linear.out_features == 32
    assert not teacher.linear.bias.any()
    assert torch.equal(teacher(data.test.inputs).argmax(1), data.test.labels)


def test_seeds_give_independent_data_and_splits_share_nothing():
    first, again, other = (teacher_data(TeacherData(seed=seed)) for seed in (0, 0, 1))
    assert torch.equal(first.train.inputs, again.train.inputs)
    assert not torch.equal(first.train.inputs, other.train.inputs)
    rows = torch.cat([first.train.inputs, first.validation.inputs, first.test.inputs])
    assert len(rows.unique(dim=0)) == 3000


def test_the_sizes_of_other_splits_do_not_change_a_split():
    few = teacher_data(TeacherData(seed=2, train_examples=50, validation_examples=30, test_examples=20))
    many = teacher_data(TeacherData(seed=2, train_examples=50))
    assert (len(few.train), len(few.validation), len(few.test)) == (50, 30, 20)
    assert torch.equal(few.train.inputs, many.train.inputs)
    assert torch.equal(few.train.labels, many.train.labels)


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_a_share_of_the_labels_is_uniform_draws(share: float):
    source = TeacherData(seed=3, train_examples=10_000, validation_examples=4000)
    true, noisy = teacher_data(source), teacher_data(source.model_copy(update={"random_label_share": share}))
    for name, examples in (("train", 10_000), ("validation", 4000)):
        one, other = getattr(true, name), getattr(noisy, name)
        assert torch.equal(one.inputs, other.inputs)
        changed = (one.labels != other.labels).sum().item()
        # of two labels a draw is the true one half of the time; 4.5 standard errors either way
        assert changed == pytest.approx(share * examples / 2, abs=4.5 * (share * examples) ** 0.5 / 2)
        assert set(other.labels.tolist()) == {0, 1}
    assert torch.equal(true.test.inputs, noisy.test.inputs)
    assert torch.equal(true.test.labels, noisy.test.labels)


def test_labels_that_are_all_random_know_nothing_of_the_teacher_nor_of_each_other():
    data = teacher_data(TeacherData(seed=3, random_label_share=1.0, train_examples=4000, validation_examples=4000))
    again = teacher_data(TeacherData(seed=3, random_label_share=1.0, train_examples=4000))
    other = teacher_data(TeacherData(seed=4, random_label_share=1.0, train_examples=4000))
    assert torch.equal(data.train.labels, again.train.labels)
    assert data.train.labels.double().mean().item() == pytest.approx(0.5, abs=4.5 * 0.5 / 4000**0.5)
    for labels in (other.train.labels, data.validation.labels):
        assert (data.train.labels == labels).double().mean().item() == pytest.approx(0.5, abs=4.5 * 0.5 / 4000**0.5)
