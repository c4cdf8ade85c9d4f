"""Asking people which of two facial expressions looks more like a third: who is asked what, and what they said."""
