"""Hair on head and chin, ears, glasses: what tells people apart and hides part of the expression."""

from dataclasses import dataclass

import numpy as np

from fer_core.synthetic.canvas import Canvas, disc, smooth
from fer_core.synthetic.features import darker
from fer_core.synthetic.geometry import ROUNDNESS, on_head, section
from fer_core.synthetic.people import Person
from fer_core.synthetic.scene import Scene


@dataclass(frozen=True)
class HairStyle:
    """Heights of the hairline at `ANGLES` around the head, thickness over the skull, and the hair behind."""

    line: tuple[float, ...]
    volume: float
    length: float | None = None
    parted: float = 0.0
    curl: float = 0.0
    covers_ears: bool = False


EARRING = (226, 190, 90)

BEARD_COVER = {"stubble": 0.3, "beard": 0.88}
"""Share of the skin's colour that the hair replaces."""

ANGLES = (0, 30, 50, 64, 78, 90, 112, 180)
"""Degrees from the middle of the forehead to the nape."""

STYLES = {
    "short": HairStyle((0.60, 0.58, 0.46, 0.12, 0.02, 0.15, -0.3, -0.5), 0.07),
    "side_part": HairStyle((0.58, 0.56, 0.42, 0.10, -0.02, 0.15, -0.3, -0.5), 0.11, parted=0.13),
    "fringe": HairStyle((0.42, 0.44, 0.42, 0.02, -0.15, 0.1, -0.3, -0.6), 0.10),
    "long": HairStyle((0.62, 0.55, 0.36, 0.05, -0.45, -0.62, -0.62, -0.62), 0.11, -1.6, 0.05, covers_ears=True),
    "bob": HairStyle((0.44, 0.46, 0.38, 0.05, -0.4, -0.6, -0.6, -0.6), 0.13, -0.85, covers_ears=True),
    "curly": HairStyle((0.54, 0.50, 0.40, 0.10, -0.15, -0.2, -0.5, -0.6), 0.18, -0.7, curl=0.05, covers_ears=True),
    "afro": HairStyle((0.54, 0.52, 0.42, 0.16, 0.05, 0.15, -0.3, -0.5), 0.27, curl=0.02),
    "receding": HairStyle((0.70, 0.78, 0.66, 0.30, 0.05, 0.15, -0.3, -0.5), 0.03),
    "bald": HairStyle((2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0), 0.0),
    "bun": HairStyle((0.60, 0.57, 0.46, 0.14, 0.08, 0.15, -0.3, -0.5), 0.04),
}


def draw_behind(canvas: Canvas, scene: Scene) -> None:
    """Hair that hangs behind the neck, or the bun above."""
    person, unit = scene.person, scene.unit
    style, colour = STYLES[person.hair_style], darker(person.hair, 0.82)
    if person.hair_style == "bun":
        crown = np.array([[-0.5 * np.sin(np.radians(scene.camera.yaw)), person.skull_top + 0.08]])
        canvas.fill(disc(scene.camera.place(crown)[0], 0.26 * unit, 0.22 * unit), colour)
    if style.length is None:
        return
    upper = scene.skull[scene.skull[:, 1] > -0.1, 0]
    wide = (1.04 + style.volume) * np.abs(upper - upper.mean()).max()
    tips = [[0.92 * wide, style.length], [1.04 * wide, style.length / 2], [wide, 0], [0.7 * wide, person.skull_top]]
    half = np.array(tips)
    shape = np.concatenate([half, half[::-1] * (-1, 1)]) + np.array([upper.mean(), 0])
    canvas.fill(scene.camera.place(smooth(shape, closed=True)), colour)


