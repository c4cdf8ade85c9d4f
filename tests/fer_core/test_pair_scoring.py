import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fer_core.datasets.base import Rejected
from fer_core.directories import Directory
from fer_core.errors import InputError
from fer_core.files import write_table
from fer_core.ingest.scanning import set_aside_table
from fer_core.scoring.faces import PREDICTIONS, SCHEMA
from fer_core.scoring.pairs import (
    ASIDE,
    PAIRS,
    AskedPair,
    measure_decisions,
    pictures_of,
    read_pairs,
    threshold_for,
    write_decisions,
)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "pairs.csv"


def test_pairs_are_read_with_what_is_known_of_them(file):
    file.write_text("Second, first ,fold,same\nb.png,a.png,1,1\nc.png,a.png,1,0\nd.png,a.png,2,\nx.png\n")
    assert read_pairs(file) == [
        AskedPair("a.png", "b.png", True),
        AskedPair("a.png", "c.png", False),
        AskedPair("a.png", "d.png", None),
        AskedPair("", "x.png", None),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("first,other\na,b\n", "has no column second; its first line holds first, other"),
        ("first,second\n", "holds no pair"),
        ("first,second,same\na,b,1\na,c,yes\n", "line 3: same is 'yes'"),
    ],
)
def test_a_file_of_something_else_is_an_error_that_says_what(file, text, message):
    file.write_text(text)
    with pytest.raises(InputError, match=message):
        read_pairs(file)


def test_each_picture_is_scored_once():
    pairs = [AskedPair("b.png", "./a.png", None), AskedPair("a.png", "/etc/x.png", None), AskedPair("", "b.png", None)]
    assert pictures_of(pairs) == ["a.png", "b.png"]


def predictions(num_different):
    distance = np.arange(1.0, num_different + 4)
    return pa.table({"truth": ["same"] * 3 + ["different"] * num_different, "distance": distance})


def test_the_threshold_keeps_the_rate_among_different_people():
    table = predictions(200)
    threshold = threshold_for(table, 0.01, "people version 1")
    different = table["distance"].to_numpy()[3:]
    assert (different <= threshold).sum() == 2
    assert threshold > 5.999  # the loosest


@pytest.mark.parametrize(("num_different", "far"), [(99, 0.01), (200, 0.0049)])
def test_a_rate_finer_than_the_pairs_can_tell_is_an_error_with_the_finest(num_different, far):
    threshold_for(predictions(num_different), 1 / num_different, "people version 1")
    with pytest.raises(InputError, match=rf"people version 1 was tested on; the finest is --far {1 / num_different:g}"):
        threshold_for(predictions(num_different), far, "people version 1")


def test_without_pairs_of_different_people_no_rate_can_be_told():
    with pytest.raises(InputError, match=r"by the 0 pairs of different people that people version 1 was tested on$"):
        threshold_for(predictions(0), 0.5, "people version 1")


@pytest.fixture
def scores(tmp_path):
    """Three pictures on a line at 0, 1 and 3, in two shards, and one without a face."""
    directory = Directory(tmp_path, "scores", kind="scores", config={}, inputs={}, code="test")
    directory.start()
    (directory.path / PREDICTIONS).mkdir()
    for number, rows in enumerate([[("a.png", 0.0), ("b.png", 1.0)], [("d/c.png", 3.0)]]):
        columns = {"source_path": [name for name, _ in rows], "embedding": [[at, 5.0] for _, at in rows]}
        table = pa.table([columns.get(f.name, [None] * len(rows)) for f in SCHEMA], schema=SCHEMA)
        write_table(directory.path / PREDICTIONS / f"part-{number:05d}.parquet", table)
    write_table(directory.path / "aside-00000.parquet", set_aside_table([Rejected("x.png", "no face found")]))
    names = [
        path.relative_to(directory.path).as_posix() for path in directory.path.rglob("*.parquet") if path.is_file()
    ]
    directory.finish(names, {})
    return directory.path


PAIRS_ASKED = [
    AskedPair("a.png", "b.png", True),
    AskedPair("./a.png", "d/c.png", False),
    AskedPair("b.png", "d/c.png", False),
    AskedPair("d/c.png", "d/c.png", None),
    AskedPair("a.png", "x.png", True),
    AskedPair("../a.png", "b.png", None),
    AskedPair("a.png", "", None),
]


def test_pairs_are_decided_by_their_distance_and_the_others_set_aside(tmp_path, scores):
    summary = write_decisions(tmp_path, PAIRS_ASKED, scores, threshold=4.0)
    table = pq.read_table(tmp_path / PAIRS).to_pydict()
    assert table == {
        "first": ["a.png", "./a.png", "b.png", "d/c.png"],
        "second": ["b.png", "d/c.png", "d/c.png", "d/c.png"],
        "distance": [1.0, 9.0, 4.0, 0.0],
        "same_person": [True, False, True, True],
        "threshold": [4.0] * 4,
        "same": [True, False, False, None],
    }
    reasons = {"no face found": 1, "pair without two pictures": 1, "path leaves the source folder": 1}
    assert {row["reason"] for row in pq.read_table(tmp_path / ASIDE).to_pylist()} == set(reasons)
    metrics = {"accuracy": pytest.approx(2 / 3), "tar": 1.0, "far": 0.5}
    assert summary == {"rows": 4, "set_aside": reasons, "same_person": 3, "threshold": 4.0, "metrics": metrics}


def test_nothing_to_decide_is_no_crash(tmp_path, scores):
    summary = write_decisions(tmp_path, PAIRS_ASKED[4:], scores, threshold=4.0)
    assert (summary["rows"], summary["same_person"], summary["metrics"]) == (0, 0, {})
    assert len(pq.read_table(tmp_path / PAIRS)) == 0


def test_a_rate_without_pairs_is_left_out():
    table = pa.table({"same": pa.array([True, None]), "same_person": [False, True]})
    assert measure_decisions(table) == {"accuracy": 0.0, "tar": 0.0}
    assert measure_decisions(table.slice(1)) == {}
