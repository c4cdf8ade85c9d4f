from fer_core.datasets.base import Rejected
from fer_core.datasets.label_table import Label, labelled, labelled_in


def row(path, said):
    return {"source_path": path, "expression": said}


def write(folder, *names):
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(b"1")


def test_every_line_and_every_picture_in_a_folder_becomes_a_record(tmp_path):
    write(tmp_path / "faces", "c.png", "e.png", "a.png", "b.png", "notes.txt")
    said = ["b.png fear", "../a.png fear", "c.png", "c.png anger", "d.png fear", "./a.png fear", "b.png anger"]
    cells = [line.split() for line in said]
    labels = [Label(cell[0], f"line {at}", tuple(cell[1:]) or "no label") for at, cell in enumerate(cells, start=1)]
    assert list(labelled_in(tmp_path, tmp_path / "faces", labels, row)) == [
        {"source_path": "faces/b.png", "expression": ("fear",)},
        Rejected("../a.png", "path leaves the source folder", "line 2"),
        Rejected("faces/c.png", "no label", "line 3"),
        Rejected("faces/c.png", "labelled twice", "line 4"),  # the malformed line was its first
        Rejected("faces/d.png", "label matches no image", "line 5"),
        Rejected("faces/./a.png", "label matches no image", "line 6"),  # not its name to the letter
        Rejected("faces/b.png", "labelled twice", "line 7"),
        Rejected("faces/a.png", "image without a label"),
        Rejected("faces/e.png", "image without a label"),
    ]


def test_lines_are_read_one_by_one_and_pictures_after_them():
    read = []

    def lines():
        for name in ("a", "b"):
            read.append(name)
            yield Label(name, "", 1)

    def pictures():
        read.append("pictures")
        yield from ("k/a", "k/b", "k/c")

    records = labelled(lines(), row, key=lambda name: f"k/{name}", is_there=lambda _: True, pictures=pictures())
    assert read == []
    assert (next(records), read) == (row("k/a", 1), ["a"])
    assert (next(records), read) == (row("k/b", 1), ["a", "b"])
    assert list(records) == [Rejected("k/c", "image without a label")]
    assert read[2:] == ["pictures"]
