import experiment_fixtures as small
import pytest

from fer_core.experiments.options import ExperimentOptions, cells_of
from fer_core.experiments.results import Cell
from fer_core.experiments.settings import Asked, divided

RECIPE = {"one_cycle", "weight_decay", "lr_decay", "num_decays", "averaging"}


def plans(tmp_path, **changed):
    columns = {"drawn": {"data": "synthetic"}}
    file = small.write(tmp_path, **{"columns": columns, "published": {}, "smoke": {}, **changed})
    options = ExperimentOptions(name=str(file))
    return cells_of(options, options.experiment)


def test_what_is_unset_is_told_as_it_is_run(tmp_path):
    (plan, _) = plans(tmp_path, base={"method": "triplet"}, rows={"one": {}, "two": {"patch": 40, "face_size": 60}})
    found = plan.settings
    method = plan.options[0]
    assert (found["epochs"], found["batch_size"], found["lr"]) == (
        method.recipe.epochs, method.recipe.batch_size, method.recipe.lr
    )  # fmt: skip
    assert found["epochs"] is not None
    assert (found["face_size"], found["patch"]) == (method.crop_size, method.patch_size)
    assert (found["weights"], found["backbone"]) == ("random", "resnet18")
    assert set(found) >= RECIPE


def test_options_are_told_where_any_cell_has_them_otherwise_than_by_default(tmp_path):
    rows = {"one": {"mul_dml": {"slice_size": 64}}, "two": {}, "three": {"method": "cnn"}}
    (one, two, three) = plans(tmp_path, base={"method": "mul_dml"}, rows=rows)
    assert (one.settings["mul_dml.slice_size"], two.settings["mul_dml.slice_size"]) == (64, 256)
    assert "mul_dml.slice_size" not in three.settings, "which has no slices"
    assert "resamples" not in one.settings
    assert not {"dataset", "source", "seed", "home"} & set(one.settings)


def test_the_weights_are_told_by_name(tmp_path):
    (tmp_path / "faces.safetensors").touch()
    base = {"method": "cnn", "weights": str(tmp_path / "faces.safetensors")}
    (plan, _) = plans(tmp_path, base=base)
    assert plan.settings["weights"] == "faces.safetensors"


def test_landmarks_have_no_sizes_of_pictures(tmp_path):
    (plan, _) = plans(tmp_path, base={"method": "landmark_vae"}, rows={"one": {}, "two": {"epochs": 2}})
    assert not {"backbone", "weights", "face_size", "patch"} & set(plan.settings)
    assert plan.settings["method"] == "landmark_vae"


def test_a_cell_that_is_not_run_has_no_settings(tmp_path):
    assert plans(tmp_path, columns={"CK+": {"data": "ck_plus"}})[0].settings == {}


def test_settings_are_said_once_for_all_whom_they_are_common_to():
    values = {
        ("a", "x"): {"lr": 1, "epochs": 2, "folds": 5, "variant": "p", "odd": 0},
        ("a", "y"): {"lr": 1, "epochs": 2, "folds": 9, "variant": "p", "odd": 1},
        ("b", "x"): {"lr": 1, "epochs": 2, "folds": 5, "variant": "q", "odd": 2},
        ("b", "y"): {"lr": 1, "epochs": 2, "folds": 9, "variant": "q", "odd": 3},
    }
    cells = [Cell(*place, settings=settings) for place, settings in values.items()]
    cells.append(Cell("c", "x", missing="kdef"))
    assert divided(cells) == [
        ("all", {"lr": 1, "epochs": 2}),
        ("column x", {"folds": 5}),
        ("column y", {"folds": 9}),
        ("row a", {"variant": "p"}),
        ("row b", {"variant": "q"}),
        ("a, x", {"odd": 0}),
        ("a, y", {"odd": 1}),
        ("b, x", {"odd": 2}),
        ("b, y", {"odd": 3}),
    ]


def test_what_a_cell_lacks_is_not_common_even_if_another_has_it_unset():
    cells = [Cell("a", "x", settings={"lr": 1, "k": None}), Cell("b", "x", settings={"lr": 1})]
    assert divided(cells) == [("all", {"lr": 1}), ("row a", {"k": None})]
    assert divided([]) == []


@pytest.mark.parametrize(
    ("asked", "arguments"),
    [
        (Asked(), []),
        (Asked(smoke=True, rows=("Mul-DML", "S DML")), ["--smoke", "--rows Mul-DML", "--rows 'S DML'"]),
        (Asked(columns=("CK+",), set={"lr": "1e-3"}), ["--columns CK+", "--set lr=1e-3"]),
    ],
)
def test_what_was_asked_for_is_told_as_it_is_written(asked, arguments):
    assert asked.arguments == arguments
