"""The option of who is tested on where a data set has no split of its own."""

from pydantic import Field

from fer_core.folds import Part
from fer_core.options.base import Frozen


class HoldOutOptions(Frozen):
    """How many people are held out for testing."""

    test_people: int | None = Field(
        None,
        ge=1,
        description="exactly so many people are held out for testing, those whose names' hashes are lowest: for papers "
        "that print a number; unset: about a fifth, whom nobody who joins the data set later moves",
    )

    @property
    def hold_out(self) -> Part:
        """The official split, or the people held out for good."""
        return Part(test_people=self.test_people)
