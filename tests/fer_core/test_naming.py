import pytest

from fer_core.folds import Part
from fer_core.naming import params_of, telling_options, title_of
from fer_core.options.stages import EvaluateOptions


@pytest.mark.parametrize(
    ("given", "title"),
    [
        ({"method": "sgm"}, "sgm on synthetic, resnet18"),
        ({"method": "sgm", "levels": 3, "backbone": "cvgg13"}, "sgm on synthetic, cvgg13, 3 levels"),
        (
            {"mul_dml": {"variant": "s_dual_triplet", "single_threshold": 0.75}},
            "mul_dml (s_dual_triplet, single_threshold 0.75) on synthetic, resnet18",
        ),
        ({"mul_dml": {"thresholds": [0.2, 0.4]}}, "mul_dml (thresholds 0.2 0.4) on synthetic, resnet18"),
        ({"mul_dml": {"variant": "cnn", "single_threshold": 0.75}}, "mul_dml (cnn) on synthetic, resnet18"),
        ({"method": "landmark_vae", "landmark_vae": {"model": "pca"}}, "landmark_vae (pca) on synthetic"),
        ({"method": "verification", "verification": {"pdm": 1}}, "verification (pdm 1) on synthetic, resnet18"),
        ({"method": "sgm", "mul_dml": {"variant": "cnn"}}, "sgm on synthetic, resnet18"),
    ],
)
def test_a_title_tells_what_is_not_as_by_default(given, title):
    assert title_of(EvaluateOptions(**given), Part()) == title


def test_a_title_tells_on_whom_it_is_tested():
    options = EvaluateOptions(method="cnn", folds=10)
    assert title_of(options, Part(1, 10)) == "cnn on synthetic, resnet18, fold 2 of 10"
    assert title_of(options, Part(), "ck_plus") == "cnn on synthetic, tested on ck_plus, resnet18"


def test_the_variant_is_always_told():
    assert telling_options(EvaluateOptions()) == {"mul_dml.variant": "mul_dml"}
    circle = EvaluateOptions(mul_dml={"variant": "circle", "circle_gamma": 128, "thresholds": [0.2, 0.3]})
    assert telling_options(circle) == {"mul_dml.variant": "circle", "mul_dml.circle_gamma": "128"}
    assert telling_options(EvaluateOptions(method="cnn")) == {}


def test_params_are_flat_and_of_what_was_chosen():
    options = EvaluateOptions(mul_dml={"variant": "s_dual_triplet"}, epochs=2, rotations=(0, 5), face_size=64)
    params = params_of(options)
    chosen = {"mul_dml.variant": "s_dual_triplet", "mul_dml.slice_size": "256", "synthetic.identities": "80"}
    assert chosen.items() <= params.items()
    assert {
        "epochs": "2",
        "backbone": "resnet18",
        "face_size": "64",
        "patch": "61",
        "rotations": "0 5",
    }.items() <= params.items()
    assert not {"mul_dml", "sgm", "synthetic", "home", "mul_dml.thresholds", "sgm.sigma"} & params.keys()
    other = params_of(EvaluateOptions())
    assert {name for name in params if params[name] != other.get(name)} >= {"mul_dml.variant", "epochs"}
