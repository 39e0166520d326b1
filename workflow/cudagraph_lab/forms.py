"""The forms that data are checked against, and their mistakes in words."""

from pydantic import BaseModel, ConfigDict, ValidationError


class Form(BaseModel):
    """Base of all forms: unknown keys are refused, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ExactForm(Form):
    """Nor are values converted: a number in quotes is none."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)


def first_mistake(error: ValidationError, whole: str) -> str:
    """The first mistake: where it is, or `whole` where that is everything, and what is wrong."""
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"])) or whole
    return f"{where}: {first['msg']}"
