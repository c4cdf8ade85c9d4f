"""Eyes, brows, nose and mouth, drawn through the projected landmarks."""

import numpy as np

from fer_core.synthetic.canvas import Canvas, disc, smooth
from fer_core.synthetic.people import Colour
from fer_core.synthetic.scene import Scene

MOUTH_INSIDE = (52, 14, 16)
TEETH = (238, 232, 218)
TONGUE = (168, 72, 74)


def darker(colour: Colour, share: float) -> Colour:
    """The colour with `share` of its brightness."""
    red, green, blue = colour
    return (red * share, green * share, blue * share)


def draw_eyes(canvas: Canvas, scene: Scene, gaze: tuple[float, float]) -> None:
    """Whites, irises, lids and lashes; `gaze` moves the irises by model units (x right, y down)."""
    for name in ("left_eye", "right_eye"):
        eye = scene.group(name)
        upper, lower = smooth(eye[:5]), smooth(eye[[4, 5, 6, 7, 0]])
        with canvas.clipped(np.concatenate([upper, lower])) as inside:
            _draw_eyeball(inside, scene, eye, gaze)
        _draw_lids(canvas, scene, eye, upper, lower)


def _draw_eyeball(inside: Canvas, scene: Scene, eye: np.ndarray, gaze: tuple[float, float]) -> None:
    """A white with its upper part in the lid's shadow, and an iris that narrows as the eye turns away."""
    unit, person = scene.unit, scene.person
    inside.fill(scene.outline, (240, 238, 234))
    inside.line(scene.moved(smooth(eye[:5]), 0, 0.02), (176, 170, 168), 0.04 * unit)
    foreshortening = float(np.linalg.norm(eye[0] - eye[4])) / (2 * unit * person.eye_width)
    middle = scene.moved(eye[[0, 4]].mean(0), gaze[0], gaze[1] - 0.015)
    tall = 0.115 * unit
    wide = tall * max(0.35, foreshortening)
    inside.fill(disc(middle, wide, tall), darker(person.iris, 0.55))
    inside.fill(disc(middle, 0.8 * wide, 0.8 * tall), person.iris)
    inside.fill(disc(middle, 0.45 * wide, 0.45 * tall), (12, 10, 10))
    inside.fill(disc(middle - 0.035 * unit, 0.025 * unit, 0.025 * unit), (250, 250, 250))


def _draw_lids(canvas: Canvas, scene: Scene, eye: np.ndarray, upper: np.ndarray, lower: np.ndarray) -> None:
    skin, unit = scene.person.skin, scene.unit
    canvas.line(upper, darker(skin, 0.2), (0.042 - 0.014 * scene.person.masculine) * unit)
    canvas.line(lower, darker(skin, 0.5), 0.018 * unit)
    above = np.array([[0, 0.03], [0, 0.055], [0, 0.06], [0, 0.055], [0, 0.03]])
    canvas.line(smooth(eye[:5] - above * unit), darker(skin, 0.62), 0.018 * unit)


def draw_brows(canvas: Canvas, scene: Scene) -> None:
    """Both brows in the hair's colour, or a dark shade of the skin where the hair is lighter than that."""
    hair, shade = scene.person.hair, darker(scene.person.skin, 0.5)
    for name in ("left_brow", "right_brow"):
        brow = scene.group(name)
        canvas.fill(np.concatenate([smooth(brow[:5]), smooth(brow[5:])]), min(hair, shade, key=sum))


def draw_nose(canvas: Canvas, scene: Scene) -> None:
    """Nostrils, wings, and the ridge on the side turned away."""
    nose, skin, unit, yaw = scene.group("nose"), scene.person.skin, scene.unit, scene.camera.yaw
    for first in (0, 5):
        canvas.line(smooth(nose[first + 2 : first + 5]), darker(skin, 0.58), 0.026 * unit)
        nostril = scene.moved(0.6 * nose[first + 4] + 0.4 * nose[11], 0, -0.02)
        canvas.fill(disc(nostril, 0.042 * unit, 0.022 * unit), darker(skin, 0.28))
    if abs(yaw) > 12:
        far = 5 if yaw > 0 else 0
        canvas.line(smooth(nose[[far, far + 1, 10]]), darker(skin, 0.72), 0.024 * unit)


def draw_mouth(canvas: Canvas, scene: Scene) -> None:
    """Lips, and where they part the dark inside with teeth and tongue."""
    outer, inner, lips = scene.group("outer_mouth"), scene.group("inner_mouth"), scene.person.lips
    top, low = smooth(inner[:5]), smooth(inner[[0, 7, 6, 5, 4]])
    canvas.fill(np.concatenate([smooth(outer[:7]), top[::-1]]), darker(lips, 0.86))
    canvas.fill(np.concatenate([low[::-1], smooth(outer[[0, 11, 10, 9, 8, 7, 6]])]), lips)
    gap = float(np.linalg.norm(low - top, axis=1).max())
    if gap > 0.03 * scene.unit:
        with canvas.clipped(np.concatenate([top, low[::-1]])) as inside:
            _draw_inside(inside, scene, top, low, gap)
    canvas.line(top, darker(lips, 0.36), 0.026 * scene.unit)


def _draw_inside(inside: Canvas, scene: Scene, top: np.ndarray, low: np.ndarray, gap: float) -> None:
    """`top` and `low` are the lips' inner edges from left to right, the same number of points each."""
    unit, jaw = scene.unit, min(1.0, scene.units["AU26"])
    inside.fill(np.concatenate([top, low[::-1]]), MOUTH_INSIDE)
    if gap > 0.2 * unit:
        inside.fill(disc(scene.moved(low[len(low) // 2], 0, 0.04), 0.17 * unit, 0.12 * unit), TONGUE)
    shown = min((0.12 - 0.08 * jaw) * unit / gap, 0.85 - 0.6 * jaw)
    inside.fill(np.concatenate([top, (top + shown * (low - top))[::-1]]), TEETH)
    bared = min(1.0, scene.units["AU20"]) * max(0.0, 1 - 1.5 * jaw)
    if bared > 0.15:
        edge = low + min(0.4, bared) * (top - low)
        inside.fill(np.concatenate([low, edge[::-1]]), darker(TEETH, 0.92))
        inside.line((top + low)[3:-3] / 2, darker(TEETH, 0.45), 0.02 * unit)
