"""A folder or an S3 bucket for checkpoints that outlasts the storage's bad times.

What the storage refuses (no permission, no space, no answer) is tried again with growing pauses, for PATIENCE_SECONDS.
A file is there whole or not at all. Keys and endpoints of S3 are those of each host's own environment (AWS_*).
"""

import io
import os
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import pyarrow as pa
from pyarrow.fs import FileInfo, FileSelector, FileSystem, FileSystemHandler, FileType, LocalFileSystem, S3FileSystem

from fer_core.errors import InputError
from fer_core.files import write_bytes
from infra.run_events import STORAGE, RunEvents

PATIENCE_SECONDS = 900.0
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
PROBE = ".fer-probe"
S3 = "s3://"
ENDPOINT, REGION = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"), ("AWS_REGION", "AWS_DEFAULT_REGION")
DEFAULT_REGION = "us-east-1"
"""As Amazon's own tools where only an endpoint is known."""

Value = TypeVar("Value")


class StorageLostError(InputError):
    """The storage refused for too long; what it holds is whole, and the same command goes on from there."""


class PatientFiles(FileSystemHandler):
    """The file system of a URI, for `pyarrow.fs.PyFileSystem`. It is sent to workers as the URI alone.

    Args:
        uri: such as s3://bucket/prefix, or an absolute folder.
        events: where waiting is told.
        patience: seconds that something is tried again for.
    """

    def __init__(self, uri: str, events: RunEvents, patience: float = PATIENCE_SECONDS) -> None:
        super().__init__()
        self.uri, self.events, self.patience = uri, events, patience

    def __reduce__(self) -> tuple[type, tuple[str, RunEvents, float]]:
        return type(self), (self.uri, self.events, self.patience)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PatientFiles) and self.uri == other.uri

    __hash__ = None  # type: ignore[assignment]

    @cached_property
    def _found(self) -> tuple[FileSystem, str]:
        endpoint, region = (_first_of(*names) for names in (ENDPOINT, REGION))
        if not self.uri.startswith(S3) or not (endpoint or region):
            return FileSystem.from_uri(self.uri)
        # from_uri would ask Amazon for the bucket's region
        place = urlsplit(endpoint or "")
        own: dict[str, Any] = {"endpoint_override": place.netloc, "scheme": place.scheme} if endpoint else {}
        own |= {"allow_delayed_open": True}  # a small object is sent at once, not in parts
        return S3FileSystem(region=region or DEFAULT_REGION, **own), self.uri.removeprefix(S3).rstrip("/")

    @property
    def files(self) -> FileSystem:
        """The file system itself, which has no patience."""
        return self._found[0]

    @property
    def root(self) -> str:
        """The path of the URI in it."""
        return self._found[1]

    def require(self, name: str) -> None:
        """Write a small file in a folder of the root, without patience.

        Raises:
            InputError: it cannot be done.
        """
        try:
            self._put(f"{self.root}/{name}/{PROBE}", b"")
        except (OSError, pa.ArrowException) as error:
            raise InputError(f"the storage {self.uri} cannot be written to: {_sentence(error)}") from None

    def put(self, path: str, data: bytes) -> None:
        """Write a file whole, its folder too."""
        self._patiently(lambda: self._put(path, data))

    def _put(self, path: str, data: bytes) -> None:
        if isinstance(self.files, LocalFileSystem):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            write_bytes(Path(path), data)
            return
        with self.files.open_output_stream(path) as out:  # an object is there when its upload is complete
            out.write(data)

    def get(self, path: str) -> bytes:
        """The bytes of a file.

        Raises:
            FileNotFoundError: there is none.
        """

        def read() -> bytes:
            with self.files.open_input_stream(path) as stream:
                return stream.readall()

        return self._patiently(read)

    def _patiently(self, call: Callable[[], Value]) -> Value:
        pause, started, refused = FIRST_PAUSE, time.monotonic(), False
        while True:
            try:
                value = call()
            except FileNotFoundError:
                raise
            except OSError as error:
                waited = time.monotonic() - started
                reason = f"the storage {self.uri} refuses: {_sentence(error)}"
                if waited + pause > self.patience:
                    minutes = f"for {waited:.0f} s; run the same command again when it is back"
                    raise StorageLostError(f"{reason}, {minutes}") from error
                self.events.add(STORAGE, f"{reason}; tried again in {pause:.1f} s")
                refused = True
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                if refused:
                    took = time.monotonic() - started
                    self.events.add(STORAGE, f"the storage {self.uri} is back after {took:.0f} s")
                return value

    # what pyarrow asks of a file system

    def get_type_name(self) -> str:
        """Of what kind it is."""
        return f"patient+{self.files.type_name}"

    def normalize_path(self, path: str) -> str:
        """As the file system writes it."""
        return self.files.normalize_path(path)

    def get_file_info(self, paths: list[str]) -> list[FileInfo]:
        """What is at these paths."""
        return self._patiently(lambda: self.files.get_file_info(paths))

    def get_file_info_selector(self, selector: FileSelector) -> list[FileInfo]:
        """What is in a folder."""
        return self._patiently(lambda: self.files.get_file_info(selector))

    def create_dir(self, path: str, recursive: bool) -> None:
        """Make a folder; object stores have none."""
        if isinstance(self.files, LocalFileSystem):
            self._patiently(lambda: self.files.create_dir(path, recursive=recursive))

    def open_input_stream(self, path: str) -> pa.NativeFile:
        """Read a file from its start."""
        return pa.BufferReader(self.get(path))

    def open_input_file(self, path: str) -> pa.NativeFile:
        """Read a file anywhere."""
        return pa.BufferReader(self.get(path))

    def open_output_stream(self, path: str, metadata: object) -> pa.NativeFile:
        """Write a file; it is there when the stream is closed."""
        return pa.PythonFile(_Written(self, path), mode="w")

    def open_append_stream(self, path: str, metadata: object) -> pa.NativeFile:
        """Never: files are written whole."""
        raise io.UnsupportedOperation("checkpoints are files that are written whole")

    def delete_dir(self, path: str) -> None:
        """Delete a folder and what is in it."""
        try:
            self.files.delete_dir(path)
        except OSError:  # pyarrow writes a mark for the folder above, which some servers refuse
            if self.files.get_file_info(path).type != FileType.NotFound:
                raise

    def delete_dir_contents(self, path: str, missing_dir_ok: bool = False) -> None:
        """Delete what is in a folder."""
        self.files.delete_dir_contents(path, missing_dir_ok=missing_dir_ok)

    def delete_root_dir_contents(self) -> None:
        """Never."""
        raise io.UnsupportedOperation("checkpoints are files that are written whole")

    def delete_file(self, path: str) -> None:
        """Delete a file."""
        self.files.delete_file(path)

    def move(self, src: str, dest: str) -> None:
        """Rename."""
        self._patiently(lambda: self.files.move(src, dest))

    def copy_file(self, src: str, dest: str) -> None:
        """Copy."""
        self._patiently(lambda: self.files.copy_file(src, dest))


class _Written(io.BytesIO):
    """What is written to a stream, put when it is closed."""

    def __init__(self, files: PatientFiles, path: str) -> None:
        super().__init__()
        self.files, self.path = files, path

    def close(self) -> None:
        if not self.closed:
            data = self.getvalue()
            super().close()
            self.files.put(self.path, data)


def _first_of(*names: str) -> str | None:
    return next((os.environ[name] for name in names if os.environ.get(name)), None)


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split())
