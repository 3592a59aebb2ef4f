"""Where a trial's data comes from."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, PositiveInt

from widthwise.config import Config
from widthwise.networks.description import Shape
from widthwise.networks.user_function import UserFunction

Seed = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class DataSource(Config):
    """The base of every source. Each says its `shape` and `classes` besides, None where only the data know them."""

    title: ClassVar[str]
    """Its name in tables and captions."""
    on_disk: ClassVar[bool] = False
    """Whether it is in files that `--data` names."""
    augmentable: ClassVar[bool] = False
    """Whether it is images, which can be cropped and flipped at random."""
    resident: ClassVar[bool] = True
    """Whether it is kept in memory on the device; else it is read while it is gone through."""

    name: str
    train_examples: PositiveInt | None = None
    """Drawn with `seed` from the training examples; None: all of them."""
    test_examples: PositiveInt | None = None
    """Drawn with `seed` from the test examples; None: all of them."""
    random_label_share: Share = 0.0
    """The share of training and of validation labels that uniform draws replace; 1 in the paper's Section 4.3."""
    seed: Seed = 0
    """Of random labels and of which examples are drawn."""

    @property
    def called(self) -> str:
        """The data in messages and headings."""
        return self.name

    @property
    def training_examples(self) -> int | None:
        """How many examples are trained on; None where only the data know."""
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
    synthetic: ClassVar[bool] = False

    name: Literal["teacher"] = "teacher"  # pyright: ignore[reportIncompatibleVariableOverride]
    dimensions: PositiveInt = 10
    train_examples: PositiveInt = 1000  # pyright: ignore[reportIncompatibleVariableOverride]
    validation_examples: PositiveInt = 1000
    test_examples: PositiveInt = 1000  # pyright: ignore[reportIncompatibleVariableOverride]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one input."""
        return (self.dimensions,)

    @property
    def classes(self) -> int:
        """How many labels there are."""
        return 2

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
    """Whether an image that cannot be decoded is refused: the trial fails, or goes on without it and counts it."""


class PublishedImages(ImageFiles):
    """Images of the paper, whose number is known."""

    OFFICIAL: ClassVar[tuple[int, int]]
    """Images to train and to test in the official files."""
    SYNTHETIC: ClassVar[tuple[int, int]]
    """Images to train and to test that the program generates."""

    validation_examples: PositiveInt
    synthetic: bool = False
    """Small images that the program generates, in place of files: to see that all works, not to learn from."""

    @property
    def available(self) -> tuple[int, int]:
        """Images to train and to test that there are, whether used or not."""
        return self.SYNTHETIC if self.synthetic else self.OFFICIAL

    @property
    def training_examples(self) -> int:
        """How many examples are trained on."""
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

    name: Literal["cifar10"] = "cifar10"  # pyright: ignore[reportIncompatibleVariableOverride]
    validation_examples: PositiveInt = 5000
    """The last training images."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one input."""
        return (3, 32, 32)

    @property
    def classes(self) -> int:
        """How many labels there are."""
        return 10


class ImageNetData(PublishedImages):
    """ILSVRC 2012: 1.28 million photographs of a thousand classes to train, 50,000 to test."""

    title: ClassVar[str] = "ImageNet"
    resident: ClassVar[bool] = False
    OFFICIAL = (1_281_167, 50_000)
    SYNTHETIC = (60, 30)

    name: Literal["imagenet"] = "imagenet"  # pyright: ignore[reportIncompatibleVariableOverride]
    image_size: PositiveInt = 224
    """Height and width of what is cut out of a photograph."""
    classes: PositiveInt = 1000
    """How many labels there are."""
    validation_examples: PositiveInt = 10_000
    """Training images that are held out, drawn with seed 0; the official validation images are the test set."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one input."""
        return (3, self.image_size, self.image_size)


class ImageFolderData(ImageFiles):
    """Images of one's own, of any size and any classes, in folders of classes or in Parquet files.

    Splits are those of the files; what these lack is drawn with `seed`.
    """

    title: ClassVar[str] = "images"
    synthetic: ClassVar[bool] = False

    name: Literal["images"] = "images"  # pyright: ignore[reportIncompatibleVariableOverride]
    image_size: PositiveInt = 32
    """Height and width in pixels: the shorter side is resized to it and the middle cut out."""
    classes: PositiveInt | None = None
    """How many labels there are; None: as many as the files have."""
    validation_examples: PositiveInt | None = None
    """None: all that the files have for it, or a tenth of the training images."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one input."""
        return (3, self.image_size, self.image_size)


class OwnData(UserFunction, DataSource):
    """Data that a function of a user's own file gives.

    It is called `FUNCTION(**arguments)`, and with `seed=` of the data where it has such a parameter. It gives
    `(inputs, labels)`, a `torch.utils.data.Dataset` of `(input, label)`, or a dictionary with one of these as `train`
    and, if there are, as `validation` and `test`. Inputs are a tensor or an array with the examples first, or a
    dictionary of such, the network's arguments by name; labels are whole numbers from 0.
    """

    title: ClassVar[str] = "own data"
    synthetic: ClassVar[bool] = False

    name: Literal["own"] = "own"  # pyright: ignore[reportIncompatibleVariableOverride]
    classes: PositiveInt | None = None
    """How many labels there are; None: one more than the largest."""
    validation_examples: PositiveInt | None = None
    """None: all that the function gives for it, or a tenth of the examples."""
    test_examples: PositiveInt | None = None
    """None: all that the function gives for it, or a tenth of the examples."""

    __hash__ = UserFunction.__hash__

    @property
    def called(self) -> str:
        """The function that gives it."""
        return self.factory

    @property
    def shape(self) -> Shape | None:
        """None: only the function knows it."""
        return None


SOURCES: tuple[type[DataSource], ...] = (TeacherData, CIFAR10Data, ImageNetData, ImageFolderData, OwnData)
KNOWN_AS = {source.model_fields["name"].default: source.title for source in SOURCES if source.on_disk}
"""Titles of the sets of images, by their names."""


def _named(content: Any) -> Any:
    """A user's own where a factory is named, else teacher data."""
    return {"name": "own" if "factory" in content else "teacher", **content} if isinstance(content, dict) else content


ImageSource = CIFAR10Data | ImageNetData | ImageFolderData
Source = Annotated[
    TeacherData | CIFAR10Data | ImageNetData | ImageFolderData | OwnData,
    Field(discriminator="name"),
    BeforeValidator(_named),
]
"""The data that a network learns."""
