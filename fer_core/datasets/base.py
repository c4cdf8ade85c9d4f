"""What a data set adapter is: it names the pictures of a source folder and what is known of each."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel

from fer_core.datasets.folders import require_folder

MAX_FILE_BYTES = 2**28


@dataclass(frozen=True)
class Rejected:
    """A record that cannot be taken."""

    source_path: str
    reason: str
    detail: str = ""


Record = dict[str, Any] | Rejected
"""A row: `source_path` (relative to the source, unique) and those fields of records.SAMPLE_SCHEMA that the data set
knows; or a record that cannot be taken, with the reason."""


class Scan(NamedTuple):
    """What a source folder holds: rows, and records that cannot be taken."""

    rows: list[dict[str, Any]]
    rejected: list[Rejected]


class Picture(NamedTuple):
    """An encoded picture, and the fields of its row that are known only once it is made."""

    image: bytes
    known: dict[str, Any]


class Form(NamedTuple):
    """What suits the pictures of a source.

    Attributes:
        face_size, patch: side of a face crop and of the patch a network sees, pixels; the paper's 236 / 224 unless the
            pictures are smaller.
        is_face_crop: the pictures are face crops already, so the whole frame is the face.
    """

    face_size: int = 236
    patch: int = 224
    is_face_crop: bool = False


SMALL = Form(48, 44, is_face_crop=True)
"""48x48 face crops."""


class Pair(NamedTuple):
    """Two pictures of a verification protocol: their source paths, whether they show one person, and the fold."""

    first: str
    second: str
    same: bool
    fold: int


def read_picture(source: Path | None, row: dict[str, Any]) -> Picture:
    """The file that `row["source_path"]` names.

    Raises:
        OSError: it cannot be read, is no regular file, or is larger than any face picture.
    """
    assert source is not None
    file = source / row["source_path"]
    size = file.stat().st_size
    if not file.is_file():
        raise OSError(f"{file} is not a regular file")
    if size > MAX_FILE_BYTES:
        raise OSError(f"{size} bytes, at most {MAX_FILE_BYTES}")
    return Picture(file.read_bytes(), {})


def always(form: Form) -> Callable[[Path | None, Any], Form]:
    """The `form` of an adapter whose sources are all alike."""
    return lambda source, options: form


PAPERS = always(Form())


def sex_by_letter(subject_id: str) -> str | None:
    """The group of people whose ids begin with F or M and a number, as several data sets name them."""
    return {"F": "women", "M": "men"}.get(subject_id[:1]) if subject_id[1:].isdecimal() else None


@dataclass(frozen=True)
class Adapter:
    """One data set.

    Attributes:
        records: (source folder, options or None) -> the source's records one by one, in an order that depends on the
            source alone. Cheap: reads names and label files, no pictures.
        layout: what the source folder must look like, for error messages and docs.
        protocol: who is trained and tested on by the data set's or the papers' custom, for people.
        picture: (source, row) -> Picture.
        options: the class of the data set's own options, or None where it has none.
        form: (source, options) -> Form.
        pairs: source -> the pairs of its verification protocol, or None where it has none.
        group_of: subject id -> the group of people that the data set's own naming tells, by which a bias is measured.
        needs_source: whether there is a folder to read.
    """

    records: Callable[[Any, Any], Iterator[Record]]
    layout: str
    protocol: str
    picture: Callable[[Path | None, dict[str, Any]], Picture] = read_picture
    options: type[BaseModel] | None = None
    form: Callable[[Path | None, Any], Form] = PAPERS
    pairs: Callable[[Path], list[Pair]] | None = None
    group_of: Callable[[str], str | None] = lambda subject_id: None
    needs_source: bool = True

    def stream(self, source: Path | str | None = None, options: BaseModel | None = None) -> Iterator[Record]:
        """The records of a source one by one; memory does not grow with them.

        Raises:
            InputError: `source` is not what the data set expects: said with what was expected and what was found.
        """
        if self.options is not None:
            options = options or self.options()
        if not self.needs_source:
            return self.records(None, options)
        folder = Path(source) if source is not None else Path()
        require_folder(folder, self.layout)
        return _reject_non_unicode_names(self.records(folder, options))

    def scan(self, source: Path | str | None = None, options: BaseModel | None = None) -> Scan:
        """All records of a source: (rows, rejected).

        Raises:
            InputError: as `stream`.
        """
        scan = Scan([], [])
        for record in self.stream(source, options):
            (scan.rejected if isinstance(record, Rejected) else scan.rows).append(record)  # type: ignore[arg-type]
        return scan


def _reject_non_unicode_names(records: Iterator[Record]) -> Iterator[Record]:
    """Set aside files whose names are no Unicode: no table and no manifest could hold them."""
    for record in records:
        if isinstance(record, dict) and not _is_unicode(record["source_path"]):
            yield Rejected(record["source_path"], "file name is not UTF-8")
        else:
            yield record


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
