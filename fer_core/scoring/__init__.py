"""A model in use on many pictures, wherever these are."""
