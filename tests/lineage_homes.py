"""A home of eight people of whom some are tested on, made without training anything."""

import json
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import tiny

from fer_core.directories import MANIFEST, Directory, read_manifest
from fer_core.files import write_bytes, write_json, write_table
from fer_core.folds import Part
from fer_core.lineage.uses import Role, uses_of_subject
from fer_core.reading import FaceTable, read_faces

CONFIG = {
    "recipe": {"epochs": 1, "batch_size": 8, "lr": 0.1, "one_cycle": True, "weight_decay": 0.0},
    **{"part": [None, None, None], "backbone": "resnet18", "patch": 44, "face_size": 48, "bfloat16": False},
    **{"validation": False, "seed": 0},
}
DESCRIPTION = {
    **{"method": "cnn", "method_options": {}, "backbone": "resnet18", "face_size": 48, "patch": 44},
    **{"frame_is_face": True, "classes": [], "poses": [], "class_of_label": [], "counts": {}, "history": []},
    "steps": {},
}


class Home(NamedTuple):
    """A home with a catalog, faces, a run, its level and its evaluation."""

    path: Path
    made: dict[str, Path]
    trained: str
    tested: str

    @property
    def names(self) -> dict[str, str]:
        """What a registered version names."""
        folders = {"runs": "run", "subdivisions": "level", "evaluations": "evaluation"}
        return {folder: self.made[name].name for folder, name in folders.items()}

    def roles(self, subject: str) -> dict[str, set[Role]]:
        """By the name in `made`."""
        found: dict[str, set[Role]] = {}
        names = {path: name for name, path in self.made.items()}
        for use in uses_of_subject(self.path, subject):
            found.setdefault(names[use.directory], set()).add(use.role)
        return found


def content(path: Path) -> str:
    return read_manifest(path).content


def link(path: Path, **inputs: str) -> None:
    """Say in a manifest what a directory is made from."""
    write_json(path / MANIFEST, {**json.loads((path / MANIFEST).read_text()), "inputs": inputs})


def write_run(home: Path, name: str, network: bytes, config: dict[str, object] | None = None, **inputs: str) -> Path:
    run = Directory(home / "runs", name, kind="run", config={**CONFIG, **(config or {})}, inputs=inputs, code="test")
    run.start()
    write_json(run.path / "run.json", DESCRIPTION)
    write_bytes(run.path / "network.safetensors", network)
    run.finish(["run.json", "network.safetensors"], {})
    return run.path


def write_rows(home: Path, folder: str, file: str, names: list[str], **inputs: str) -> Path:
    made = Directory(home / folder, "ck_plus-cnn", kind=folder, config={}, inputs=inputs, code="test")
    made.start()
    write_table(made.path / file, pa.table({"sample_id": names}))
    made.finish([file], {"components": {"the name of a person": 1}})
    return made.path


def names_of(faces: FaceTable, role: str) -> list[str]:
    return faces.sample_id[faces.rows_of(role, upright=True)].tolist()


def make_home(path: Path, source: Path) -> Home:
    """Catalog to evaluation of conftest.tiny_ck_plus."""
    catalog = tiny.write_catalog(path, "ck_plus", source)
    faces = tiny.write_faces(path, catalog, 48, (-10.0, 0.0, 10.0))
    link(catalog, source="fingerprint of the source")
    link(faces, catalog=content(catalog))
    table = read_faces(faces, Part(), 0)
    of_faces = {"faces": content(faces)}
    run = write_run(path, "ck_plus-cnn", b"weights", **of_faces)
    of_run = {**of_faces, "run": content(run)}
    level = write_rows(path, "subdivisions", "labels.parquet", names_of(table, "train"), **of_run)
    of_level = {**of_run, "level": content(level)}
    evaluation = write_rows(path, "evaluations", "predictions.parquet", names_of(table, "test"), **of_level)
    made = {"catalog": catalog, "faces": faces, "run": run, "level": level, "evaluation": evaluation}
    one_of = {role: sorted(set(table.group[table.role == role].tolist()))[0] for role in ("train", "test")}
    return Home(path, made, one_of["train"], one_of["test"])
