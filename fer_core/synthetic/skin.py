"""Skin: light on the round head and the soft shadows of its parts."""

import numpy as np

from fer_core.synthetic.canvas import Canvas, disc
from fer_core.synthetic.scene import Scene

FLAT = 128
"""Grey level of a relief canvas that leaves the skin as it is."""

WARMTH = np.array([0.85, 1.0, 1.12], np.float32)
"""Exponents of the shade for red, green, blue: shadows on skin are warm."""


def shade(skin: Canvas, relief: np.ndarray, light: np.ndarray) -> None:
    """Multiply the skin canvas in place by relief (H, W) around `FLAT` and by light (H, W)."""
    brightness = np.maximum(relief * light * np.float32(1 / FLAT), 1e-3)
    tinted = np.exp(np.log(brightness)[..., None] * WARMTH)
    tinted *= skin.pixels
    skin.pixels[:] = np.minimum(tinted, 255).astype(np.uint8)


def lambert(scene: Scene, size: int, direction: np.ndarray, ambient: float) -> np.ndarray:
    """Light (size, size) float32 on an ellipsoid in the head's place; direction (3,) x right, y down, z to viewer."""
    person, camera = scene.person, scene.camera
    radius_x = 1.08 * camera.scale * person.head_width
    radius_y = 1.15 * camera.scale * (person.skull_top + person.chin) / 2
    middle = camera.centre[1] + camera.scale * (person.chin - person.skull_top) / 2
    u = ((np.arange(size, dtype=np.float32) - camera.centre[0]) / radius_x)[None, :]
    v = ((np.arange(size, dtype=np.float32) - middle) / radius_y)[:, None]
    facing = np.sqrt(np.maximum(0.06, 1 - u * u - v * v))
    bright = np.maximum(0, direction[0] * u + direction[1] * v + direction[2] * facing)
    return (ambient + (1.12 - ambient) * bright).astype(np.float32)


def draw_shadows(broad: Canvas, scene: Scene) -> None:
    """Draw the wide soft shadows and lights of the face onto a grey canvas filled with `FLAT`, and smooth them."""
    unit, yaw = scene.unit, scene.camera.yaw
    for side, name in ((-1, "left_eye"), (1, "right_eye")):
        socket = scene.moved(scene.group(name)[[0, 4]].mean(0), 0, -0.05)
        broad.fill(disc(socket, 0.24 * unit, 0.17 * unit), (104,))
        smile = scene.units["AU12L" if side < 0 else "AU12R"]
        (cheek,) = scene.on_skin((side * 0.44, -0.33 + 0.07 * scene.units["AU6"]))
        broad.fill(disc(cheek, 0.15 * unit, 0.12 * unit), (137 + 7 * min(2.0, smile + scene.units["AU6"]),))
    nose = scene.group("nose")
    far_side = nose[:5] if yaw < 0 else nose[5:10]
    broad.fill(np.concatenate([far_side, nose[[10]]]), (96,))
    broad.fill(disc(nose[10], 0.06 * unit, 0.06 * unit), (150,))
    broad.fill(disc(scene.moved(nose[11], 0, 0.02), 0.15 * unit, 0.045 * unit), (88,))
    if abs(yaw) > 8:
        _draw_jaw_edge(broad, scene)
    under_lip = scene.moved(scene.group("outer_mouth")[9], 0, 0.07)
    broad.fill(disc(under_lip, 0.17 * unit, 0.045 * unit), (94 - 18 * scene.units["AU17"],))
    broad.blur(0.035 * unit)


def _draw_jaw_edge(broad: Canvas, scene: Scene) -> None:
    """Darken behind the near jaw line, which is no longer the outline once the head is turned."""
    contour, yaw = scene.group("contour"), scene.camera.yaw
    edge, away = (contour[2:7], -0.9) if yaw > 0 else (contour[8:13], 0.9)
    behind = scene.moved(edge[::-1], away, 0.3)
    broad.fill(np.concatenate([edge, behind]), (FLAT - 28 * min(1.0, abs(yaw) / 40),))
