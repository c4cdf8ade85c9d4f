"""Faces looked through by their embeddings: the nearest, the groups, what a model goes by."""
