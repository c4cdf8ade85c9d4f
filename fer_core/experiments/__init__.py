"""Experiments: matrices of runs beside the published table, as YAML files, and what is read out of them."""
