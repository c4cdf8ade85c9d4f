import pytest

from fer_core.datasets.points import read_points


@pytest.mark.parametrize(
    ("text", "dimensions", "points"),
    [
        ("1 2\n3 4\n", 2, [1, 2, 0, 3, 4, 0]),
        ("7 1 2\n9 3 4\n", 2, [1, 2, 0, 3, 4, 0]),
        ("1 2 3\n4 5 6\n", 3, [1, 2, 3, 4, 5, 6]),
        ("17\t\t1.5\t\t-2\t\t3e1\r\n", 3, [1.5, -2, 30]),
        ("\ufeff1,2,3\n\n 4, 5 ,6,\n", 3, [1, 2, 3, 4, 5, 6]),
    ],
)
def test_points_are_flat_with_an_index_left_out(tmp_path, text, dimensions, points):
    (tmp_path / "file").write_text(text, newline="")
    assert read_points(tmp_path / "file", dimensions) == points
    assert read_points(tmp_path / "file", dimensions, len(points) // 3) == points


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds 0 points, some expected"),
        ("1\n", "line 1 is not a point of 2 numbers"),
        ("1 2\n1 2 3 4\n", "line 2 is not a point of 2 numbers"),
        ("1 inf\n", "line 1 is not a point of 2 numbers"),
        ("one two\n", "line 1 is not a point of 2 numbers"),
    ],
)
def test_anything_else_is_an_error(tmp_path, text, message):
    (tmp_path / "file").write_text(text)
    with pytest.raises(OSError, match=message):
        read_points(tmp_path / "file", 2)


def test_the_number_of_points_is_checked_and_the_file_must_be_there(tmp_path):
    (tmp_path / "file").write_text("1 2\n3 4\n")
    with pytest.raises(OSError, match="holds 2 points, 3 expected"):
        read_points(tmp_path / "file", 2, 3)
    with pytest.raises(FileNotFoundError):
        read_points(tmp_path / "nothing", 2)
