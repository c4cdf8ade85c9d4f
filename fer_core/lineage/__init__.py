"""Where a model comes from, and what was made of somebody's pictures."""
