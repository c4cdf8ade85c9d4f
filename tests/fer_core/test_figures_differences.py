import numpy as np
import pytest
from test_figures import decoded, shows

from fer_core import figures

BLUE, VERMILION, GREY = (0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00), (0x66, 0x70, 0x85)
ENDS = np.array([[0.02, -0.01, 0.05], [-0.3, -0.4, -0.2], [0.0, -0.2, 0.2]])


def test_each_outcome_has_its_colour():
    picture = decoded(figures.differences_chart(["all", "a", "b"], ENDS, ["passed", "failed", "untold"], 0.05))
    assert all(shows(picture, colour) for colour in (BLUE, VERMILION))
    passed = decoded(figures.differences_chart(["all", "a", "b"], ENDS, ["passed"] * 3, 0.05))
    assert not shows(passed, VERMILION)


def test_the_margin_is_a_line():
    with_margin = figures.differences_chart(["all"], ENDS[:1], ["passed"], 0.05)
    assert with_margin != figures.differences_chart(["all"], ENDS[:1], ["passed"], None)
    assert with_margin == figures.differences_chart(["all"], ENDS[:1], ["passed"], 0.05)


def test_many_rows_make_a_taller_picture():
    names = [f"class {number}" for number in range(40)]
    tall = decoded(figures.differences_chart(names, np.tile(ENDS[:1], (40, 1)), ["passed"] * 40, 0.05))
    assert tall.shape[0] > 3 * decoded(figures.differences_chart(names[:2], ENDS[:2], ["passed"] * 2, 0.05)).shape[0]


@pytest.mark.parametrize(
    ("names", "ends", "outcomes"), [([], ENDS[:0], []), (["a"], ENDS, ["passed"]), (["a"], ENDS[:1], [])]
)
def test_what_does_not_match_is_refused(names, ends, outcomes):
    with pytest.raises(ValueError, match="differences"):
        figures.differences_chart(names, ends, outcomes, None)
