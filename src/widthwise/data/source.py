"""The sources of a trial's data."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, PositiveInt, model_validator

from widthwise.config import Config, Since
from widthwise.networks.description import Shape
from widthwise.networks.user_function import UserFunction

Seed = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class DataSource(Config):
    """The base of every source. Each also has `shape` and `classes`; None: known only from the data."""

    title: ClassVar[str]
    """Its name in tables and captions."""
    on_disk: ClassVar[bool] = False
    """Whether it is in files that the user names."""
    augmentable: ClassVar[bool] = False
    """Whether it is images, which can be cropped and flipped at random."""

    name: str
    train_examples: PositiveInt | None = None
    """Drawn with `seed` from the training examples; None: all of them."""
    test_examples: PositiveInt | None = None
    """Drawn with `seed` from the test examples; None: all of them."""
    random_label_share: Share = 0.0
    """The share of training and of validation labels that uniform draws replace; 1 in the paper's Section 4.3."""
    random_label_splits: Annotated[tuple[Literal["train", "validation"], ...], Since(4)] = ("train", "validation")
    """The splits whose labels are replaced; test labels always stay."""
    seed: Seed = 0
    """The seed of random labels and of the choice of examples."""

    @model_validator(mode="after")
    def _random_labels_are_somewhere(self):
        if not self.random_label_splits:
            raise ValueError("random_label_splits names no split; leave it out, or set random_label_share to 0")
        return self

    @property
    def called(self) -> str:
        """The data in messages and headings."""
        return self.name

    @property
    def training_examples(self) -> int | None:
        """Number of training examples; None: known only from the data."""
        return self.train_examples

    @property
    def testing_examples(self) -> int | None:
        """How many examples are tested on; None where only the data know."""
        return self.test_examples

    @property
    def files_name(self) -> str:
        """The name under which a store notes which files trials were trained on."""
        return self.name

    def in_words(self, found: str) -> str:
        """The data in captions; `found` is their description in the record of a trial that was trained on them."""
        counts = {"training": self.train_examples, "test": self.test_examples}
        sizes = " and ".join(f"{count:,} {name}" for name, count in counts.items() if count is not None)
        return f"{found} ({sizes} {'images' if self.augmentable else 'examples'})" if sizes else found

    def in_short(self) -> str:
        """The data in the table of experiments."""
        return "random labels" if self.random_label_share == 1 else self.title


class TeacherData(DataSource):
    """Uncorrelated data labelled by a random teacher network (Section 3, "Datasets")."""

    title: ClassVar[str] = "teacher data"
    classes: ClassVar[int] = 2

    name: Literal["teacher"] = "teacher"  # pyright: ignore[reportIncompatibleVariableOverride]
    dimensions: PositiveInt = 10
    train_examples: PositiveInt = 1000  # pyright: ignore[reportIncompatibleVariableOverride]
    validation_examples: PositiveInt = 1000
    test_examples: PositiveInt = 1000  # pyright: ignore[reportIncompatibleVariableOverride]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one input."""
        return (self.dimensions,)

    def in_words(self, found: str) -> str:
        """The data in captions."""
        sizes = f"{self.train_examples:,} training and {self.test_examples:,} test examples"
        return f"teacher data of {self.in_short()}, {sizes}"

    def in_short(self) -> str:
        """The data in the table of experiments."""
        return f"{self.dimensions:,} dimensions"


class ImageFiles(DataSource):
    """The base of every set of images. The files are named with `Machine.data`."""

    on_disk: ClassVar[bool] = True
    augmentable: ClassVar[bool] = True

    damaged: Literal["refuse", "skip"] = "refuse"
    """Treatment of images that cannot be decoded: `refuse`: the trial fails; `skip`: it leaves them out and counts
    them."""


class PublishedImages(ImageFiles):
    """Images of the paper, whose number is known."""

    OFFICIAL: ClassVar[tuple[int, int]]
    """Images to train and to test in the official files."""
    SYNTHETIC: ClassVar[tuple[int, int]]
    """Images to train and to test that the program generates."""

    validation_examples: PositiveInt
    synthetic: bool = False
    """Small images that the program generates, in place of files: to check that everything works."""

    @property
    def available(self) -> tuple[int, int]:
        """Numbers of training and test images that exist, whether used or not."""
        return self.SYNTHETIC if self.synthetic else self.OFFICIAL

    @property
    def training_examples(self) -> int:
        """Number of training examples."""
        return self.train_examples or self.available[0] - self.validation_examples

    @property
    def testing_examples(self) -> int:
        """How many examples are tested on."""
        return self.test_examples or self.available[1]

    @property
    def files_name(self) -> str:
        """Synthetic images are a data set of their own."""
        return f"{self.name}-synthetic" if self.synthetic else self.name


