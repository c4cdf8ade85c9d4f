"""Draw a synthetic face: pose, layers from back to front, light and noise."""

from dataclasses import dataclass

import cv2
import numpy as np

from fer_core.errors import InputError
from fer_core.synthetic import features, hair, skin
from fer_core.synthetic.actions import action_units
from fer_core.synthetic.camera import Camera
from fer_core.synthetic.canvas import Canvas
from fer_core.synthetic.face import Face
from fer_core.synthetic.folds import draw_folds
from fer_core.synthetic.people import muted, person_of
from fer_core.synthetic.scene import Scene, scene_of

SMALLEST_SIZE, LARGEST_SIZE = 32, 512
"""Pixels. Below, features are under a pixel wide; above, the drawing looks empty."""

_STREAM = 31


@dataclass(frozen=True)
class Take:
    """What changes from one photograph of a person to the next, besides the expression.

    Framing is in model units, light is a direction (x right, y down, z to the viewer).
    """

    roll: float
    shift: tuple[float, float]
    zoom: float
    light: np.ndarray
    ambient: float
    exposure: float
    noise: float
    gaze: tuple[float, float]
    backdrop: np.ndarray


def render(face: Face, size: int = 96) -> tuple[np.ndarray, np.ndarray]:
    """Draw `face` and say where its landmarks are.

    Args:
        face: What to draw.
        size: Side of the picture, 32 to 512 pixels.

    Returns:
        uint8 (size, size, 3) RGB picture, and float32 (83, 3) landmarks after pose: x and y (down) in its pixels,
        the middle of the first pixel at 0, and depth in pixels, larger nearer to the viewer.

    Raises:
        InputError: `size` is out of range.
    """
    if not SMALLEST_SIZE <= size <= LARGEST_SIZE:
        raise InputError(f"size {size} is out of range: choose from {SMALLEST_SIZE} to {LARGEST_SIZE} pixels.")
    rng = np.random.default_rng([_STREAM, face.identity, face.variation])
    take = _take(rng)
    scale = 0.395 * size * take.zoom
    # A turned head reaches further to the side it faces, and the eyes are above the middle of the head.
    right = take.shift[0] - 0.18 * np.sin(np.radians(face.yaw))
    down = take.shift[1] - 0.26
    camera = Camera(face.yaw, take.roll, scale, ((size - 1) / 2 + scale * right, (size - 1) / 2 + scale * down))
    scene = scene_of(person_of(face.identity), action_units(face), camera)
    picture = _draw(scene, take, size)
    noise = rng.normal(0, take.noise, picture.shape[:2]).astype(np.float32)
    return _developed(picture, take, noise), scene.marks.astype(np.float32)


def _take(rng: np.random.Generator) -> Take:
    side, above = rng.uniform(-0.7, 0.7), rng.uniform(-0.55, 0.1)
    light = np.array([side, above, 1.0])
    return Take(
        roll=float(np.clip(rng.normal(0, 3.0), -7, 7)),
        shift=(float(rng.uniform(-0.05, 0.05)), float(rng.uniform(-0.03, 0.03))),
        zoom=float(rng.uniform(0.95, 1.03)),
        light=light / np.linalg.norm(light),
        ambient=float(rng.uniform(0.35, 0.6)),
        exposure=float(rng.uniform(0.82, 1.1)),
        noise=float(rng.uniform(1.0, 4.0)),
        gaze=(float(rng.uniform(-0.03, 0.03)), float(rng.uniform(-0.015, 0.015))),
        backdrop=muted(rng, 60, 210) + rng.uniform(-28, 28, (4, 4, 1)),
    )


def _draw(scene: Scene, take: Take, size: int) -> np.ndarray:
    """Paint from back to front on a canvas at least twice the size, and average it down."""
    factor = max(2, -(-192 // size))
    enlarged = (size * factor, size * factor)
    backdrop = cv2.resize(take.backdrop.astype(np.float32), enlarged, interpolation=cv2.INTER_CUBIC)
    canvas = Canvas(np.clip(backdrop, 0, 255).astype(np.uint8), factor)
    hair.draw_behind(canvas, scene)
    _draw_body(canvas, scene)
    hair.draw_ears(canvas, scene, front=False)
    with canvas.clipped(scene.outline) as head:
        _draw_skin(head, scene, take, size)
        hair.draw_facial_hair(head, scene)
        features.draw_eyes(head, scene, take.gaze)
        features.draw_brows(head, scene)
        features.draw_mouth(head, scene)
    features.draw_nose(canvas, scene)
    hair.draw_hair(canvas, scene)
    hair.draw_ears(canvas, scene, front=True)
    if scene.person.glasses:
        hair.draw_glasses(canvas, scene)
    return cv2.resize(canvas.pixels, (size, size), interpolation=cv2.INTER_AREA)


def _draw_body(canvas: Canvas, scene: Scene) -> None:
    neck = 0.42 + 0.1 * scene.person.masculine
    half_column = np.array([[neck, -0.5], [neck, -1.25], [1.5 * neck, -1.6]])
    half_shoulders = np.array([[0, -1.5], [1.35 * neck, -1.28], [1.5, -1.42], [1.8, -2]])
    for half, colour in (
        (half_column, features.darker(scene.person.skin, 0.66)),
        (half_shoulders, scene.person.clothes),
    ):
        canvas.fill(scene.camera.place(np.concatenate([half, half[::-1] * (-1, 1)])), colour)


def _draw_skin(head: Canvas, scene: Scene, take: Take, size: int) -> None:
    broad = Canvas(np.full((size, size), skin.FLAT, np.uint8), 1)
    fine = Canvas(np.full(head.pixels.shape[:2], skin.FLAT, np.uint8), head.factor)
    skin.draw_shadows(broad, scene)
    draw_folds(fine, scene)
    light = skin.lambert(scene, size, take.light, take.ambient) * broad.pixels * np.float32(1 / skin.FLAT)
    head.fill(scene.outline, scene.person.skin)
    skin.shade(head, fine.pixels, cv2.resize(light, fine.pixels.shape))


def _developed(picture: np.ndarray, take: Take, noise: np.ndarray) -> np.ndarray:
    lit = picture * np.float32(take.exposure) + noise[..., None]
    return np.clip(lit, 0, 255).astype(np.uint8)
