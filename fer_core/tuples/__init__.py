"""Samples that are compared with each other: five-tuples (DML-Net) and similarity triplets (landmark VAE)."""

from fer_core.tuples.five import build_five_tuples, used_fraction
from fer_core.tuples.human import HumanTriplets, agreement, human_triplets, samples_to_ask, triplets_to_ask
from fer_core.tuples.similarity import count_rules, label_triplets

__all__ = [
    "HumanTriplets",
    "agreement",
    "build_five_tuples",
    "count_rules",
    "human_triplets",
    "label_triplets",
    "samples_to_ask",
    "triplets_to_ask",
    "used_fraction",
]
