"""One run as one self-contained HTML page."""

from fer_core.report.page import Link, Published, PublishedRow, ReportPage, Table
from fer_core.report.render import linked, render_report

__all__ = ["Link", "Published", "PublishedRow", "ReportPage", "Table", "linked", "render_report"]
