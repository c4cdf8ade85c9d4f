import re

import experiment_fixtures as small
import pytest

from fer_core.errors import InputError
from fer_core.experiments import comparisons, spec, vocabulary
from fer_core.report.measures import GROUPS

every = pytest.mark.parametrize("name", spec.names())


def test_all_five_papers_have_tables():
    assert {name.split("/")[0] for name in spec.names()} == {
        "sgm",
        "mul_dml",
        "dml_net",
        "landmark_vae",
        "verification",
    }


@every
def test_shipped_experiments_load_and_say_how_they_differ(name):
    read = spec.read_experiment(name)
    assert read.title
    assert read.question.endswith("?")
    assert read.deviations
    assert read.smoke.options, "a smoke run must be smaller than the table"


@every
def test_shipped_numbers_are_in_their_unit(name):
    read = spec.read_experiment(name)
    shares = [
        number
        for cells in read.published.values()
        for numbers in cells.values()
        for metric, number in numbers.items()
        if metric not in vocabulary.COUNTS
    ]
    assert all(0 < number <= (100 if read.unit == "percent" else 1) for number in shares)
    assert not shares or read.unit == "fraction" or max(shares) > 1


def test_the_names_are_those_that_exist():
    told = {
        name for group in GROUPS.values() for name in group if not name.startswith("accuracy_")
    }  # of a class or view
    assert told == set(vocabulary.METRICS) - set(vocabulary.COUNTS)
    assert set(comparisons.COMPARED) == set(vocabulary.OF_ALL_CELLS)


def test_a_later_place_goes_before_an_earlier_one_field_by_field():
    read = small.experiment(
        base={"epochs": 1, "lr": 0.1, "seven": 7, "mul_dml": {"slice_size": 1, "dropout": 0.1, "thresholds": [0.1]}},
        columns={"drawn": {"data": "synthetic", "options": {"epochs": 2, "lr": 0.2, "mul_dml": {"slice_size": 2}}}},
        rows={"one": {"epochs": 3, "mul_dml": {"dropout": 0.3}}},
        published={},
        smoke={"epochs": 4, "mul_dml": {"thresholds": [0.4, 0.5]}},
    )
    merged = {"slice_size": 2, "dropout": 0.3, "thresholds": [0.1]}
    own = {"epochs": 3, "lr": 0.2, "seven": 7, "mul_dml": merged}
    assert read.options_of("one", "drawn", smoke=False) == {**own, "dataset": "synthetic"}
    drawn = {**own, "epochs": 4, "mul_dml": {**merged, "thresholds": [0.4, 0.5]}, "dataset": "synthetic"}
    assert read.options_of("one", "drawn", smoke=True) == drawn


def test_a_smoke_run_leaves_out_what_drawn_faces_do_not_have():
    read = small.experiment(base={"landmarks": "mtcnn", "identities": "estimated", "folds": 10, "epochs": 9})
    assert read.options_of("one", "CK+", smoke=True) == {"epochs": 1, "dataset": "synthetic"}
    assert read.options_of("one", "CK+", smoke=False)["folds"] == 10
    folded = small.experiment(base={"folds": 10}, smoke={"folds": 2})
    assert folded.options_of("one", "CK+", smoke=True)["folds"] == 2


def test_size_is_that_of_the_command_line_then_of_smoke():
    read = small.experiment(smoke={"rows": ["two"], "columns": ["drawn"]})
    assert [*read.of_size(False).rows] == ["one", "two"]
    assert [*read.of_size(True).rows] == ["two"]
    assert [*read.of_size(True).columns] == ["drawn"]
    assert [*read.of_size(True, rows=("two", "one"), columns=("CK+",)).rows] == ["one", "two"]
    assert read.of_size(True).published["one"] == {}
    assert read.of_size(False, rows=("two",)).published["one"] == {"CK+": {"accuracy": 90}}
    with pytest.raises(InputError, match=re.escape("--rows three: there is no such row; choose from one, two")):
        read.of_size(False, rows=("three",))
    with pytest.raises(InputError, match=re.escape("--columns CK: there is no such column; did you mean CK+?")):
        read.of_size(False, columns=("CK",))


def test_a_bare_number_is_of_the_only_metric_of_its_column():
    read = small.experiment(
        metrics=["accuracy", "nmi"],
        columns={"drawn": {"data": "synthetic"}, "CK+": {"data": "ck_plus", "metrics": ["f1"]}},
        published={"one": {"drawn": {"nmi": 3}, "CK+": 4}, "two": None},
    )
    assert read.published == {"one": {"drawn": {"nmi": 3}, "CK+": {"f1": 4}}, "two": {}}
    assert read.metrics_of("drawn") == ("accuracy", "nmi")


