"""People who have withdrawn: who they are, and a home without them."""
