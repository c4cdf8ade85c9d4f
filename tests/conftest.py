"""Tiny data sets that any test may use and change: each fixture makes its own folder."""

import os
import zipfile
from pathlib import Path

import pytest
import tiny

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else importing it asks the network


@pytest.fixture
def tiny_ck_plus(tmp_path: Path) -> Path:
    """A CK+ 48x48 folder: 8 subjects x 3 expressions x 2 frames = 48 pictures, told apart by where a spot is."""
    return tiny.write_ck_plus(tmp_path)


@pytest.fixture
def tiny_ferplus(tmp_path: Path) -> Path:
    """A FER+ folder: 24 / 6 / 6 good pictures of 3 expressions, and every odd case once in the training part.

    The odd ones: labelled twice, label without image, image without label, two first places, most votes for unknown,
    for not a face, for nothing, and two malformed lines.
    """
    source = tmp_path / "tiny_ferplus"
    number = 0
    for part, count in tiny.FERPLUS_PARTS.items():
        folder, lines = source / "data" / part, []
        for at in range(count):
            name, majority = f"fer{number:07d}.png", tiny.FERPLUS_MAJORITIES[at % 3]
            row, column = list(tiny.EXPRESSIONS.values())[at % 3]
            tiny.write_png(folder / name, tiny.face(row, column, number))
            lines.append(f'{name},"(0, 0, 48, 48)",{tiny.VOTES_OF[majority]}')
            number += 1
        if part == "FER2013Train":
            lines += tiny.odd_ferplus_lines(folder)
        (folder / "label.csv").write_text("\n".join(lines) + "\n")
    return source


@pytest.fixture
def tiny_catalog(tmp_path: Path, tiny_ck_plus: Path) -> Path:
    """The finished catalog of `tiny_ck_plus`: 3 shards of 16 rows."""
    return tiny.write_catalog(tmp_path / "home", "ck_plus", tiny_ck_plus)


@pytest.fixture
def tiny_faces(tmp_path: Path, tiny_catalog: Path) -> Path:
    """The finished faces directory of `tiny_ck_plus`: 48 pictures of 48x48, each at -10, 0 and 10 degrees."""
    return tiny.write_faces(tmp_path / "home", tiny_catalog, 48, (-10.0, 0.0, 10.0))


@pytest.fixture(scope="session")
def real_ck_plus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CK+ as it is published in its 48x48 form."""
    return _unpacked("ck_plus_48", tmp_path_factory) / "CK+48"


@pytest.fixture(scope="session")
def real_ferplus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """FER+ with its pictures."""
    return _unpacked("ferplus", tmp_path_factory) / "FERPlus"


@pytest.fixture(scope="session")
def real_kdef(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """KDEF's whole pictures."""
    return _unpacked("kdef_224", tmp_path_factory) / "KDEF"


@pytest.fixture(scope="session")
def real_lfw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LFW's face crops with pairs and expressions."""
    return _unpacked("lfw_112", tmp_path_factory) / "lfw"


def _unpacked(name: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    archive = Path(__file__).parents[2] / "shared" / "data" / f"{name}.zip"
    if not archive.exists():
        pytest.skip(f"no {archive}: the data set is for research only and is not part of this repository")
    folder = tmp_path_factory.mktemp(name)
    with zipfile.ZipFile(archive) as file:
        file.extractall(folder)
    return folder
