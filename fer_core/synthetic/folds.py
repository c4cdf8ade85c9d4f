"""Wrinkles and furrows: dug by action units, and a little by age."""

from collections.abc import Callable

from fer_core.synthetic.canvas import Canvas, smooth
from fer_core.synthetic.geometry import LANDMARK_GROUPS
from fer_core.synthetic.scene import Scene
from fer_core.synthetic.skin import FLAT

FAINTEST = 0.06
"""Strengths below this are not drawn: they would only be noise."""

Fold = Callable[..., None]
"""fold(strength, width, *points): a crease through points x, y, in model units, on the front of the head."""


def draw_folds(fine: Canvas, scene: Scene) -> None:
    """Draw all folds onto a grey canvas filled with `FLAT` and smooth them lightly."""

    def fold(strength: float, width: float, *points: tuple[float, float]) -> None:
        if strength > FAINTEST:
            fine.line(smooth(scene.on_skin(*points)), (FLAT * (1 - min(0.75 * strength, 0.6)),), width * scene.unit)

    _forehead(fold, scene)
    _nose_bridge(fold, scene)
    for side in (-1, 1):
        _nasolabial(fold, scene, side)
        _eye_corner(fold, scene, side)
    fine.blur(0.013 * scene.unit)


def _forehead(fold: Fold, scene: Scene) -> None:
    units, person = scene.units, scene.person
    wide = 0.25 * person.age + 0.6 * min(units["AU1"], units["AU2"])
    reach = 0.2 + 0.3 * min(1.0, units["AU2"])
    for level in (0.47, 0.55):
        y = level + 0.06 * units["AU1"]
        wave = [(share * reach, y + rise) for share, rise in ((-1, 0), (-0.5, 0.02), (0, -0.005), (0.5, 0.02), (1, 0))]
        fold(max(wide, 0.5 * units["AU1"]), 0.03, *wave)
    frown = 0.1 * person.age + 0.62 * units["AU4"] * (1 - 0.45 * min(1.0, units["AU1"]))
    for side in (-1, 1):
        fold(frown, 0.035, (side * 0.075, person.brow_y + 0.08), (side * 0.055, 0.06))


def _nose_bridge(fold: Fold, scene: Scene) -> None:
    wrinkle = scene.units["AU9"]
    for level in (0.06, -0.03, -0.12):
        fold(0.75 * wrinkle, 0.03, (-0.10, level - 0.03), (0, level + 0.02), (0.10, level - 0.03))
    for side in (-1, 1):
        fold(0.6 * wrinkle, 0.03, (side * 0.13, -0.05), (side * 0.2, -0.22))


def _nasolabial(fold: Fold, scene: Scene, side: int) -> None:
    """From the nose wing round the mouth corner, the dimple beside it and the crease below it."""
    units, person = scene.units, scene.person
    smile, dimple = (units["AU12L"], units["AU14L"]) if side < 0 else (units["AU12R"], units["AU14R"])
    left, right = scene.model[LANDMARK_GROUPS["mouth_corners"]]
    corner_x, corner_y, _ = (left if side < 0 else right) * (side, 1, 1)
    start = (1.15 * person.nose_width, -0.86 * person.nose_length)
    bend = (0.35 * start[0] + 0.65 * corner_x + 0.03, 0.5 * (start[1] + corner_y) + 0.05)
    x, y = corner_x + 0.09, corner_y
    groove = 0.25 * person.age + 0.42 * smile + 0.45 * units["AU10"] + 0.2 * units["AU9"] + 0.1 * dimple
    fold(groove, 0.04, *((side * a, b) for a, b in (start, bend, (x, y))))
    fold(0.7 * dimple, 0.04, *((side * a, b) for a, b in ((x - 0.03, y + 0.08), (x, y), (x - 0.03, y - 0.08))))
    fold(0.6 * units["AU15"], 0.04, (side * (corner_x + 0.01), y), (side * (corner_x + 0.06), y - 0.11))


def _eye_corner(fold: Fold, scene: Scene, side: int) -> None:
    """The bag under the eye and the crow's feet beside it."""
    units, person = scene.units, scene.person
    outer = person.eye_x + person.eye_width
    bag = 0.25 * person.age + 0.5 * max(units["AU6"], 0.6 * units["AU7"])
    fold(bag, 0.03, (side * (outer - 0.38), -0.12), (side * person.eye_x, -0.19), (side * outer, -0.12))
    feet = 0.2 * person.age + 0.5 * units["AU6"] * max(units["AU12L"], units["AU12R"])
    for slope in (0.05, -0.03, -0.10):
        fold(feet, 0.022, (side * (outer + 0.04), slope / 3), (side * (outer + 0.14), slope))
