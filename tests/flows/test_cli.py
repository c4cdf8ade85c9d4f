import re
from pathlib import Path

import pytest

from fer_core.errors import InputError
from fer_core.options.stages import PromoteOptions, RetrainOptions
from flows.cli import OPTIONS, parse


def parsed(*arguments, home=None, options_class=RetrainOptions):
    return parse("retrain", options_class, list(arguments), home)


def written(folder, text):
    file = folder / "options.yaml"
    file.write_text(text)
    return str(file)


def test_nothing_given_is_the_defaults():
    assert parsed() == RetrainOptions()


@pytest.mark.parametrize(
    "arguments", [("--batch-size", "8", "--face-size", "64"), ("--batch-size=8", "--face-size=64")]
)
def test_options_are_kebab_case(arguments):
    made = parsed(*arguments)
    assert (made.batch_size, made.face_size) == (8, 64)


@pytest.mark.parametrize("value", ["0.1,0.2", "[0.1,0.2]", "[0.1, 0.2]"])
def test_a_methods_options_are_dotted(value):
    made = parsed("--mul-dml.thresholds", value, "--mul-dml.slice-size=16", "--sgm.norm-weight", "0")
    assert made.mul_dml.thresholds == (0.1, 0.2)
    assert (made.mul_dml.slice_size, made.mul_dml.dropout, made.sgm.norm_weight) == (16, 0.5, 0)


def test_a_list_may_begin_with_a_minus():
    assert parsed("--rotations=-5,0,5").rotations == (-5, 0, 5)


def test_flags():
    assert not parsed().json_
    assert parsed("--json", "--verbose").json_
    assert parsed("--dry-run", options_class=PromoteOptions).dry_run


@pytest.mark.parametrize(("batch", "dotted"), [("batch-size", "slice-size"), ("batch_size", "slice_size")])
def test_a_file_of_options_takes_dashes_and_underscores(tmp_path, batch, dotted):
    file = written(tmp_path, f"method: sgm\n{batch}: 16\nlr: 0.01\njson: true\nmul-dml:\n  {dotted}: 8\n")
    made = parsed("--config", file)
    assert (made.method, made.batch_size, made.lr, made.json_) == ("sgm", 16, 0.01, True)
    assert made.mul_dml.slice_size == 8


def test_the_command_line_goes_before_the_file_and_the_file_before_the_environment(tmp_path):
    file = written(tmp_path, "home: of-file\nepochs: 7\nseed: 5\nmul_dml:\n  dropout: 0.1\n  slice_size: 8\n")
    environment = Path("of-environment")
    assert parsed(home=environment).home == environment
    assert parsed("--config", file, home=environment).home == Path("of-file")
    made = parsed("--config", file, "--home", "of-line", "--epochs", "2", "--mul-dml.dropout", "0.3", home=environment)
    assert (made.home, made.epochs, made.seed) == (Path("of-line"), 2, 5)
    assert (made.mul_dml.dropout, made.mul_dml.slice_size) == (0.3, 8)
    assert made.config == Path(file)


@pytest.mark.parametrize(
    ("argument", "suggestion"),
    [
        ("--epoch", "--epochs"),
        ("--epchs=3", "--epochs"),
        ("--batch_size", "--batch-size"),
        ("--mul-dml.threshold", "--mul-dml.thresholds"),
        ("--jsn", "--json"),
    ],
)
def test_an_unknown_option_is_named_with_its_neighbours(argument, suggestion):
    with pytest.raises(InputError, match=f"unknown option {argument.split('=')[0]}; did you mean .*{suggestion}"):
        parsed(argument, "3")


