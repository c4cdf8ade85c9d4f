"""The backbones. Adding one: a file with a module that takes `patch` and has `num_features`, a line here, a test."""

from collections.abc import Callable

from torch import nn

from fer_core.backbones.resnet import ResNet18

REGISTRY: dict[str, Callable[[int], nn.Module]] = {"resnet18": ResNet18}
