"""What a report holds, before it is a page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fer_core.evaluation.bootstrap import Interval


@dataclass(frozen=True)
class Link:
    """Another page of the same model."""

    text: str
    address: str


@dataclass(frozen=True)
class PublishedRow:
    """Figures that a paper prints, to stand beside ours: where they are printed, and metric name -> share (0..1)."""

    source: str
    values: Mapping[str, float]


@dataclass(frozen=True)
class Published:
    """What papers print of the model that was run: their rows, and sentences on how our runs differ from theirs."""

    rows: Sequence[PublishedRow] = ()
    deviations: Sequence[str] = ()


@dataclass(frozen=True)
class Table:
    """A table of texts: its heading, the heads of its columns, that of the names first, and rows of (name, cells)."""

    heading: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[str]]]


@dataclass(frozen=True, eq=False)
class ReportPage:
    """Everything on the page, in its order.

    verdict    the gate's sentence, or None where nothing was judged
    summary    (label, value): what was trained on what, in a few words each
    metrics    name -> value with its 95 % interval, or a bare value
    tables     what is measured in two directions
    published  what papers print of it; may be empty
    figures    (heading, caption, PNG bytes)
    details    (heading, rows of (name, value)): data, configuration, lineage, seconds per stage
    notes      sentences: seeds, how it was measured
    """

    title: str
    verdict: str | None = None
    summary: Sequence[tuple[str, object]] = ()
    metrics: Mapping[str, Interval | float] = field(default_factory=dict)
    tables: Sequence[Table] = ()
    published: Published = Published()
    figures: Sequence[tuple[str, str, bytes]] = ()
    details: Sequence[tuple[str, Sequence[tuple[str, object]]]] = ()
    notes: Sequence[str] = ()
