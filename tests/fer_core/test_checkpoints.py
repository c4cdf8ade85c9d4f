"""A checkpoint in a folder is whole, or it is said that it is not."""

import pytest
import torch

from fer_core.checkpoints import FolderStore
from fer_core.errors import InputError


@pytest.fixture
def store(tmp_path):
    store = FolderStore(tmp_path)
    assert store.load() is None
    store.save({"step": 3, "weights": torch.arange(1000.0)}, {})
    return store


def test_what_was_saved_is_loaded(store):
    state = store.load()
    assert state["step"] == 3
    assert torch.equal(state["weights"], torch.arange(1000.0))


def cut(data):
    return data[:-100]


def flip(data):
    at = data.index(torch.arange(500.0, 501.0).numpy().tobytes())
    return data[:at] + b"x" + data[at + 1 :]


def empty(data):
    return b""


@pytest.mark.parametrize("damage", [cut, flip, empty])
def test_a_damaged_one_is_refused(store, damage):
    store.file.write_bytes(damage(store.file.read_bytes()))
    with pytest.raises(InputError, match=r"checkpoint.pt is damaged; delete it, and the run begins again"):
        store.load()
