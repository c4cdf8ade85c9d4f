"""The backbones. Adding one: a file with a Backbone, a line here, a test."""

from fer_core.backbones.alexnet import AlexNet
from fer_core.backbones.base import Backbone
from fer_core.backbones.cvgg13 import CVGG13
from fer_core.backbones.fmpnet import FMPNet
from fer_core.backbones.preact_resnet import PreActResNet18
from fer_core.backbones.resnet import ResNet18, ResNet50

REGISTRY: dict[str, type[Backbone]] = {
    "resnet18": ResNet18,
    "fmpnet": FMPNet,
    "cvgg13": CVGG13,
    "alexnet": AlexNet,
    "preact_resnet18": PreActResNet18,
    "resnet50": ResNet50,
}
