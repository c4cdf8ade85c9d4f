"""How a trained model is tested: what it says of held-out rows, metrics with intervals, figures."""
