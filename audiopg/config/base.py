"""Parts of all sections: strict, frozen models, numbers with a range, and distributions of drawn parameters."""

import re
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, model_validator

NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


def _number(value: object) -> object:
    """Accept "1e-5": YAML 1.1 reads it as a string and ``dvc exp run -S`` writes it so."""
    return float(value) if isinstance(value, str) and NUMBER.fullmatch(value) else value


Float = Annotated[float, BeforeValidator(_number), Field(allow_inf_nan=False)]
Positive = Annotated[Float, Field(gt=0)]
NonNegative = Annotated[Float, Field(ge=0)]
Fraction = Annotated[Float, Field(ge=0, le=1)]
BelowOne = Annotated[Float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Index = Annotated[int, Field(ge=0)]


class Section(BaseModel):
    """Base of all sections: strict, frozen, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Range(Section):
    """Distribution of one drawn parameter: uniform in value, in its logarithm, or over whole numbers."""

    min: Float
    max: Float
    scale: Literal["linear", "log", "integer"] = "linear"

    @model_validator(mode="after")
    def _ordered(self) -> "Range":
        if self.min > self.max:
            msg = f"min {self.min} is above max {self.max}"
            raise ValueError(msg)
        if self.scale == "log" and self.min <= 0:
            msg = f"a log range starts above 0, not at {self.min}"
            raise ValueError(msg)
        if self.scale == "integer" and not (self.min.is_integer() and self.max.is_integer()):
            msg = f"an integer range has whole bounds, not {self.min} and {self.max}"
            raise ValueError(msg)
        return self


class Choice(Section):
    """Distribution of one drawn parameter: one of the listed values, all equally likely."""

    choices: Annotated[list[Float], Field(min_length=1)]


def _kind(value: object) -> str:
    """Choose the distribution by its keys, so that an error message is about the intended one."""
    return "<choice>" if isinstance(value, Choice) or (isinstance(value, dict) and "choices" in value) else "<range>"


Distribution = Annotated[
    Annotated[Range, Tag("<range>")] | Annotated[Choice, Tag("<choice>")],
    Discriminator(_kind),
]
