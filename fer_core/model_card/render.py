"""A model card as Markdown, and as a page that asks nothing of the network."""

import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from fer_core import report
from fer_core.model_card.card import Card

_FOLDERS = [Path(__file__).parent, Path(report.__file__).parent]


def markdown(card: Card) -> str:
    """The card as Markdown; what is put in cannot become a table, a heading or HTML."""
    return _render("model_card.md.j2", card, is_html=False)


def html(card: Card) -> str:
    """The card as one HTML file: no script, nothing from elsewhere, every text escaped."""
    return _render("model_card.html.j2", card, is_html=True)


def _render(name: str, card: Card, *, is_html: bool) -> str:
    environment = Environment(
        loader=FileSystemLoader(_FOLDERS),
        autoescape=is_html,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["plain"] = _plain
    return environment.get_template(name).render(card=card)


def _plain(text: str) -> str:
    """A text on one line, in which nothing is Markdown."""
    return re.sub(r"([\\`*\[\]|<])", r"\\\1", " ".join(text.split()))
