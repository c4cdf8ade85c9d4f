import os
from pathlib import Path

import pytest

from fer_core.datasets import folders
from fer_core.datasets.folders import (
    describe_folder,
    files_below,
    files_in,
    first_folder,
    folders_below,
    folders_in,
    inside,
    is_picture,
    key_of,
    pictures_in,
    pictures_of_set,
    read_cells,
    read_lines,
    read_table,
    require_folder,
    root_of,
    wrong_folder,
)
from fer_core.errors import InputError


@pytest.fixture
def tree(tmp_path):
    """Files and folders with what desktops leave between them."""
    names = ("b/2.png", "b/1.JPG", "b/note.txt", "a/x/3.tiff", "a.txt", ".hidden/4.png", "b/.5.png", "b/Thumbs.db")
    for name in (*names, "__MACOSX/6.png", "a/desktop.ini", "a/.DS_Store", "a/x/._3.tiff"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"1")
    return tmp_path


def names_of(root, paths):
    return [key_of(root, path) for path in paths]


def test_a_folder_is_read_by_name_without_litter(tree):
    assert names_of(tree, folders_in(tree)) == ["a", "b"]
    assert names_of(tree, files_in(tree)) == ["a.txt"]
    assert names_of(tree, files_in(tree / "b")) == ["b/1.JPG", "b/2.png", "b/note.txt"]
    assert names_of(tree, pictures_in(tree / "b")) == ["b/1.JPG", "b/2.png"]
    assert names_of(tree, files_below(tree)) == ["a/x/3.tiff", "a.txt", "b/1.JPG", "b/2.png", "b/note.txt"]
    assert names_of(tree, folders_below(tree)) == [".", "a", "a/x", "b"]


def test_the_order_is_that_of_names_however_the_system_lists_them(tree, monkeypatch):
    before = list(files_below(tree)), list(folders_below(tree))

    class Backwards:
        def __init__(self, folder):
            self.entries = scandir(folder)

        def __enter__(self):
            return iter(sorted(self.entries, key=lambda entry: entry.name, reverse=True))

        def __exit__(self, *_):
            self.entries.close()

    scandir = os.scandir
    monkeypatch.setattr(folders.os, "scandir", Backwards)
    assert (list(files_below(tree)), list(folders_below(tree))) == before


@pytest.mark.parametrize(
    ("name", "is_one"),
    [("a.png", True), ("a.JPeG", True), ("a.tif", True), ("a.gif", False), ("png", False), ("a.png.part", False)],
)
def test_a_picture_is_known_by_its_suffix(name, is_one):
    assert is_picture(Path(name)) == is_one


def test_links_are_followed_and_circles_are_not(tree):
    (tree / "b" / "up").symlink_to(tree, target_is_directory=True)
    (tree / "b" / "self").symlink_to(tree / "b", target_is_directory=True)
    (tree / "b" / "twin").symlink_to(tree / "a" / "x", target_is_directory=True)
    assert names_of(tree, files_below(tree)) == [
        "a/x/3.tiff",
        "a.txt",
        "b/1.JPG",
        "b/2.png",
        "b/note.txt",
        "b/twin/3.tiff",
    ]
    assert names_of(tree, folders_below(tree)) == [".", "a", "a/x", "b", "b/twin"]


def test_links_that_lead_nowhere_or_to_themselves_are_files(tree):
    (tree / "gone.png").symlink_to(tree / "not-fetched.png")
    (tree / "loop.png").symlink_to(tree / "loop.png")
    assert names_of(tree, files_in(tree)) == ["a.txt", "gone.png", "loop.png"]
    assert names_of(tree, pictures_in(tree)) == ["gone.png", "loop.png"]
    assert names_of(tree, files_below(tree))[-2:] == ["gone.png", "loop.png"]
    assert names_of(tree, folders_in(tree)) == ["a", "b"]
    assert describe_folder(tree).endswith("and 1 more")


def test_a_folder_that_may_not_be_read_is_named(tree, monkeypatch):
    def forbidden(folder):
        raise PermissionError

    monkeypatch.setattr(folders.os, "scandir", forbidden)
    with pytest.raises(InputError, match=f"{tree} cannot be read; give yourself permission"):
        folders_in(tree)


