"""What is measured, so that every figure in the docs can be measured again: `python -m benchmarks.NAME`."""
