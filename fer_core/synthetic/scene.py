"""One face in front of one camera: what every drawing function is given."""

from dataclasses import dataclass

import numpy as np

from fer_core.synthetic.camera import Camera, silhouette
from fer_core.synthetic.geometry import LANDMARK_GROUPS, jaw_drop, landmarks_of, on_head
from fer_core.synthetic.people import Person


@dataclass(frozen=True)
class Scene:
    """A person with an expression, projected.

    Attributes:
        person, units, camera: Who, which action units, from where.
        model: (83, 3) landmarks in the head frame.
        marks: (83, 3) landmarks in picture pixels.
        skull: (N, 2) outline of the turned head with the jaw at rest, in model units.
        outline: (N, 2) outline of the head in picture pixels.
    """

    person: Person
    units: dict[str, float]
    camera: Camera
    model: np.ndarray
    marks: np.ndarray
    skull: np.ndarray
    outline: np.ndarray

    @property
    def unit(self) -> float:
        """Pixels for each model unit."""
        return self.camera.scale

    def group(self, name: str) -> np.ndarray:
        """Picture coordinates (n, 2) of one of `LANDMARK_GROUPS`."""
        return self.marks[LANDMARK_GROUPS[name], :2]

    def on_skin(self, *points: tuple[float, float]) -> np.ndarray:
        """Picture coordinates (n, 2) of places x, y on the front of the head, given in model units."""
        surface = on_head(self.person, np.array(points), jaw_drop(self.units))
        return self.camera.project(surface)[:, :2]

    def moved(self, points: np.ndarray, right: float, down: float) -> np.ndarray:
        """Shift picture points (2,) or (n, 2) by model units."""
        return points + np.array([right, down]) * self.unit


def scene_of(person: Person, units: dict[str, float], camera: Camera) -> Scene:
    """Project `person` showing `units` through `camera`."""
    model = landmarks_of(person, units)
    return Scene(
        person=person,
        units=units,
        camera=camera,
        model=model,
        marks=camera.project(model),
        skull=silhouette(person, 0.0, camera.yaw),
        outline=camera.place(silhouette(person, jaw_drop(units), camera.yaw)),
    )
