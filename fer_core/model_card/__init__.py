"""One registered model told to those who may use it, and to those whom it is used on."""

from fer_core.model_card.card import Card, Described, card_of
from fer_core.model_card.render import html, markdown

__all__ = ["Card", "Described", "card_of", "html", "markdown"]
