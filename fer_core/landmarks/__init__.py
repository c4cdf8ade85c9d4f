"""Landmarks as a face: input vectors, the networks of the landmark VAE, what they are worth and what they draw."""
