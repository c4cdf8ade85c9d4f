"""One run as one self-contained HTML page."""

from fer_core.report.page import Published, PublishedRow, ReportPage, Table
from fer_core.report.render import render_report

__all__ = ["Published", "PublishedRow", "ReportPage", "Table", "render_report"]
