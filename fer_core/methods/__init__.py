"""The methods. Adding one: a file that composes head and losses, a line here, a test."""

from fer_core.methods.base import Head, Method, Network, Objective, Outputs, Recipe
from fer_core.methods.cnn import Cnn
from fer_core.methods.dml_net import DmlNet
from fer_core.methods.landmark_vae import LandmarkVae
from fer_core.methods.mul_dml import MulDml
from fer_core.methods.sgm import Sgm
from fer_core.methods.triplet import Triplet
from fer_core.methods.verification import Verification

REGISTRY: dict[str, type[Method]] = {
    "cnn": Cnn,
    "triplet": Triplet,
    "sgm": Sgm,
    "mul_dml": MulDml,
    "dml_net": DmlNet,
    "landmark_vae": LandmarkVae,
    "verification": Verification,
}

__all__ = ["REGISTRY", "Head", "Method", "Network", "Objective", "Outputs", "Recipe"]
