"""Where a trial's data comes from."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, PositiveInt

from widthwise.config import Config

Seed = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class TeacherData(Config):
    """Uncorrelated data labelled by a random teacher network (Section 3, "Datasets")."""

    LATER = frozenset({"random_label_share"})
    title: ClassVar[str] = "teacher data"
    on_disk: ClassVar[bool] = False
    synthetic: ClassVar[bool] = False

    name: Literal["teacher"] = "teacher"
    dimensions: PositiveInt = 10
    train_examples: PositiveInt = 1000
    validation_examples: PositiveInt = 1000
    test_examples: PositiveInt = 1000
    random_label_share: Share = 0.0
    """The share of training and of validation labels that uniform draws replace."""
    seed: Seed = 0

    @property
    def training_examples(self) -> int:
        """How many examples are trained on."""
        return self.train_examples

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one input."""
        return (self.dimensions,)

    @property
    def classes(self) -> int:
        """How many labels there are."""
        return 2


class Images(Config):
    """What the sets of images have in common. The files are named with `--data`."""

    LATER = frozenset({"made"})
    on_disk: ClassVar[bool] = True
    OFFICIAL: ClassVar[tuple[int, int]]
    """Images to train and to test in the official files."""
    MADE: ClassVar[tuple[int, int]]
    """Images to train and to test that the program makes."""

    train_examples: PositiveInt | None = None
    """Drawn with `seed` from the images that the validation set leaves; none: all of them."""
    test_examples: PositiveInt | None = None
    """Drawn with `seed` from the test images; none: all of them."""
    random_label_share: Share = 0.0
    """The share of training and of validation labels that uniform draws replace; 1 in the paper's Section 4.3."""
    damaged: Literal["refuse", "skip"] = "refuse"
    """What becomes of an image that cannot be decoded: the trial fails, or goes on without it and counts it."""
    made: bool = False
    """Small images that the program makes, in place of files: to see that all works, not to learn from."""
    seed: Seed = 0
    """Of random labels and of which examples are drawn."""

    @property
    def available(self) -> tuple[int, int]:
        """Images to train and to test that there are, whether used or not."""
        return self.MADE if self.made else self.OFFICIAL

    @property
    def training_examples(self) -> int:
        """How many examples are trained on."""
        return self.train_examples or self.available[0] - self.validation_examples  # pyright: ignore

    @property
    def synthetic(self) -> bool:
        """Whether the program generates them."""
        return self.made


class CIFAR10Data(Images):
    """32×32 colour images of ten classes: 45,000 to train, 5,000 to validate, 10,000 to test (Appendix A.1)."""

    title: ClassVar[str] = "CIFAR-10"
    OFFICIAL = (50_000, 10_000)
    MADE = (300, 100)

    name: Literal["cifar10"] = "cifar10"
    validation_examples: PositiveInt = 5000
    """The last so many training images."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one input."""
        return (3, 32, 32)

    @property
    def classes(self) -> int:
        """How many labels there are."""
        return 10


class ImageNetData(Images):
    """ILSVRC 2012: 1.28 million photographs of a thousand classes to train, 50,000 to test."""

    title: ClassVar[str] = "ImageNet"
    OFFICIAL = (1_281_167, 50_000)
    MADE = (60, 30)

    name: Literal["imagenet"] = "imagenet"
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


def _teacher_by_default(content: Any) -> Any:
    return {"name": "teacher", **content} if isinstance(content, dict) else content


PublishedImages = Images
ImageSource = CIFAR10Data | ImageNetData
KNOWN_AS = {"cifar10": "CIFAR-10", "imagenet": "ImageNet"}
"""What the sets of images are called, by their names."""

Source = Annotated[
    TeacherData | CIFAR10Data | ImageNetData, Field(discriminator="name"), BeforeValidator(_teacher_by_default)
]
"""What a network learns."""
