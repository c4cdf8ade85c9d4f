"""Procedural faces that we draw ourselves: every label is known and there is no licence to sign."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pydantic import Field

from fer_core.datasets.base import Adapter, Form, Picture, Record, always
from fer_core.options.base import Frozen
from fer_core.synthetic import Face, render
from fer_core.synthetic.people import person_of
from fer_core.vocabulary import EIGHT

PICTURE_SIZE = 96
DARKER = 184
"""Red of the skin below which it counts as darker: nearly half of the people."""
LEAST_DEGREE = 0.35
"""Below it an expression is hard to tell from neutral, for people too."""


class SyntheticOptions(Frozen):
    """How many faces are drawn, and of whom."""

    identities: int = Field(80, ge=1, description="people")
    takes: int = Field(2, ge=1, description="pictures of each expression of each person")
    max_yaw: float = Field(20.0, ge=0, le=45, description="degrees; the head turns by up to this to either side")
    first_seed: int = Field(0, ge=0, description="seed of the first person; other seeds are other people")


def records(source: Path | None, options: SyntheticOptions) -> Iterator[Record]:
    """One row a face; what it is drawn from stands in its `source_path`, so `source` is not read."""
    rng = np.random.default_rng([options.first_seed, 0xFACE])
    for person in range(options.first_seed, options.first_seed + options.identities):
        for kind, expression in enumerate(EIGHT):
            for take in range(kind * options.takes, (kind + 1) * options.takes):
                degree = 0.0 if expression == "neutral" else round(float(rng.uniform(LEAST_DEGREE, 1.0)), 3)
                yaw = round(float(rng.uniform(-options.max_yaw, options.max_yaw)), 1)
                yield {
                    "source_path": f"{person}/{expression}/{degree}/{yaw}/{take}",
                    "expression": expression,
                    "subject_id": f"P{person:05d}",
                    "intensity": degree,
                    "pose_yaw": yaw,
                }


def picture(source: Path | None, row: dict[str, Any]) -> Picture:
    """Draw the face that the row's `source_path` describes."""
    person, expression, degree, yaw, take = row["source_path"].split("/")
    face = Face(int(person), expression, float(degree), float(yaw), int(take))
    image, landmarks = render(face, PICTURE_SIZE)
    encoded = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()
    return Picture(encoded, {"landmarks": landmarks.ravel().astype(np.float32).tolist()})


def group_of(subject_id: str) -> str:
    """Lighter or darker skin, by the tone that the person is drawn with."""
    return "darker skin" if person_of(int(subject_id[1:])).skin[0] < DARKER else "lighter skin"


ADAPTER = Adapter(
    records=records,
    layout="nothing: the faces are drawn",
    protocol="a fifth of the people is held out",
    picture=picture,
    options=SyntheticOptions,
    form=always(Form(48, 44)),
    group_of=group_of,
    needs_source=False,
)
