"""Faces in groups, each with its medoid and the faces nearest to it, as a table and as a page.

N faces, D embedding size, M members of a group.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
from sklearn.cluster import KMeans

from fer_core.errors import InputError
from fer_core.files import write_bytes, write_table
from fer_core.galleries.gallery import Gallery
from fer_core.pictures import small_picture
from fer_core.report.render import template
from fer_core.subdivision import top_k

ALBUM, PAGE = "album.parquet", "album.html"
SCHEMA = pa.schema(
    [
        ("source_path", pa.string()),  # of a training face the sample id
        ("group", pa.string()),
        ("rank", pa.int32()),  # from 0, the medoid's
        ("distance", pa.float64()),  # Euclidean, to the medoid
        ("is_medoid", pa.bool_()),
        ("expression", pa.string()),
    ]
)
MOST_SHOWN = 400
"""Faces on the page: about 2 MB."""


class Group(NamedTuple):
    """A group: its name, and its rows in the gallery with their distances to the medoid, which comes first."""

    name: str
    row_M: np.ndarray
    distance_M: np.ndarray


def groups_of(gallery: Gallery, num_groups: int | Literal["auto"], seed: int = 0) -> list[Group]:
    """The groups of a gallery, the largest first: the model's sub-classes, or so many by k-means.

    Raises:
        InputError: sub-classes of a model that has none of expressions, or more groups than faces.
    """
    if num_groups == "auto":
        named = [name for name in gallery.sub_class if name is not None]
        if len(named) < len(gallery.name):
            raise InputError("a model that tells people apart says no expression; say --groups NUMBER")
        names, label_N = np.unique(named, return_inverse=True)
    else:
        if num_groups > len(gallery.name):
            raise InputError(f"--groups {num_groups} are more than there are faces ({len(gallery.name)})")
        fitted = KMeans(num_groups, n_init=4, random_state=seed).fit(gallery.embedding_ND)
        label_N = fitted.labels_
        names = np.array([f"group {label + 1}" for label in range(num_groups)])
    members = top_k(gallery.embedding_ND, label_N, len(gallery.name))
    found = [_group(str(names[label]), gallery.embedding_ND, rows) for label, rows in members.items()]
    return sorted(found, key=lambda group: -len(group.row_M))


def _group(name: str, embedding_ND: np.ndarray, row_M: np.ndarray) -> Group:
    emb_MD = embedding_ND[row_M].astype(np.float64)
    return Group(name, row_M, np.linalg.norm(emb_MD - emb_MD[0], axis=1))


def write_album(
    folder: Path, title: str, gallery: Gallery, num_groups: int | Literal["auto"], k: int
) -> dict[str, Any]:
    """Group a gallery, and write ALBUM by SCHEMA with all faces and PAGE with the k of each group nearest its medoid.

    Returns:
        rows; gallery (what it is); groups: name -> size; shown: faces on the page.

    Raises:
        InputError: as groups_of.
    """
    groups = groups_of(gallery, num_groups)
    write_table(folder / ALBUM, pa.concat_tables([_table(gallery, group) for group in groups]))
    shown = groups[: max(1, MOST_SHOWN // k)]
    crops = gallery.crops([gallery.name[row] for group in shown for row in group.row_M[:k]])
    page = template("album.html.j2").render(
        title=title,
        what=gallery.what,
        num_faces=len(gallery.name),
        num_groups=len(groups),
        is_whole=len(shown) == len(groups),
        groups=[_described(gallery, group, crops, k) for group in shown],
    )
    write_bytes(folder / PAGE, page.encode())
    sizes = {group.name: len(group.row_M) for group in groups}
    return {"rows": len(gallery.name), "gallery": gallery.what, "groups": sizes, "shown": len(crops)}


def _table(gallery: Gallery, group: Group) -> pa.Table:
    rows: list[int] = group.row_M.tolist()
    columns = {
        "source_path": [gallery.name[row] for row in rows],
        "group": [group.name] * len(rows),
        "rank": range(len(rows)),
        "distance": group.distance_M,
        "is_medoid": [rank == 0 for rank in range(len(rows))],
        "expression": [gallery.expression[row] for row in rows],
    }
    return pa.Table.from_pydict(columns, schema=SCHEMA)


def _described(gallery: Gallery, group: Group, crops: dict[str, np.ndarray], k: int) -> dict[str, Any]:
    """A group as the page shows it."""
    nearest = zip(group.row_M[:k].tolist(), group.distance_M[:k].tolist(), strict=True)
    faces = [
        {
            "name": gallery.name[row],
            "distance": distance,
            "image": small_picture(crops[gallery.name[row]]) if gallery.name[row] in crops else None,
        }
        for row, distance in nearest
    ]
    return {"name": group.name, "size": len(group.row_M), "faces": faces, "made_up_of": _made_up_of(gallery, group)}


def _made_up_of(gallery: Gallery, group: Group) -> list[tuple[str, float]]:
    """The expressions of a group with their shares, the commonest first; none of a model that says none."""
    own: Sequence[str] = [name for row in group.row_M.tolist() if (name := gallery.expression[row]) is not None]
    names, counts = np.unique(own, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return [(str(names[at]), float(counts[at] / counts.sum())) for at in order]
