"""The training loop, the same on one process and on many."""

from fer_core.training.loop import train
from fer_core.training.networks import build_network, build_objective
from fer_core.training.plan import Trained, TrainingPlan

__all__ = ["Trained", "TrainingPlan", "build_network", "build_objective", "train"]