def draw_hair(canvas: Canvas, scene: Scene) -> None:
    """The cap of hair from the hairline over the crown."""
    person, place = scene.person, scene.camera.place
    style = STYLES[person.hair_style]
    if person.hair_style == "bald":
        return
    line = _hairline(person, style, scene.camera.yaw)
    left, right = np.split(scene.skull, 2)
    arc = np.concatenate([right[right[:, 1] > line[-1, 1]], left[left[:, 1] > line[0, 1]]])
    middle = np.array([arc[:, 0].mean(), 0.0])
    waves = 1 + 6 * style.curl * np.sin(2.1 * np.arange(len(arc)))
    arc = (arc - middle) * (1 + style.volume * waves)[:, None]
    canvas.fill(place(np.concatenate([line, middle + arc])), person.hair)
    canvas.line(place(smooth(line)), darker(person.hair, 0.8), 0.03 * scene.unit)
    sheen = place(middle + 0.9 * arc)[len(arc) // 3 : -(len(arc) // 3)]
    canvas.line(smooth(sheen), tuple(min(255.0, 1.06 * v + 6) for v in person.hair), 0.06 * scene.unit)


def _hairline(person: Person, style: HairStyle, yaw_degrees: float) -> np.ndarray:
    """Hairline (N, 2) of the turned head from its left rim to its right one, in model units."""
    yaw = np.radians(yaw_degrees)
    around = np.linspace(-np.pi / 2, np.pi / 2, 41) - yaw
    height = np.interp(np.degrees(np.abs(around)), ANGLES, style.line) + person.hairline * np.cos(around)
    height = height + style.parted * np.exp(-(((np.degrees(around) - 25 * person.contempt_side) / 12) ** 2))
    height = np.minimum(height, 0.97 * person.skull_top)
    width, depth, centre = section(person, height)
    x, z = (np.sign(v) * np.abs(v) ** (2 / ROUNDNESS) for v in (np.sin(around), np.cos(around)))
    x, z = 1.02 * width * x, centre + 1.02 * depth * z
    return np.column_stack([x * np.cos(yaw) + z * np.sin(yaw), height])


def draw_ears(canvas: Canvas, scene: Scene, front: bool) -> None:
    """The ear turned to the viewer (`front`) or the ones behind the head's outline; hair may cover both."""
    person, unit = scene.person, scene.unit
    if STYLES[person.hair_style].covers_ears:
        return
    turn = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    width, _, centre = section(person, np.array([-0.1]))
    for side in (-1, 1):
        if (side * scene.camera.yaw < -4) != front:
            continue
        x = side * (width + 0.05 + 0.07 * np.cos(turn))
        y = -0.12 + 0.2 * np.sin(turn) + 0.03 * np.cos(turn)
        rim = scene.camera.project(np.column_stack([x, y, centre - 0.12 * np.cos(turn)]))[:, :2]
        canvas.fill(rim, darker(person.skin, 0.86))
        canvas.line(0.4 * rim.mean(0) + 0.6 * rim, darker(person.skin, 0.62), 0.025 * unit, closed=True)
        if person.earrings:
            canvas.fill(disc(rim[12], 0.04 * unit, 0.04 * unit), EARRING)


def draw_facial_hair(canvas: Canvas, scene: Scene) -> None:
    """Stubble, moustache or beard, under the mouth that is drawn later."""
    mouth, jaw, nose = scene.group("outer_mouth"), scene.group("contour")[2:-2], scene.group("nose")
    kind, hair = scene.person.facial_hair, scene.person.hair
    if kind in BEARD_COVER:
        cheeks = (mouth[[6, 0]] + jaw[[-1, 0]]) / 2
        above = scene.moved(nose[9], 0.04, 0.06), scene.moved(nose[4], -0.04, 0.06)
        region = np.concatenate([jaw, cheeks[:1], above, cheeks[1:]])
        canvas.blend(smooth(region, closed=True), darker(hair, 0.9), BEARD_COVER[kind])
    if kind == "moustache":
        upper = scene.moved(mouth[5:0:-1], 0, -0.09)
        canvas.fill(np.concatenate([smooth(mouth[:7]), smooth(upper)]), darker(hair, 0.8))


def draw_glasses(canvas: Canvas, scene: Scene) -> None:
    """Round or square rims, bridge and temples."""
    person, camera = scene.person, scene.camera
    colour, width = darker(person.hair, 0.5), 0.034 * scene.unit
    left, right = _rim(person, -1), _rim(person, 1)
    for side, rim, hinge in ((-1, left, left[12]), (1, right, right[0])):
        if side * camera.yaw < 12:
            ear = (side * 1.02 * person.head_width, 0.02, -0.05)
            canvas.line(camera.project(np.array([hinge, ear])), colour, width)
        canvas.line(camera.project(rim), colour, width, closed=True)
    canvas.line(camera.project(np.array([left[0], right[12]])), colour, width)


def _rim(person: Person, side: int) -> np.ndarray:
    """One rim (24, 3) in model units, counter-clockwise from its rightmost point, bent back towards the temple."""
    power = 1.0 if person.eye_tilt > 0.015 else 0.5
    turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    across, along = (np.sign(v) * np.abs(v) ** power for v in (np.cos(turn), np.sin(turn)))
    eye = on_head(person, np.array([[side * person.eye_x, 0.0]]))[0]
    return eye + np.column_stack([0.255 * across, 0.215 * along - 0.03, 0.16 - 0.064 * side * across])