class CIFAR10Data(PublishedImages):
    """32×32 colour images of ten classes: 45,000 to train, 5,000 to validate, 10,000 to test (Appendix A.1)."""

    title: ClassVar[str] = "CIFAR-10"
    OFFICIAL = (50_000, 10_000)
    SYNTHETIC = (300, 100)
    shape: ClassVar[tuple[int, ...]] = (3, 32, 32)
    classes: ClassVar[int] = 10

    name: Literal["cifar10"] = "cifar10"  # pyright: ignore[reportIncompatibleVariableOverride]
    validation_examples: PositiveInt = 5000
    """The last training images."""
    crop: Annotated[PositiveInt | None, Since(4)] = None
    """Use only the middle `crop` × `crop` pixels of each image, or with `training.augmentation` random ones, resized to
    32×32; None: use the whole image."""

    @model_validator(mode="after")
    def _images_hold_the_crop(self):
        _check_crop(self.crop, self.shape[-1])
        return self


class ImageNetData(PublishedImages):
    """ILSVRC 2012: 1.28 million photographs of a thousand classes to train, 50,000 to test."""

    title: ClassVar[str] = "ImageNet"
    OFFICIAL = (1_281_167, 50_000)
    SYNTHETIC = (60, 30)

    name: Literal["imagenet"] = "imagenet"  # pyright: ignore[reportIncompatibleVariableOverride]
    image_size: PositiveInt = 224
    """Height and width of what is cut out of a photograph."""
    classes: PositiveInt = 1000
    """The number of labels."""
    validation_examples: PositiveInt = 10_000
    """Training images that are held out, drawn with seed 0; the official validation images are the test set."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one input."""
        return (3, self.image_size, self.image_size)


class ImageFolderData(ImageFiles):
    """A user's own images, of any size and any classes, in folders of classes or in Parquet files.

    Splits are those of the files; missing ones are drawn with `seed`.
    """

    title: ClassVar[str] = "images"

    name: Literal["images"] = "images"  # pyright: ignore[reportIncompatibleVariableOverride]
    image_size: PositiveInt = 32
    """Height and width in pixels: the shorter side is resized to it and the middle cut out."""
    classes: PositiveInt | None = None
    """The number of labels; None: as many as the files have."""
    validation_examples: PositiveInt | None = None
    """None: all that the files have for it, or a tenth of the training images."""
    crop: Annotated[PositiveInt | None, Since(4)] = None
    """Use only the middle `crop` × `crop` pixels of each image at `image_size`, or with `training.augmentation` random
    ones, resized to `image_size`; None: use the whole image."""

    @model_validator(mode="after")
    def _images_hold_the_crop(self):
        _check_crop(self.crop, self.image_size)
        return self

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one input."""
        return (3, self.image_size, self.image_size)


def _check_crop(crop: int | None, size: int) -> None:
    if crop is not None and crop > size:
        raise ValueError(f"crop is {crop} and images are {size}×{size} pixels; it must be at most {size}")


class OwnData(UserFunction, DataSource):
    """Data that a function in a user's own file returns.

    It is called `FUNCTION(**arguments)` and, if it has such a parameter, with `seed=` of the data. It returns
    `(inputs, labels)`, a `torch.utils.data.Dataset` of `(input, label)`, or a dictionary with one of these as `train`
    and, if there are such splits, as `validation` and `test`. Inputs are a tensor or an array with the examples first,
    or a dictionary of these, the network's arguments by name; labels are whole numbers from 0.
    """

    title: ClassVar[str] = "own data"
    shape: ClassVar[Shape | None] = None

    name: Literal["own"] = "own"  # pyright: ignore[reportIncompatibleVariableOverride]
    classes: PositiveInt | None = None
    """The number of labels; None: one more than the largest."""
    validation_examples: PositiveInt | None = None
    """None: all that the function gives for it, or a tenth of the examples."""
    test_examples: PositiveInt | None = None
    """None: all that the function gives for it, or a tenth of the examples."""

    __hash__ = UserFunction.__hash__

    @property
    def called(self) -> str:
        """The function that returns it."""
        return self.factory


SOURCES: tuple[type[DataSource], ...] = (TeacherData, CIFAR10Data, ImageNetData, ImageFolderData, OwnData)
KNOWN_AS = {source.model_fields["name"].default: source.title for source in SOURCES if source.on_disk}
"""Titles of the sets of images, by their names."""


def _named(content: Any) -> Any:
    """A user's own data if a factory is named, otherwise teacher data."""
    return {"name": "own" if "factory" in content else "teacher", **content} if isinstance(content, dict) else content


Source = Annotated[
    TeacherData | CIFAR10Data | ImageNetData | ImageFolderData | OwnData,
    Field(discriminator="name"),
    BeforeValidator(_named),
]
"""The data that a network learns."""
