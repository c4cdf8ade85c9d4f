"""The label audit as a page: the doubtful faces, and what a person decides of each, as a csv of corrections."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fer_core import report
from fer_core.report.render import template

MOST_SHOWN = 200
"""A page of so many takes a person an hour, and 2 MB."""
SCRIPT = Path(report.__file__).with_name("label_audit.js")


@dataclass(frozen=True)
class Suspect:
    """A face whose neighbours carry another label.

    Attributes:
        source_path: None where it is not known.
        label: what the data set says.
        trained: what it was trained with.
        share: of its neighbours that carry the proposed label, 0..1.
        face, neighbour: the picture, and the nearest that carries the proposed label, as sources of images.
    """

    sample_id: str
    source_path: str | None
    label: str
    trained: str
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
        is_unseen: whether models looked at them that were not trained on them.
    """

    of: str
    suspects: Sequence[Suspect]
    num_suspects: int
    expressions: Sequence[str]
    is_unseen: bool


def render_audit(page: AuditPage) -> str:
    """The page as one HTML file that asks nothing of the network; the one script in it is allowed by its hash."""
    script = SCRIPT.read_text()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return template("label_audit.html.j2").render(page=page, script=script, script_hash=f"sha256-{digest}")
