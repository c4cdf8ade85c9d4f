"""The data sets that can be ingested. Adding one: a file with an ADAPTER, a line here, a test."""

from fer_core.datasets import ck_plus, ferplus, synthetic
from fer_core.datasets.base import Adapter

REGISTRY: dict[str, Adapter] = {
    "ck_plus": ck_plus.ADAPTER,
    "ferplus": ferplus.ADAPTER,
    "synthetic": synthetic.ADAPTER,
}
