import pytest
from pydantic import ValidationError

from fer_core.options.stages import CropOptions, ScoreOptions


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "pairs.csv").write_text("first,second\na.png,b.png\n")
    return tmp_path / "source"


def test_the_paths_of_pairs_begin_at_the_source_else_at_their_file(folder, tmp_path):
    pairs = folder / "pairs.csv"
    assert ScoreOptions(task="verification", pairs=pairs).folder == folder
    beside = ScoreOptions(task="verification", pairs=pairs, source=str(tmp_path), home=tmp_path / ".fer")
    assert beside.folder == tmp_path


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "--source is missing"),
        ({"source": "nowhere"}, "does not exist; expected a folder of pictures"),
        ({"task": "verification", "source": "."}, "needs --pairs FILE"),
        ({"source": ".", "pairs": "pairs.csv"}, "is for --task verification, which is not given"),
        ({"task": "verification", "pairs": "none.csv"}, "none.csv does not exist or is not a file"),
        ({"task": "landmarks"}, "--task landmarks and --landmarks FILE go together"),
        ({"source": ".", "landmarks": "pairs.csv"}, "--task landmarks and --landmarks FILE go together"),
        ({"task": "landmarks", "landmarks": "none.csv"}, "none.csv does not exist or is not a file"),
        ({"task": "landmarks", "landmarks": "pairs.csv", "source": "."}, "are of pictures; --task landmarks reads"),
        ({"source": ".", "home": "home"}, "would be taken for pictures"),
        ({"source": ".", "home": "/tmp/home"}, "holds no picture, in whatever depth"),
        ({"source": "*.png"}, "matches no picture"),
        ({"source": "pairs.csv"}, "has no column of pictures"),
        ({"source": ".", "every": 0}, "greater than or equal to 0.01"),
        ({"task": "verification", "pairs": "pairs.csv", "every": 1}, "--every is for --task pictures"),
        ({"task": "verification", "pairs": "pairs.csv", "source": "pairs.csv"}, "is a file, not a folder"),
        ({"source": ".", "far": 1}, "less than 1"),
        ({"source": ".", "far": 0}, "greater than 0"),
        ({"source": ".", "version": 0}, "greater than or equal to 1"),
        ({"source": ".", "model_name": "a/b"}, "match pattern"),
    ],
)
def test_what_does_not_go_together_is_named(folder, monkeypatch, given, message):
    monkeypatch.chdir(folder)
    with pytest.raises(ValidationError, match=message):
        ScoreOptions(**given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"expressions": "estimated"}, "--expressions estimated and --expression-model NAME go together"),
        ({"expression_model": "fer"}, "--expressions estimated and --expression-model NAME go together"),
        ({"expression_version": 2}, "which is not given"),
        ({"least_probability": 1.1}, "less than or equal to 1"),
        ({"expressions": "guessed"}, "expressions"),
    ],
)
def test_expressions_are_estimated_by_a_model(given, message):
    with pytest.raises(ValidationError, match=message):
        CropOptions(**given)
    made = CropOptions(expressions="estimated", expression_model="fer", expression_version=2)
    assert (made.expression_model, made.expression_version, made.least_probability) == ("fer", 2, 0.5)
