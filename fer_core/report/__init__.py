"""One run as one self-contained HTML page."""

from fer_core.report.page import PublishedRow, ReportPage
from fer_core.report.render import render_report

__all__ = ["PublishedRow", "ReportPage", "render_report"]
