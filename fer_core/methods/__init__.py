"""The methods. Adding one: a file that composes head and losses, a line here, a test."""

from fer_core.methods.base import Head, Method, Network, Objective, Outputs, Recipe
from fer_core.methods.cnn import Cnn
from fer_core.methods.mul_dml import MulDml
from fer_core.methods.sgm import Sgm

REGISTRY: dict[str, type[Method]] = {"cnn": Cnn, "sgm": Sgm, "mul_dml": MulDml}

__all__ = ["REGISTRY", "Head", "Method", "Network", "Objective", "Outputs", "Recipe"]
