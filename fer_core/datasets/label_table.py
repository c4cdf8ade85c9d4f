"""Label files that name pictures: each line and each picture becomes a row, or is set aside with its reason."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from fer_core.datasets.base import Record, Rejected
from fer_core.datasets.folders import inside, key_of, pictures_in

Said = TypeVar("Said")


class Label(NamedTuple, Generic[Said]):
    """A line of a label file: the name it gives, its place, and what it says or, as a text, why it is malformed."""

    name: str
    where: str
    said: Said | str


def labelled_in(
    source: Path, folder: Path, labels: Iterable[Label[Said]], record: Callable[[str, Said], Record]
) -> Iterator[Record]:
    """`labelled` where the pictures lie directly in `folder` and the lines give their names to the letter."""
    place = key_of(source, folder)
    present = dict.fromkeys(f"{place}/{file.name}" for file in pictures_in(folder))
    yield from labelled(labels, record, lambda name: f"{place}/{name}", present.__contains__, present)


def labelled(
    labels: Iterable[Label[Said]],
    record: Callable[[str, Said], Record],
    key: Callable[[str], str],
    is_there: Callable[[str], bool],
    pictures: Iterable[str],
) -> Iterator[Record]:
    """What the lines make, in their order, then the pictures that no line names; memory is that of the source paths.

    The first line of a picture counts, even a malformed one.

    Args:
        record: (source path, what the line says) -> the record of a picture that is there.
        key: name in a line -> source path.
        is_there: whether there is a file of that source path.
        pictures: the source paths of all pictures; read after the lines.
    """
    named: set[str] = set()
    for name, where, said in labels:
        path = key(name)
        if inside(name) is None:
            yield Rejected(name, "path leaves the source folder", where)
        elif isinstance(said, str):
            yield Rejected(path, said, where)
        elif path in named:
            yield Rejected(path, "labelled twice", where)
        elif not is_there(path):
            yield Rejected(path, "label matches no image", where)
        else:
            yield record(path, said)
        named.add(path)
    yield from (Rejected(path, "image without a label") for path in pictures if path not in named)
