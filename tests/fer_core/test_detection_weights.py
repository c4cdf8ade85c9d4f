import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest

from fer_core.detection import weights
from fer_core.detection.networks import ONet, PNet, RNet
from fer_core.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
NETWORKS = {"pnet": PNet, "rnet": RNet, "onet": ONet}


@pytest.mark.parametrize("name", NETWORKS)
def test_offsets_give_the_arrays_that_unpickling_gives(name):
    file = weights.weights_file(name)
    data = weights.lz4.frame.decompress(weights._checked(file, weights.SHA256[name]))
    unpickled = joblib.load(file)
    read = [weights._array(data, *place) for place in weights.LAYOUT[name].values()]
    assert len(read) == len(unpickled)
    for ours, theirs in zip(read, unpickled, strict=True):
        np.testing.assert_array_equal(ours, theirs.reshape(ours.shape))


@pytest.mark.parametrize("name", NETWORKS)
def test_every_parameter_of_the_network_is_published(name):
    wanted = {key: tuple(value.shape) for key, value in NETWORKS[name]().state_dict().items()}
    assert {key: tuple(value.shape) for key, value in weights.published_weights(name).items()} == wanted


def test_a_file_of_other_bytes_is_refused_before_it_is_read(tmp_path, monkeypatch):
    wrong = tmp_path / "pnet.lz4"
    wrong.write_bytes(weights.weights_file("pnet").read_bytes()[:-1] + b"?")
    monkeypatch.setattr(weights, "weights_file", lambda network: wrong)
    with pytest.raises(InputError, match=r"SHA-256 differs.*pip install"):
        weights.published_weights("pnet")
    wrong.unlink()
    with pytest.raises(InputError, match=r"is missing.*pip install"):
        weights.published_weights("pnet")


def test_without_the_wheel_the_way_out_is_named(monkeypatch):
    monkeypatch.setattr(weights, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"mtcnn==1\.0\.0"):
        weights.published_weights("onet")


def test_neither_the_package_nor_tensorflow_nor_pickle_readers_are_imported():
    program = (
        "import sys\nfrom fer_core.detection.weights import published_weights\npublished_weights('onet')\n"
        "print([name for name in ('mtcnn', 'tensorflow', 'joblib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
