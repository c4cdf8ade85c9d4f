"""How the pipeline runs somewhere: settings from the environment, and one module for each engine."""