def test_an_option_like_no_other_is_answered_with_all():
    with pytest.raises(InputError, match=r"unknown option zzz; choose from .*--home.*--model-name"):
        parsed("zzz")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch: 3", "unknown option --epoch; did you mean --epochs"),
        ("mul_dml:\n  slices: 3", r"unknown option --mul-dml\.slices; did you mean .*--mul-dml\.slice-size"),
        ("epochs: many", "--epochs 'many': Input should be a valid integer"),
        ("epochs: [1]", r"--epochs \[1\]: Input should be a valid integer"),
        ("method: knn", "--method 'knn': choose one of cnn, triplet, sgm, mul_dml"),
        ("mul_dml: 3", "--mul-dml 3: Input should be a valid dictionary"),
        ("rotations: [0, x]", "--rotations 'x': Input should be a valid number"),
    ],
)
def test_a_wrong_key_of_a_file_is_named(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        parsed("--config", written(tmp_path, text))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--epochs", "0"), "--epochs '0': Input should be greater than or equal to 1"),
        (("--epochs", "x"), "--epochs 'x': Input should be a valid integer"),
        (("--epochs",), "--epochs: expected one argument"),
        (("--patch", "60"), "^--patch 60 is larger than --face-size 48$"),
        (("--dataset", "ck_plus"), "^--source is missing: ck_plus expects"),
        (("--precision", "half"), "--precision 'half': Input should be 'auto', 'float32' or 'bfloat16'"),
        (("--mul-dml.dropout", "1"), r"--mul-dml\.dropout '1': Input should be less than 1"),
    ],
)
def test_a_wrong_value_is_named(arguments, message):
    with pytest.raises(InputError, match=message) as error:
        parsed(*arguments)
    assert "\n" not in str(error.value)


def test_all_wrong_options_are_named_at_once():
    with pytest.raises(InputError, match=r"--epochs.*; --batch-size"):
        parsed("--epochs", "0", "--batch-size", "1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs: [1", "options.yaml is not YAML"),
        ("- epochs", "must hold options such as `epochs: 10`"),
        ("just text", "must hold options"),
        ("", "must hold options"),
    ],
)
def test_a_file_that_holds_no_options_is_refused(tmp_path, text, message):
    with pytest.raises(InputError, match=message) as error:
        parsed("--config", written(tmp_path, text))
    assert "\n" not in str(error.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(InputError, match=r"absent\.yaml cannot be read: No such file"):
        parsed("--config", str(tmp_path / "absent.yaml"))
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        parsed("--config", str(tmp_path))
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(InputError, match=r"binary\.yaml is not YAML"):
        parsed("--config", str(tmp_path / "binary.yaml"))


def test_help_lists_the_options(capsys):
    with pytest.raises(SystemExit) as left:
        parsed("--help")
    assert left.value.code == 0
    shown = capsys.readouterr().out
    for option in ("--mul-dml.thresholds", "--batch-size", "--json", "--model-name"):
        assert option in shown
    assert "python -m flows retrain" in shown


@pytest.mark.parametrize("command", OPTIONS)
def test_help_names_values_as_people_do(capsys, command):
    with pytest.raises(SystemExit):
        parse(command, OPTIONS[command], ["--help"], None)
    shown = " ".join(capsys.readouterr().out.split())
    assert "--home FOLDER" in shown
    assert "--config FILE" in shown
    assert not re.findall(r"tuple\[|dict\[|\bPath\b|\bstr\b|\bint\b|\bfloat\b|None", shown)


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("experiment", "--data DATASET=FOLDER DATASET=FOLDER, once"),
        ("experiment", "--set OPTION=VALUE OPTION=VALUE over"),
        ("experiment", "--rows NAME,... only"),
        ("experiment", "--columns NAME,... only"),
        ("train", "--weights FILE pre-trained"),
        ("train", "--rotations NUMBER,... degrees"),
        ("train", "--bu3dfe.views {F2D,F3D},... "),
        ("train", "--stream URI URI of a folder"),
        ("ingest", "--source FOLDER the"),
    ],
)
def test_help_says_what_a_value_is(capsys, command, text):
    with pytest.raises(SystemExit):
        parse(command, OPTIONS[command], ["--help"], None)
    assert text in " ".join(capsys.readouterr().out.split())
