"""Pictures that a model is asked about, wherever they are: files, frames of videos, rows of a table, an object store.

They are gone through twice: once for the digests of what they hold, which name the result, and once to be looked at.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pyarrow as pa
import pyarrow.parquet as pq
from upath import UPath

from fer_core.errors import InputError
from fer_core.ingest.scanning import escaped
from fer_core.predictor import Content, Unusable
from fer_core.scoring.video import VideoReader, is_video, times_in

AT_ONCE = 32
"""Pictures that are fetched side by side from an object store, or read together from a table."""
_STAMP = ("size", "ETag", "mtime", "LastModified", "created")
"""What file systems say of a file that changes with its content."""
_FRAME = re.compile(r"(?P<file>.+)#(?P<seconds>\d+\.\d\d)s")


class Picture(NamedTuple):
    """A picture that a model is asked about.

    Attributes:
        source_path: what it is called: its path below the folder, as its table has it, or `row 7`; a video's frame
            after the video and its time, `talk.mp4#12.40s`.
        sha256: of its content (of a frame: of the video; on an object store: of what tells that it has changed). None
            where it cannot be read.
        reason, detail: why it cannot.
    """

    source_path: str
    sha256: str | None
    reason: str = ""
    detail: str = ""

    @property
    def unusable(self) -> Unusable:
        """Why it cannot be read."""
        return Unusable("read", self.reason, self.detail)


class PictureSource(Protocol):
    """Pictures in an order that depends on the source alone."""

    def pictures(self) -> Iterator[Picture]:
        """All of them, with the digests of their contents."""

    def read(self, pictures: Sequence[Picture], first: int) -> Iterator[Content]:
        """The content of each of successive pictures, of which the first is at this place among all.

        Raises:
            InputError: one has changed since its digest was taken; on an object store that is not looked for.
        """


class Files:
    """Pictures, and frames of videos, that are files of their own.

    Args:
        folder: what relative paths begin at.
        names: gives the paths, each time anew.
        every: seconds between the frames of a video; None: there is no video among the names.
    """

    def __init__(self, folder: Path, names: Callable[[], Iterable[str]], every: float | None = None) -> None:
        self._folder, self._names, self._every = folder, names, every
        self._videos, self._proven = VideoReader(), Path()

    def pictures(self) -> Iterator[Picture]:
        """As PictureSource."""
        for name in self._names():
            picture = _digested(name, self._folder / name)
            is_readable_video = self._every and picture.sha256 and is_video(Path(name))
            yield from self._frames(picture) if is_readable_video else [picture]

    def _frames(self, video: Picture) -> list[Picture]:
        assert self._every is not None
        times = times_in(self._folder / video.source_path, self._every)
        frames = [video._replace(source_path=f"{video.source_path}#{seconds:.2f}s") for seconds in times]
        return frames or [Picture(video.source_path, None, "video cannot be read")]

    def read(self, pictures: Sequence[Picture], first: int) -> Iterator[Content]:
        """As PictureSource."""
        for picture in pictures:
            frame = _FRAME.fullmatch(picture.source_path) if self._every else None
            if picture.sha256 is None:
                yield picture.unusable
            elif frame and is_video(Path(frame["file"])):
                yield self._frame(self._folder / frame["file"], float(frame["seconds"]), picture.sha256)
            else:
                yield _content(self._folder / picture.source_path, picture.sha256)

    def _frame(self, file: Path, seconds: float, digest: str) -> Content:
        if file != self._proven:
            _prove(file, _digested("", file).sha256, digest)
            self._proven = file
        image = self._videos.frame(file, seconds)
        return Unusable("read", "video frame cannot be decoded") if image is None else image


def _digested(name: str, file: Path) -> Picture:
    try:
        with file.open("rb") as opened:
            return Picture(name, hashlib.file_digest(opened, "sha256").hexdigest())
    except FileNotFoundError:
        return Picture(name, None, "file does not exist")
    except (OSError, ValueError) as error:  # a table may name what no file can be called
        return Picture(name, None, "file cannot be read", getattr(error, "strerror", ""))


def _content(file: Path, digest: str) -> bytes:
    try:
        data = file.read_bytes()
    except OSError:
        data = b""
    _prove(file, hashlib.sha256(data).hexdigest(), digest)
    return data


def _prove(what: Path | str, digest: str | None, before: str) -> None:
    if digest != before:
        raise InputError(f"{escaped(str(what))} has changed while it was scored; run the same command again")


class Stored:
    """Pictures of a folder on any fsspec file system; their listing is in memory.

    Args:
        folder: an address such as s3://bucket/faces.
        paths: of the pictures, as the file system gives them.
    """

    def __init__(self, folder: UPath, paths: Sequence[str]) -> None:
        self._files, self._paths, self._root = folder.fs, paths, folder.path.rstrip("/") + "/"

    def pictures(self) -> Iterator[Picture]:
        """As PictureSource; the files are not read, as reading them twice would cost twice the requests."""
        for path in self._paths:
            known: dict[str, Any] = self._files.info(path)
            stamp = hashlib.sha256(repr([known.get(name) for name in _STAMP]).encode()).hexdigest()
            yield Picture(path.removeprefix(self._root), stamp)

    def read(self, pictures: Sequence[Picture], first: int) -> Iterator[Content]:
        """As PictureSource."""
        own = self._paths[first : first + len(pictures)]
        for start in range(0, len(own), AT_ONCE):
            several = list(own[start : start + AT_ONCE])
            fetched = self._files.cat(several, on_error="return")
            yield from (_fetched(fetched[path]) for path in several)


def _fetched(made: bytes | Exception) -> Content:
    return made if isinstance(made, bytes) else Unusable("read", "file cannot be read", type(made).__name__)


class Images:
    """Encoded pictures in a column of a Parquet file.

    Args:
        file: Parquet.
        image: the column.
        name: the column that says what they are called; None: their row.
    """

    def __init__(self, file: Path, image: str, name: str | None) -> None:
        self._file, self._image, self._name = file, image, name

    def pictures(self) -> Iterator[Picture]:
        """As PictureSource."""
        columns = [self._image] if self._name is None else [self._image, self._name]
        row = 0
        for batch in parquet_batches(self._file, columns):
            names = [f"row {row + at}" for at in range(len(batch))]
            if self._name is not None:
                names = [str(name) for name in batch[self._name].to_pylist()]
            for name, data in zip(names, batch[self._image].to_pylist(), strict=True):
                yield Picture(name, None, "no image") if data is None else Picture(name, _sha256(data))
            row += len(batch)

    def read(self, pictures: Sequence[Picture], first: int) -> Iterator[Content]:
        """As PictureSource; the rows before are passed over."""
        rows = (data for batch in parquet_batches(self._file, [self._image]) for data in batch[self._image])
        for row, data in enumerate(rows):
            if row >= first + len(pictures):
                return
            if row >= first:
                yield self._proven(pictures[row - first], data.as_py())

    def _proven(self, picture: Picture, data: bytes | None) -> Content:
        if picture.sha256 is None:
            return picture.unusable
        _prove(f"{self._file}: {picture.source_path}", _sha256(data or b""), picture.sha256)
        return data or b""


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def parquet_batches(file: Path, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Some columns of a Parquet file, a few rows at a time."""
    with pq.ParquetFile(file) as opened:
        yield from opened.iter_batches(batch_size=AT_ONCE, columns=columns)
