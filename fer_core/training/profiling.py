"""Where a training step's time goes: what is measured, and its table."""

from dataclasses import dataclass
from typing import Any

import torch

from fer_core.sections import UNTIMED, Sections, TimedSections


@dataclass(frozen=True)
class Profile:
    """The sections of one worker's threads.

    Attributes:
        step: of the thread that trains, one after the other. Gradients of the network are averaged over the workers
            while "backward" goes on.
        feeding: of the thread that makes batches beside it.
    """

    step: Sections = UNTIMED
    feeding: Sections = UNTIMED

    @classmethod
    def on(cls, device: torch.device) -> "Profile":
        """Timed; the device is waited for around each section of a step."""
        return cls(TimedSections(device), TimedSections())

    def rows(self) -> dict[str, list[dict[str, Any]]]:
        """`step` and `feeding`: rows as Sections.rows gives them, of the steps since training last went on."""
        return {"step": self.step.rows(), "feeding": self.feeding.rows()}


NOT_PROFILED = Profile()
TITLES = {"step": "a step", "feeding": "beside it: a batch"}


def table(rows: dict[str, list[dict[str, Any]]]) -> str:
    """What Profile.rows gave, as lines of text."""
    lines = []
    for kind, title in TITLES.items():
        lines.append(f"{title:<24}{'seconds':>9}{'share':>9}{'mean ms':>10}{'median ms':>11}{'steps':>8}")
        lines += [
            f"  {row['section']:<22}{row['seconds']:>9.2f}{row['share']:>9.1%}{row['mean_ms']:>10.2f}"
            f"{row['median_ms']:>11.2f}{row['steps']:>8}"
            for row in rows[kind]
        ]
    return "\n".join(lines)