def test_a_source_is_a_folder_with_something_in_it_that_may_be_read(tree, monkeypatch):
    require_folder(tree, "pictures")
    with pytest.raises(InputError, match=r"absent does not exist; expected pictures"):
        require_folder(tree / "absent", "pictures")
    with pytest.raises(InputError, match=r"a\.txt is a file, not a folder; expected pictures"):
        require_folder(tree / "a.txt", "pictures")
    (tree / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty is empty; expected pictures"):
        require_folder(tree / "empty", "pictures")
    monkeypatch.setattr(folders.os, "access", lambda *_: False)
    with pytest.raises(InputError, match=r"cannot be read; give yourself permission"):
        require_folder(tree, "pictures")


@pytest.mark.parametrize("name", ["x" * 300, "a\0b"])
def test_a_source_of_an_impossible_name_does_not_exist(tree, name):
    with pytest.raises(InputError, match="does not exist"):
        require_folder(tree / name, "pictures")


def test_a_folder_is_described_in_a_few_words(tmp_path):
    for number in range(8):
        (tmp_path / f"{number}.txt").write_text("")
    (tmp_path / "folder").mkdir()
    assert describe_folder(tmp_path, most=2) == "0.txt, 1.txt and 7 more"
    assert describe_folder(tmp_path, most=9).endswith("7.txt, folder/")
    error = wrong_folder(tmp_path, "a data set")
    assert str(error).startswith(f"--source {tmp_path} is not that data set: expected a data set; found 0.txt, ")


def test_pictures_of_a_set_are_all_pictures_where_one_is_of_the_set(tree):
    found = pictures_of_set(tree, lambda path: path.stem == "3", "3.tiff")
    assert names_of(tree, found) == ["a/x/3.tiff", "b/1.JPG", "b/2.png"]
    with pytest.raises(InputError, match=r"expected 9\.tiff; found"):
        list(pictures_of_set(tree, lambda path: path.stem == "9", "9.tiff"))


def test_a_root_is_the_source_or_a_folder_directly_in_it(tree):
    assert root_of(tree, lambda folder: folder.name == tree.name) == tree
    assert root_of(tree, lambda folder: (folder / "x").is_dir()) == tree / "a"
    assert root_of(tree, lambda folder: (folder / "3.tiff").exists()) is None
    assert first_folder(tree, "c", "b", "a") == tree / "b"
    assert first_folder(tree, "c", "a.txt") is None


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("a/b.png", "a/b.png"),
        (" ./a//b.png ", "a/b.png"),
        ("a\\b.png", "a/b.png"),
        ("a/../b.png", "b.png"),
        ("...", "..."),
        ("..png", "..png"),
        ("", None),
        (".", None),
        ("a/..", None),
        ("..", None),
        ("../b.png", None),
        ("a/../../b.png", None),
        ("..\\b.png", None),
        ("/etc/passwd", None),
        ("//server/share", None),
        ("\\\\server\\share", None),
        ("C:\\b.png", None),
        ("c:b.png", None),
        ("a\0.png", None),
    ],
)
def test_a_name_out_of_a_label_file_stays_inside_the_source(name, path):
    assert inside(name) == path


def test_lines_of_any_bytes_are_read_with_their_numbers(tmp_path):
    file = tmp_path / "labels.csv"
    file.write_bytes(b"\xef\xbb\xbfone\r\ntwo\xff\rthree\n\nlast")
    assert list(read_lines(file)) == [(1, "one"), (2, "two�"), (3, "three"), (4, ""), (5, "last")]
    file.write_bytes(b"")
    assert list(read_lines(file)) == []


@pytest.mark.parametrize("name", ["absent.csv", "folder"])
def test_a_label_file_that_cannot_be_read_is_named(tmp_path, name):
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=rf"{name} cannot be read: "):
        list(read_lines(tmp_path / name))


def test_cells_are_read_with_the_line_they_end_on(tmp_path):
    file = tmp_path / "labels.csv"
    file.write_bytes(b'a,"b, c",\0d\n\n , ,\n"e\nf",g\nh\n')
    assert list(read_cells(file)) == [(1, ["a", "b, c", "d"]), (5, ["e\nf", "g"]), (6, ["h"])]
    file.write_bytes(b"a b\tc\n")
    assert list(read_cells(file, "\t")) == [(1, ["a b", "c"])]


def test_a_file_of_no_cells_is_named_with_its_line(tmp_path):
    file = tmp_path / "labels.csv"
    file.write_bytes(b'a,b\n"' + b"x" * 200_000)
    with pytest.raises(InputError, match=r"labels\.csv line 2: field larger than field limit"):
        list(read_cells(file))


def test_a_table_is_read_by_the_names_of_its_columns(tmp_path):
    file = tmp_path / "labels.csv"
    file.write_bytes(b"\xef\xbb\xbf Image ,LABEL,more\r\n a.png , fear \r\n\r\nb.png,anger,1,2\r\n")
    assert list(read_table(file, ("image", "label"))) == [
        (2, {"image": "a.png", "label": "fear"}),
        (4, {"image": "b.png", "label": "anger", "more": "1"}),
    ]


@pytest.mark.parametrize(
    ("data", "found"),
    [(b"", "nothing"), (b"a,b\n1,2\n", "a, b"), ("image,label\n".encode("utf-16"), ".*"), (b"\n\n", "nothing")],
)
def test_a_table_without_a_column_says_what_its_first_line_holds(tmp_path, data, found):
    file = tmp_path / "labels.csv"
    file.write_bytes(data)
    with pytest.raises(InputError, match=rf"labels\.csv has no column [a-z, ]+; its first line holds {found}"):
        list(read_table(file, ("image", "label")))
