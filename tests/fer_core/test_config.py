from itertools import pairwise
from pathlib import Path

import pytest
from pydantic import ValidationError

from fer_core import config
from fer_core.folds import Part
from fer_core.methods import REGISTRY, Recipe


def options(**given):
    return config.RetrainOptions(**given)


def test_defaults_run_without_a_source():
    made = options()
    assert (made.dataset, made.method, made.backbone, made.home) == ("synthetic", "mul_dml", "resnet18", Path(".fer"))
    assert (made.crop_size, made.patch_size) == (48, 44)
    assert made.rotations == (-10, -5, 0, 5, 10)
    assert (made.levels, made.folds, made.workers, made.seed) == (1, None, 0, 0)
    assert made.parts == ()


def test_options_are_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        options().epochs = 3


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"epoch": 3}, "epoch"),
        ({"mul_dml": {"threshold": [0.1]}}, "mul_dml.threshold"),
        ({"epochs": "many"}, "epochs"),
        ({"epochs": 2.5}, "epochs"),
        ({"epochs": 0}, "epochs"),
        ({"batch_size": 3}, "batch_size"),
        ({"lr": 0}, "lr"),
        ({"face_size": 15}, "face_size"),
        ({"levels": 0}, "levels"),
        ({"folds": 1}, "folds"),
        ({"seed": -1}, "seed"),
        ({"workers": -1}, "workers"),
        ({"resamples": 10}, "resamples"),
        ({"checkpoint_steps": 0}, "checkpoint_steps"),
        ({"rotations": [0, 90]}, "rotations"),
        ({"per_class": 0}, "per_class"),
        ({"precision": "float16"}, "precision"),
        ({"model_name": "a b"}, "model_name"),
        ({"synthetic": {"identities": 0}}, "synthetic.identities"),
        ({"sgm": {"sigma": -1}}, "sgm.sigma"),
    ],
)
def test_a_wrong_option_is_named(given, named):
    with pytest.raises(ValidationError) as error:
        options(**given)
    places = [".".join(str(part) for part in problem["loc"]) for problem in error.value.errors()]
    assert [place.removesuffix(".1") for place in places] == [named]


@pytest.mark.parametrize(("name", "choices"), [("dataset", "ck_plus"), ("method", "sgm"), ("backbone", "resnet18")])
def test_an_unknown_name_says_the_choices(name, choices):
    with pytest.raises(ValidationError, match=f"choose one of .*{choices}"):
        options(**{name: "other"})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"patch": 49}, "--patch 49 is larger than --face-size 48"),
        ({"patch": 64, "face_size": 60}, "--patch 64 is larger than --face-size 60"),
        ({"rotations": [-5, 5]}, "--rotations must be different and have 0"),
        ({"rotations": []}, "--rotations must be different and have 0"),
        ({"dataset": "ck_plus"}, "--source is missing: ck_plus expects folders anger"),
        ({"dataset": "ferplus"}, "--source is missing: ferplus expects data/FER2013Train"),
    ],
)
def test_options_that_do_not_go_together_are_refused(given, message):
    with pytest.raises(ValidationError, match=message):
        options(**given)


@pytest.mark.parametrize(("face_size", "patch"), [(236, 224), (48, 44), (96, 91), (118, 112), (16, 15), (1024, 972)])
def test_a_patch_goes_with_the_face_as_the_data_set_or_else_the_paper_has_it(face_size, patch):
    assert options(face_size=face_size).patch_size == patch
    assert options(face_size=face_size, patch=16).patch_size == 16


@pytest.fixture
def weights(tmp_path):
    (tmp_path / "resnet18.pth").touch()
    return tmp_path / "resnet18.pth"


@pytest.mark.parametrize("method", list(REGISTRY))
def test_weights_choose_the_papers_recipe(method, weights):
    assert options(method=method).recipe == REGISTRY[method].from_scratch
    assert options(method=method, weights=weights).recipe == REGISTRY[method].paper


def test_given_values_go_before_the_recipes(weights):
    made = options(method="sgm", epochs=2, batch_size=8, lr=0.5)
    own = REGISTRY["sgm"].from_scratch
    assert made.recipe == Recipe(2, 8, 0.5, own.one_cycle, own.weight_decay)
    assert options(weights=weights, epochs=2).recipe == REGISTRY["mul_dml"].paper.replaced(epochs=2)


def test_own_options_are_those_of_the_chosen_names(tmp_path):
    made = options(method="sgm", sgm={"sigma": 2}, synthetic={"identities": 4})
    assert made.method_options.sigma == 2
    assert made.own.identities == 4
    (tmp_path / "anger").mkdir()
    assert options(dataset="ck_plus", source=tmp_path).own is None


def test_a_source_that_is_no_folder_is_refused(tmp_path):
    with pytest.raises(ValidationError, match="absent does not exist; ck_plus expects folders anger"):
        options(dataset="ck_plus", source=tmp_path / "absent")
    with pytest.raises(ValidationError, match="is empty; ferplus expects"):
        options(dataset="ferplus", source=tmp_path)


def test_folds_are_parts():
    assert options(folds=3).parts == (Part(0, 3), Part(1, 3), Part(2, 3))


def test_each_command_takes_the_options_of_the_stages_before_it():
    stages = [
        config.HomeOptions,
        config.CatalogOptions,
        config.PrepareOptions,
        config.TrainOptions,
        config.SubdivideOptions,
        config.EvaluateOptions,
        config.RetrainOptions,
    ]
    for before, after in pairwise(stages):
        assert before.model_fields.keys() < after.model_fields.keys()
    assert "epochs" not in config.PrepareOptions.model_fields
    assert "dry_run" not in config.RetrainOptions.model_fields
    with pytest.raises(ValidationError, match="epochs"):
        config.IngestOptions(epochs=3)


def test_every_option_is_described():
    classes = [config.RetrainOptions, config.PromoteOptions, *(method.Options for method in REGISTRY.values())]
    for one in classes:
        for name, field in one.model_fields.items():
            assert field.description or name in {*REGISTRY, "synthetic"}, f"{one.__name__}.{name}"


def test_promote_takes_a_version():
    made = config.PromoteOptions(version=3, dry_run=True)
    assert (made.version, made.dry_run, made.model_name) == (3, True, "fer")
    with pytest.raises(ValidationError, match="version"):
        config.PromoteOptions(version=0)
