"""What people said of pictures, as a csv that lies beside them: positive, negative or neither, by five answers each.

For frames that show no posed expression (landmark VAE, section IV-C). The paper's own are not published.
"""

from dataclasses import dataclass, field
from pathlib import Path

from fer_core.datasets.base import Rejected
from fer_core.datasets.folders import inside, read_table
from fer_core.vocabulary import VALENCES

FILE = "labels.csv"
"""At the top of the source."""
COLUMNS = ("picture", "positive", "negative", "neutral")
"""A picture's path below the source, and how many of five people said so of it."""
NUM_ANSWERS, MAJORITY = 5, 3


@dataclass
class Judgements:
    """Source path -> positive, negative, or None where most people said neither; and lines that cannot be taken."""

    label_of: dict[str, str | None] = field(default_factory=dict)
    rejected: list[Rejected] = field(default_factory=list)


def read_judgements(source: Path) -> Judgements:
    """The answers in FILE; none where there is no such file. The first line of a picture counts.

    Raises:
        InputError: it cannot be read or lacks a column.
    """
    found = Judgements()
    if not (source / FILE).exists():
        return found
    for number, line in read_table(source / FILE, COLUMNS):
        path, where = inside(line["picture"]), f"line {number}"
        votes = [line.get(name, "") for name in COLUMNS[1:]]
        if path is None:
            found.rejected.append(Rejected(line["picture"], "path leaves the source folder", where))
        elif not all(map(str.isdecimal, votes)) or sum(map(int, votes)) != NUM_ANSWERS:
            found.rejected.append(Rejected(FILE, "label line is not a picture and five answers", where))
        elif path in found.label_of:
            found.rejected.append(Rejected(path, "labelled twice", where))
        else:
            most = [name for name in VALENCES if int(line[name]) >= MAJORITY]
            found.label_of[path] = most[0] if most else None
    return found