BAD = {
    "unknown key": ({"tittle": "x"}, "tittle: Extra inputs are not permitted"),
    "missing key": ({"title": None}, "title: Field required"),
    "no rows": ({"rows": {}, "published": {}}, "rows: .* at least 1"),
    "row that is no mapping": ({"rows": {"one": 5}}, "rows.one: .*valid dictionary"),
    "unknown unit": ({"unit": "per mille"}, "unit: .*'percent' or 'fraction'"),
    "unknown data set": ({"columns": {"CK+": {"data": "ckplus"}}}, "columns.CK.*there is no ckplus; choose from .*ck_"),
    "unknown tested data set": ({"columns": {"CK+": {"data": "ck_plus", "test": "x"}}}, "there is no x; choose from"),
    "tested on itself": ({"columns": {"CK+": {"data": "ck_plus", "test": "ck_plus"}}}, "another data set than ck_plus"),
    "unknown metric": ({"metrics": ["acuracy"], "published": {}}, "there is no acuracy; choose from accuracy,"),
    "unknown metric of a column": (
        {"columns": {"CK+": {"data": "ck_plus", "metrics": ["x"]}}, "published": {}},
        "there is no x; choose from accuracy,",
    ),
    "one metric as text": ({"metrics": "accuracy"}, "metrics: .*valid tuple"),
    "unknown figure": ({"figures": ["confusing"]}, "figures: there is no confusing; choose from confusion,"),
    "published in an unknown column": ({"published": {"one": {"MMI": 5}}}, "published: one has a column MMI"),
    "published metric not printed": ({"published": {"one": {"CK+": {"nmi": 5}}}}, "published: one, CK.* has ..nmi"),
    "published text": ({"published": {"one": {"CK+": "high"}}}, "published.one.CK.*valid number"),
    "published row without columns": ({"published": {"one": 5}}, "published.one: .*valid dictionary"),
    "published list": ({"published": [5]}, "published: .*valid dictionary"),
    "one number for two metrics": ({"metrics": ["accuracy", "nmi"]}, "published.one.CK.*valid dictionary"),
    "unknown row of smoke": ({"smoke": {"rows": ["three"]}}, "smoke: rows has no .*three.*; choose from .*one"),
    "smoke that is no mapping": ({"smoke": 3}, "smoke: .*valid dictionary"),
    "seed in base": ({"base": {"seed": 3}}, "base has seed, which is not a cell's own option: --seeds says it"),
    "data set in a row": ({"rows": {"one": {"dataset": "kdef"}}, "published": {}}, "rows: one has dataset, .*`data`"),
    "home in smoke": ({"smoke": {"home": "/x"}}, "smoke has home"),
    "source in a column": ({"columns": {"CK+": {"data": "ck_plus", "options": {"source": "/x"}}}}, "--data says"),
    "columns that are a list": ({"columns": ["CK+"]}, "columns: .*valid dictionary"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_told_in_one_sentence(case, tmp_path):
    changed, sentence = BAD[case]
    file = small.write(tmp_path, **changed)
    with pytest.raises(InputError, match=sentence) as told:
        spec.read_experiment(str(file))
    assert str(told.value).startswith(f"{file}: ")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "just words\n"])
def test_a_file_without_keys(text, tmp_path):
    with pytest.raises(InputError, match=r"own.yaml must hold keys"):
        spec.read_experiment(str(small.write(tmp_path, text)))


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match=r"own.yaml is not YAML: .*line 1"):
        spec.read_experiment(str(small.write(tmp_path, "a: [1\n")))
    (tmp_path / "own.yaml").write_bytes(b"a: \xff\xfe")
    with pytest.raises(InputError, match=r"own.yaml is not YAML"):
        spec.read_experiment(str(tmp_path / "own.yaml"))
    with pytest.raises(InputError, match=r"none.yaml cannot be read: No such file"):
        spec.read_experiment(str(tmp_path / "none.yaml"))
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(InputError, match=r"cannot be read: Is a directory"):
        spec.read_experiment(str(tmp_path / "folder.yaml"))
    with pytest.raises(InputError, match=r"no experiment sgm/table9; choose one of dml_net/ablation, .*or name a YAML"):
        spec.read_experiment("sgm/table9")


def test_names_of_folders():
    assert spec.short_name("mul_dml/table3") == "mul_dml-table3"
    assert spec.short_name("/tmp/a b/../Tom's try.v2.yaml") == "Tom-s-try.v2"
    assert spec.short_name("../-.yaml") == "experiment"
    assert len(spec.short_name("x" * 250 + ".yaml")) == 100
