from dataclasses import replace

import pytest
import torch
from model_fixtures import MemoryStore, TinyBackbone, faces_path, one_thread, plan_of, silent  # noqa: F401
from torch import nn

from fer_core import backbones
from fer_core.errors import InputError
from fer_core.training import train
from fer_core.training.networks import compile_forward
from fer_core.world import World


def test_compiling_needs_a_compiler(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(InputError, match=r"needs a C\+\+ compiler and no-such-compiler is not found: install it"):
        compile_forward(nn.Linear(2, 2))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method. is deprecated:DeprecationWarning")
def test_a_compiled_network_trains_as_it_does_otherwise_under_the_same_names(monkeypatch, faces_path):  # noqa: F811
    monkeypatch.setitem(backbones.REGISTRY, "tiny", TinyBackbone)
    options = {"thresholds": [0.2, 0.5], "slice_size": 8, "dropout": 0.0}
    plan = plan_of(faces_path, "mul_dml", backbone="tiny", method_options=options, validation=True)
    plain = train(plan, World(), MemoryStore(), silent)
    compiled = train(replace(plan, compiled=True), World(), MemoryStore(), silent)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] >= 2
    assert list(compiled.state) == list(plain.state)
    for own, other in zip(compiled.history, plain.history, strict=True):
        assert own == pytest.approx(other, rel=1e-4)
    assert all(torch.allclose(compiled.state[name], value, atol=1e-4) for name, value in plain.state.items())
