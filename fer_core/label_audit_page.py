"""The label audit as a page: the doubtful faces, and what a person decides of each, as a csv of corrections."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from fer_core.report.render import template
from fer_core.vocabulary import LABELS

MOST_SHOWN = 200
"""A page of so many takes a person an hour, and 2 MB."""
SIDE = 112
"""Pixels of a face at most; smaller ones stay as they are."""
QUALITY = 85
SCRIPT = Path(__file__).with_name("report") / "label_audit.js"


@dataclass(frozen=True)
class Suspect:
    """A face whose neighbours carry another label.

    Attributes:
        source_path: None where it is not known.
        share: of its neighbours that carry the proposed label, 0..1.
        face, neighbour: the picture, and the nearest that carries the proposed label, as sources of images.
    """

    sample_id: str
    source_path: str | None
    label: str
    proposed: str
    share: float
    face: str
    neighbour: str


@dataclass(frozen=True)
class AuditPage:
    """Everything on the page.

    Attributes:
        of: which faces are looked at.
        suspects: worst first, at most MOST_SHOWN.
        num_suspects: how many there are in all.
        expressions: what a face can be said to show.
    """

    of: str
    suspects: Sequence[Suspect]
    num_suspects: int
    expressions: Sequence[str] = LABELS


def render_audit(page: AuditPage) -> str:
    """The page as one HTML file that asks nothing of the network; the one script in it is allowed by its hash."""
    script = SCRIPT.read_text()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return template("label_audit.html.j2").render(page=page, script=script, script_hash=f"sha256-{digest}")


def small_picture(image: np.ndarray) -> str:
    """A face, uint8 (H, W, 3) RGB, as the source of an image: a JPEG of at most SIDE pixels a side."""
    scale = SIDE / max(image.shape[:2])
    shown = image if scale >= 1 else cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    made, data = cv2.imencode(".jpg", cv2.cvtColor(shown, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    assert made
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode('ascii')}"
