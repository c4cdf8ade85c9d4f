import importlib
import re

import experiment_fixtures as small
import pytest
from layouts import lfw
from pydantic import ValidationError

from fer_core import datasets, methods
from fer_core.experiments import spec
from fer_core.experiments.options import ExperimentOptions, cells_of

every = pytest.mark.parametrize("name", spec.names())


ASKED = {"landmark_vae/spontaneous": {"landmark_vae.triplets": "."}}
"""Options without which a table cannot be run."""


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """A small folder of every data set that needs one."""
    folder = tmp_path_factory.mktemp("sources")
    found = {}
    for name, adapter in datasets.REGISTRY.items():
        if adapter.needs_source:
            (folder / name).mkdir()
            written = importlib.import_module(f"layouts.{name}").write(folder / name)
            found[name] = written[0] if isinstance(written, tuple) else written
    lfw.write_four_folds(found["lfw"])  # enough for verification/pairs
    return found


@pytest.fixture
def ck_plus(sources):
    return sources["ck_plus"]


def cells(file, **given):
    options = ExperimentOptions(name=str(file), **given)
    return cells_of(options, options.experiment)


def refusal(file, **given):
    with pytest.raises(ValidationError) as told:
        ExperimentOptions(name=str(file), **given)
    (problem,) = told.value.errors()
    return problem["msg"].removeprefix("Value error, ")


@every
def test_shipped_experiments_have_possible_options_for_all_data_sets(name, sources):
    plans = cells(name, data=sources, set=ASKED.get(name, {}))
    read = spec.read_experiment(name)
    assert [(plan.row, plan.column) for plan in plans] == [
        (row, column) for row in read.rows for column in read.columns
    ]
    assert all(plan.options and not plan.missing for plan in plans)
    assert {plan.options[0].method for plan in plans} <= set(methods.REGISTRY)


@every
def test_shipped_experiments_have_a_smoke_size_that_needs_nothing(name):
    plans = cells(name, smoke=True)
    assert 1 <= len(plans) <= 5
    for plan in plans:
        assert plan.missing is None
        (own,) = plan.options
        assert own.dataset == "synthetic"
        assert own.epochs == 1
        assert own.synthetic.identities <= 40


@every
def test_shipped_experiments_without_data_are_named_empty_columns(name):
    read = spec.read_experiment(name)
    for plan in cells(name):
        own = read.columns[plan.column]
        if own.data == "synthetic":
            assert plan.options
        else:
            assert plan.missing in (own.data, own.test)
            assert plan.options == ()


def test_a_cell_has_an_options_object_for_each_seed(tmp_path):
    (first, second) = cells(small.write(tmp_path), columns=("drawn",), seeds=(3, 1))
    assert [own.seed for own in first.options] == [3, 1]
    assert [own.epochs for own in (*first.options, *second.options)] == [3, 3, 5, 5]
    assert first.options[0].home == ExperimentOptions(name="sgm/table2").home


def test_missing_data_leaves_its_cells_empty(tmp_path, sources, ck_plus):
    file = small.write(
        tmp_path,
        columns={"CK+": {"data": "ck_plus"}, "to JAFFE": {"data": "ck_plus", "test": "jaffe"}},
        rows={"one": {}},
        published={},
        smoke={},
    )
    assert [plan.missing for plan in cells(file)] == ["ck_plus", "ck_plus"]
    own, other = cells(file, data={"ck_plus": ck_plus})
    assert (own.missing, other.missing) == (None, "jaffe")
    assert own.options[0].source == ck_plus
    own, other = cells(file, data={"ck_plus": ck_plus, "jaffe": sources["jaffe"]})
    assert other.missing is None
    assert other.tested.source == sources["jaffe"]
    assert other.options[0].source == ck_plus


def test_another_data_set_is_read_and_cropped_as_the_one_that_is_trained_on(tmp_path, sources):
    base = {"landmarks": "mtcnn", "face": "central", "face_size": 60, "per_class": 3}
    columns = {"to CK+": {"data": "kdef", "test": "ck_plus", "options": {"ck_plus": {"neutral": True}}}}
    file = small.write(tmp_path, base=base, columns=columns, rows={"one": {}}, published={}, smoke={})
    (plan,) = cells(file, data=sources)
    tested = plan.tested
    assert (tested.dataset, tested.face_size, tested.rotations) == ("ck_plus", 60, (0.0,))
    assert (tested.landmarks, tested.face, tested.per_class) == ("mtcnn", "central", 3)
    assert tested.ck_plus.neutral is True


def test_a_smoke_run_is_tested_on_other_people_than_it_is_trained_on(tmp_path):
    columns = {"to JAFFE": {"data": "ck_plus", "test": "jaffe"}}
    smoke = {"synthetic": {"identities": 7, "takes": 1}}
    (plan,) = cells(small.write(tmp_path, columns=columns, rows={"one": {}}, published={}, smoke=smoke), smoke=True)
    trained, tested = (
        range(own.synthetic.first_seed, own.synthetic.first_seed + own.synthetic.identities)
        for own in (plan.options[0], plan.tested)
    )
    assert len(tested) == 7
    assert not set(trained) & set(tested)


