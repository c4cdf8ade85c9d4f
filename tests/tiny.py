"""What the tiny data sets are made with; conftest.py has the fixtures."""

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from fer_core.datasets import REGISTRY
from fer_core.directories import Directory, shards_of
from fer_core.faces.crop import write_face_shard
from fer_core.faces.finding import Cropping
from fer_core.ingest.scanning import files_of, summary_of, write_catalog_shard, write_scan

SUBJECTS = ("S010", "S011", "S014", "S022", "S026", "S028", "S032", "S034")
EXPRESSIONS = {"anger": (12, 12), "happy": (24, 36), "surprise": (36, 12)}
"""Folder -> row, column of the bright spot that gives the expression away."""
NUM_FRAMES = 2

FERPLUS_PARTS = {"FER2013Train": 24, "FER2013Valid": 6, "FER2013Test": 6}
FERPLUS_MAJORITIES = ("neutral", "happiness", "anger")
VOTES_OF = {"neutral": "8,1,0,0,1,0,0,0,0,0", "happiness": "0,10,0,0,0,0,0,0,0,0", "anger": "1,0,0,2,6,0,0,0,1,0"}


def face(row: int, column: int, seed: int) -> np.ndarray:
    """A grey 48x48 picture, uint8: a spot at (row, column) on the smooth background of person `seed`."""
    rng = np.random.default_rng(seed)
    background = cv2.resize(rng.uniform(40, 140, (5, 5)), (48, 48), interpolation=cv2.INTER_CUBIC)
    y, x = np.mgrid[:48, :48]
    spot = 110 * np.exp(-((y - row) ** 2 + (x - column) ** 2) / 60)
    return np.clip(background + spot + rng.normal(0, 2, (48, 48)), 0, 255).astype(np.uint8)


def write_png(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


def write_ck_plus(folder: Path) -> Path:
    """A CK+ 48x48 folder, see conftest.tiny_ck_plus."""
    source = folder / "tiny_ck_plus"
    for sequence, (expression, (row, column)) in enumerate(EXPRESSIONS.items(), start=1):
        for person, subject in enumerate(SUBJECTS):
            for frame in range(NUM_FRAMES):
                image = face(row + frame, column + frame, person)
                write_png(source / "CK+48" / expression / f"{subject}_{sequence:03d}_{frame + 10:08d}.png", image)
    return source


def write_catalog(home: Path, dataset: str, source: Path, rows_a_shard: int = 16) -> Path:
    """Ingest a folder in this process; the finished catalog."""
    catalog = Directory(home / "catalogs", dataset, kind="catalog", config={}, inputs={}, code="test")
    catalog.start()
    partitions, _ = write_scan(catalog.path, REGISTRY[dataset].stream(source), rows_a_shard)
    for number in range(partitions):
        write_catalog_shard(catalog.path, number, dataset, source)
    catalog.finish(files_of(catalog.path), summary_of(catalog.path))
    return catalog.path


def write_faces(home: Path, catalog: Path, face_size: int, rotations: tuple[float, ...], virtual: bool = False) -> Path:
    """Crop a catalog in this process; the finished faces directory."""
    cropping = Cropping(face_size, rotations, virtual)
    config = {**cropping._asdict(), "margin": cropping.margin}
    faces = Directory(home / "faces", "faces", kind="faces", config=config, inputs={}, code="test")
    faces.start()
    for name, shard in shards_of(catalog, "part-").items():
        write_face_shard(catalog / name, shard["sha256"], faces.path, cropping)
    faces.finish(files_of(faces.path), summary_of(faces.path))
    return faces.path


def odd_ferplus_lines(folder: Path) -> list[str]:
    lines = [f'fer0000000.png,"(0, 0, 48, 48)",{VOTES_OF["anger"]}', f'fer0999999.png,"(0, 0, 48, 48)",{"1," * 9}1']
    odd_votes = {
        "tie": "0,4,4,1,1,0,0,0,0,0",
        "unknown": "1,0,0,0,0,0,0,0,9,0",
        "not_a_face": "0,0,0,0,0,0,0,0,0,10",
        "no_votes": "0,0,0,0,0,0,0,0,0,0",
        "words": "a,b,c,d,e,f,g,h,i,j",
        "too_short": "1,2,3",
    }
    for seed, (name, votes) in enumerate(odd_votes.items()):
        write_png(folder / f"{name}.png", face(24, 24, seed))
        lines.append(f'{name}.png,"(0, 0, 48, 48)",{votes}')
    write_png(folder / "unlabelled.png", face(24, 24, 99))
    return lines


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A whole PNG whose header claims a size that its few pixels do not have."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 9)) + chunk(b"IEND", b"")
    )
