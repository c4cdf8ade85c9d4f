from itertools import pairwise
from pathlib import Path

import pytest
from layouts import lfw
from pydantic import ValidationError

from fer_core import datasets
from fer_core.faces.finding import Cropping
from fer_core.folds import Part
from fer_core.methods import REGISTRY, Recipe
from fer_core.options import stages


def options(**given):
    return stages.RetrainOptions(**given)


def test_defaults_run_without_a_source():
    made = options()
    assert (made.dataset, made.method, made.backbone, made.home) == ("synthetic", "mul_dml", None, Path(".fer"))
    assert made.backbone_name == "resnet18"
    assert (made.crop_size, made.patch_size) == (48, 44)
    assert made.rotations == (-10, -5, 0, 5, 10)
    assert (made.levels, made.folds, made.workers, made.seed) == (1, None, "0", 0)
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
        ({"test_people": 0}, "test_people"),
        ({"seed": -1}, "seed"),
        ({"workers": -1}, "workers"),
        ({"resamples": 10}, "resamples"),
        ({"checkpoint_steps": 0}, "checkpoint_steps"),
        ({"rotations": [0, 90]}, "rotations"),
        ({"rotations": [0, float("nan")]}, "rotations"),
        ({"landmarks": "dlib"}, "landmarks"),
        ({"face": "smallest"}, "face"),
        ({"no_face": "drop"}, "no_face"),
        ({"identities": "guessed"}, "identities"),
        ({"virtual_rotations": "sometimes"}, "virtual_rotations"),
        ({"ck_plus": {"frames": 0}}, "ck_plus.frames"),
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
        ({"rotations": [0, 5, 5]}, "--rotations must be different and have 0"),
        ({"dataset": "ck_plus"}, "--source is missing: ck_plus expects cohn-kanade-images/"),
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
    if REGISTRY[method].inputs == "points":
        with pytest.raises(ValidationError, match="landmark_vae has none"):
            options(method=method, weights=weights)
        return
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
    assert options(dataset="jaffe", source=tmp_path).own is None
    assert options(dataset="ck_plus", source=tmp_path, ck_plus={"frames": 2}).own.frames == 2


def test_a_source_that_is_no_folder_is_refused(tmp_path):
    with pytest.raises(ValidationError, match="absent does not exist; expected cohn-kanade-images/"):
        options(dataset="ck_plus", source=tmp_path / "absent")
    with pytest.raises(ValidationError, match="is empty; expected data/FER2013Train"):
        options(dataset="ferplus", source=tmp_path)


def test_a_source_is_not_looked_at_where_none_is_needed(tmp_path):
    assert options(source=tmp_path / "absent").form == datasets.REGISTRY["synthetic"].form(None, None)


def test_sizes_go_by_what_the_source_holds(tmp_path, tiny_ck_plus):
    small = options(dataset="ck_plus", source=tiny_ck_plus)
    assert (small.crop_size, small.patch_size) == (48, 44)
    (tmp_path / "archive" / "cohn-kanade-images" / "S005" / "001").mkdir(parents=True)
    (tmp_path / "archive" / "Emotion").mkdir()
    whole = options(dataset="ck_plus", source=tmp_path / "archive")
    assert (whole.crop_size, whole.patch_size) == (236, 224)


def test_the_defaults_crop_as_the_paper_does():
    assert options(face_size=236).cropping == Cropping(236, (-10, -5, 0, 5, 10), False, "auto", "largest", "aside")


def test_how_faces_are_cropped_is_what_was_given():
    given = {"landmarks": "mtcnn", "face": "central", "no_face": "centre"}
    made = options(face_size=100, rotations=[-7, 0], virtual_rotations=True, **given).cropping
    assert made == Cropping(100, (-7, 0), True, "mtcnn", "central", "centre")
    assert made.margin > 0


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"tuples": "six"}, "tuples"),
        ({"tuple_epochs": 0}, "tuple_epochs"),
        ({"num_triplets": 0}, "num_triplets"),
        ({"seed": -1}, "seed"),
        ({"verify": "perhaps"}, "verify"),
        ({"epochs": 3}, "epochs"),
    ],
)
def test_a_wrong_option_of_prepare_is_named(given, named):
    with pytest.raises(ValidationError) as error:
        stages.PrepareOptions(**given)
    assert [problem["loc"] for problem in error.value.errors()] == [(named,)]