@pytest.mark.parametrize("folds", [{"base": {"folds": 2}}, {"smoke": {"folds": 2}}])
def test_folds_are_not_mixed_with_another_data_set(tmp_path, sources, folds):
    columns = {"to JAFFE": {"data": "ck_plus", "test": "jaffe"}}
    file = small.write(tmp_path, **{"columns": columns, "rows": {"one": {}}, "published": {}, "smoke": {}, **folds})
    told = refusal(file, data=sources, smoke="smoke" in folds)
    assert told == f"{file}, one, to JAFFE: folds are of the data set itself, and this column tests on jaffe"


def test_an_unknown_data_set(tmp_path):
    told = refusal(small.write(tmp_path), data={"ckplus": tmp_path})
    assert told.startswith("there is no data set ckplus; choose from ck_plus, ")


def test_an_option_over_all_cells(tmp_path):
    texts = {
        "epochs": "7",
        "lr": "1e-3",
        "rotations": "[-5, 0]",
        "mul-dml.slice-size": "64",
        "mul_dml.thresholds": "[0.2, 0.3]",
        "synthetic.takes": "2",
        "landmarks": "annotated",
        "validation": "yes",
    }
    options = ExperimentOptions(name=str(small.write(tmp_path)), set=texts, columns=("drawn",))
    assert options.over_all["mul_dml"] == {"slice_size": 64, "thresholds": [0.2, 0.3]}
    for plan in cells_of(options, options.experiment):
        own = plan.options[0]
        assert (own.epochs, own.lr, own.rotations, own.validation) == (7, 1e-3, (-5, 0), True)
        assert (own.mul_dml.slice_size, own.mul_dml.thresholds) == (64, (0.2, 0.3))
        assert (own.synthetic.takes, own.synthetic.identities, own.landmarks) == (2, 80, "annotated")


BAD = {
    "type": ({"epochs": "two"}, "{file}, one, drawn: epochs: Input should be a valid integer"),
    "name": (
        {"mul-dml.slicesize": "2"},
        "--set mul-dml.slicesize: there is no such option; did you mean mul_dml.slice_",
    ),
    "name like no other": ({"zzzz": "2"}, "--set zzzz: there is no such option; choose from workers, "),
    "value": ({"backbone": "resnet19"}, "{file}, one, drawn: backbone: choose one of "),
    "not YAML": ({"epochs": "["}, "epochs=[: the value is not YAML"),
    "seed": ({"seed": "3"}, "seed is not a cell's own option: --seeds says it"),
    "data set": ({"dataset": "kdef"}, "dataset is not a cell's own option: a column's `data` says it"),
    "home": ({"home": "/x"}, "home is not a cell's own option: "),
    "together": ({"patch": "50"}, "{file}, one, drawn: --patch 50 is larger than --face-size 48"),
}


@pytest.mark.parametrize("case", BAD)
def test_an_impossible_option_names_the_cell(case, tmp_path):
    texts, sentence = BAD[case]
    file = small.write(tmp_path)
    assert refusal(file, set=texts).startswith(sentence.format(file=file))


def test_an_impossible_option_of_a_row_names_the_row(tmp_path):
    rows = {"one": {}, "two": {"mul_dml": {"slice_size": 0}}}
    file = small.write(tmp_path, rows=rows)
    assert refusal(file).startswith(f"{file}, two, drawn: mul_dml.slice_size: Input should be greater")


def test_rows_and_columns_are_chosen_by_name(tmp_path):
    file = small.write(tmp_path)
    plans = cells(file, rows=("two",), columns=("CK+", "drawn"))
    assert [(plan.row, plan.column) for plan in plans] == [("two", "drawn"), ("two", "CK+")]
    assert refusal(file, rows=("tow",)) == "--rows tow: there is no such row; did you mean two?"
    assert refusal(file, columns=("x", "y")) == "--columns x: there is no such column; choose from drawn, CK+"


def test_a_misspelt_option_of_a_row_is_told_with_those_like_it(tmp_path):
    told = refusal(small.write(tmp_path, rows={"one": {"epoch": 3}}))
    assert re.search(r"own.yaml, one, drawn: there is no option epoch; did you mean epochs", told)


def test_a_method_s_options_may_be_given_together(tmp_path):
    (plan, _) = cells(small.write(tmp_path), columns=("drawn",), set={"mul_dml": "{slice_size: 64}"})
    assert plan.options[0].mul_dml.slice_size == 64


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"seeds": (0, 0)}, "a seed given twice is the same run twice"),
        ({"seeds": ()}, "Tuple should have at least 1 item"),
        ({"seeds": (-1,)}, "one, drawn: seed: Input should be greater than or equal to 0"),
        ({"cost_per_hour": -1}, "greater than or equal to 0"),
        ({"parallel": 0}, "greater than or equal to 1"),
    ],
)
def test_impossible_options_of_the_command(given, sentence, tmp_path):
    assert re.search(re.escape(sentence), refusal(small.write(tmp_path), **given))


def test_a_file_that_is_wrong_is_told_before_anything_is_run(tmp_path):
    assert "tittle: Extra inputs" in refusal(small.write(tmp_path, tittle="x"))
    assert refusal("sgm/table9").startswith("there is no experiment sgm/table9; ")
