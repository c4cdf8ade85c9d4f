"""Training labels to doubt, and the page on which a person decides of them."""