def test_prepare_makes_no_tuples_and_proves_nothing_unless_it_is_told_to():
    made = stages.PrepareOptions()
    assert (made.tuples, made.tuple_epochs, made.num_triplets, made.seed) == ("none", 1, None, 0)
    assert (made.verify, made.repair, made.stream, made.identities) == (False, False, None, "known")


@pytest.mark.parametrize("kind", [stages.IngestOptions, stages.PrepareOptions])
def test_proving_and_repairing_are_two_things(kind):
    assert kind(verify=True).verify
    assert kind(repair=True).repair
    with pytest.raises(ValidationError, match="verify"):
        kind(verify=True, repair=True)


def test_folds_are_parts():
    assert options(folds=3).parts == (Part(0, 3), Part(1, 3), Part(2, 3))


def test_folds_of_a_data_set_with_pairs_are_the_pairs_own_for_a_method_that_is_tested_on_them(tmp_path):
    source = lfw.write(tmp_path)
    lfw.write_four_folds(source)
    given = {"dataset": "lfw", "source": source, "folds": 2}
    own = options(**given, method="verification")
    assert own.parts == (Part(0, 2), Part(1, 2))
    assert own.with_protocol(Part()) == Part()
    part = own.with_protocol(own.parts[1])
    assert part[:3] == own.parts[1][:3]
    assert part.fold_of == {
        "AJ_Cook/AJ_Cook_0001.jpg": 0,
        "AJ_Cook/AJ_Cook_0002.jpg": 0,
        "Abel_Pacheco/Abel_Pacheco_0001.jpg": 1,
        "Abel_Pacheco/Abel_Pacheco_0002.jpg": 1,
    }
    assert options(**given, method="cnn").with_protocol(Part(0, 2)) == Part(0, 2)
    with pytest.raises(ValidationError, match="--folds 3 does not part the 4 folds of the data set's pairs"):
        options(**given | {"folds": 3}, method="verification")


def test_about_a_fifth_or_exactly_so_many_people_are_held_out():
    assert options().hold_out == Part()
    assert options(test_people=14).hold_out == Part(test_people=14)
    assert stages.PrepareOptions(test_people=14).hold_out == Part(test_people=14)


def test_folds_have_no_number_of_test_people():
    with pytest.raises(ValidationError, match="--folds and --test-people do not go together"):
        options(folds=3, test_people=14)


def test_each_command_takes_the_options_of_the_stages_before_it():
    in_order = [
        stages.HomeOptions,
        stages.CatalogOptions,
        stages.CropOptions,
        stages.TrainOptions,
        stages.SubdivideOptions,
        stages.EvaluateOptions,
        stages.RetrainOptions,
    ]
    for before, after in pairwise(in_order):
        assert before.model_fields.keys() < after.model_fields.keys()
    for own in (stages.IngestOptions, stages.PrepareOptions):
        assert stages.CatalogOptions.model_fields.keys() < own.model_fields.keys()
        assert {"verify", "repair"} <= own.model_fields.keys()
    assert stages.CropOptions.model_fields.keys() < stages.PrepareOptions.model_fields.keys()
    assert "epochs" not in stages.PrepareOptions.model_fields
    assert not {"dry_run", "verify", "repair", "tuples"} & stages.RetrainOptions.model_fields.keys()
    with pytest.raises(ValidationError, match="epochs"):
        stages.IngestOptions(epochs=3)


def test_every_option_is_described():
    classes = [stages.RetrainOptions, stages.IngestOptions, stages.PrepareOptions, stages.PromoteOptions]
    classes += [method.Options for method in REGISTRY.values()]
    classes += [adapter.options for adapter in datasets.REGISTRY.values() if adapter.options]
    for one in classes:
        for name, field in one.model_fields.items():
            assert field.description or name in {*REGISTRY, *datasets.REGISTRY}, f"{one.__name__}.{name}"


def test_promote_takes_a_version():
    made = stages.PromoteOptions(version=3, dry_run=True)
    assert (made.version, made.dry_run, made.model_name) == (3, True, "fer")
    with pytest.raises(ValidationError, match="version"):
        stages.PromoteOptions(version=0)
