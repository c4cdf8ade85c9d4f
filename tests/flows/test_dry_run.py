from flows import dry_run


def inspection(**changed):
    cells = [("anger", "A", 0, 2), ("anger", "B", -45, 1), ("fear", "A", 0, 3), (None, None, None, 4)]
    counts = [dict(zip(("expression", "subject", "pose", "rows"), cell, strict=True)) for cell in cells]
    return {
        "counts": counts,
        "set_aside": {"empty file": 2},
        "set_aside_examples": {"empty file": ["a.png: ", "b.png: "]},
        "near_duplicates": {"overlaps": [], "conflicts": []},
    } | changed


def test_pictures_are_counted_by_class_and_pose_with_the_people_they_are_of():
    assert dry_run.lines(inspection())[:4] == [
        "expression  -45 deg  frontal  pose unknown  pictures   people",
        "anger             1        2             0         3        2",
        "fear              0        3             0         3        1",
        "unknown           0        0             4         4  unknown",
    ]


def test_reasons_come_with_examples():
    assert dry_run.lines(inspection())[5:9] == [
        "set aside: 2",
        "  2 empty file, such as",
        "    a.png: ",
        "    b.png: ",
    ]


def test_what_is_in_two_parts_or_under_two_labels_is_shown():
    overlap = {"first": "train", "second": "test", "num_first": 3, "num_second": 2, "examples": [("x.png", "y.png")]}
    found = dry_run.lines(inspection(near_duplicates={"overlaps": [overlap], "conflicts": [["p", "q"]] * 5}))
    assert found[9:] == [
        "near-duplicates across splits:",
        "  2 pictures of test show what 3 of train show, such as",
        "    x.png = y.png",
        "the same content under two labels: 5, such as",
        *["    p = q"] * 3,
    ]
    assert dry_run.lines(inspection())[9:] == [
        "near-duplicates across splits: none",
        "the same content under two labels: none",
    ]
