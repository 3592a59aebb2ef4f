"""Where a trial's data comes from."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from widthwise.section import Section


class TeacherData(Section):
    """Uncorrelated data labelled by a random teacher network (Section 3, "Datasets")."""

    name: Literal["teacher"] = "teacher"
    dimensions: PositiveInt = 10
    train_examples: PositiveInt = 1000
    validation_examples: PositiveInt = 1000
    test_examples: PositiveInt = 1000
    seed: Annotated[int, Field(ge=0)] = 0
