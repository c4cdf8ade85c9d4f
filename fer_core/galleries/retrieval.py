"""The faces of a gallery whose expressions are nearest to a picture's. N faces, K neighbours, D embedding size."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from fer_core.errors import InputError
from fer_core.evaluation.neighbours import nearest
from fer_core.figures import thumbnails
from fer_core.files import write_bytes, write_table
from fer_core.galleries.gallery import Gallery
from fer_core.predictor import Cut, Predictor

NEAREST, SHEET = "nearest.parquet", "nearest.png"
SCHEMA = pa.schema(
    [
        ("rank", pa.int32()),  # from 1
        ("source_path", pa.string()),  # of a training face the sample id
        ("distance", pa.float64()),  # Euclidean, between embeddings
        ("expression", pa.string()),
        ("sub_class", pa.string()),
    ]
)
SAME = 1e-3
"""Embeddings that differ by less than this share of their length are of one picture: where a face is detected, rounding
goes by the batch the picture was in, which moves the crop a little. 4e-4 has been seen."""
_GREY = 224


def nearest_others(query_D: np.ndarray, gallery_ND: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and Euclidean distances of the k nearest faces, nearest first, none of the query's picture and none twice.

    Fewer than k where there are no more.
    """
    asked = k
    while True:
        row_1A, distance_1A = nearest(query_D[None], gallery_ND, asked)
        kept = _distinct(query_D, gallery_ND[row_1A[0]])[:k]
        if len(kept) == k or len(row_1A[0]) == len(gallery_ND):
            return row_1A[0][kept], distance_1A[0][kept]
        asked *= 2


def _distinct(query_D: np.ndarray, found_AD: np.ndarray) -> list[int]:
    """The places of faces that are neither the query nor one before them; equal ones lie next to each other."""
    seen, kept = [query_D], list[int]()
    for place, one_D in enumerate(found_AD):
        if all(np.linalg.norm(one_D - other_D) > SAME * np.linalg.norm(one_D) for other_D in seen):
            seen.append(one_D)
            kept.append(place)
    return kept


def write_nearest(folder: Path, predictor: Predictor, query: Path, gallery: Gallery, k: int) -> dict[str, Any]:
    """Find the faces nearest to the one in a picture, and write NEAREST by SCHEMA and SHEET, the query first.

    Returns:
        rows; gallery (what it is) and gallery_rows; expression of the query (None of a model that tells people apart);
        nearest: the rows of the table.

    Raises:
        InputError: the picture cannot be read, or holds no face.
    """
    ((cut,),) = predictor.crops_of([query.read_bytes()])
    if not isinstance(cut, Cut):
        raise InputError(f"--query {query}: {cut.reason}{f' ({cut.detail})' if cut.detail else ''}")
    given = predictor.embed_faces(cut.crop[None])
    says = None if predictor.decides_by == "distance" else predictor.classes[predictor.predicted(given).expression[0]]
    rows, distances = nearest_others(given.embedding_ND[0], gallery.embedding_ND, k)
    found = [
        {
            "rank": rank,
            "source_path": gallery.name[row],
            "distance": distance,
            "expression": gallery.expression[row],
            "sub_class": gallery.sub_class[row],
        }
        for rank, (row, distance) in enumerate(zip(rows.tolist(), distances.tolist(), strict=True), start=1)
    ]
    write_table(folder / NEAREST, pa.Table.from_pylist(found, schema=SCHEMA))
    write_bytes(folder / SHEET, _sheet(cut.crop, says, found, gallery))
    known = {"gallery": gallery.what, "gallery_rows": len(gallery.name), "expression": says}
    return {"rows": len(found), **known, "nearest": found}


def _sheet(query: np.ndarray, says: str | None, found: list[dict[str, Any]], gallery: Gallery) -> bytes:
    """The query and what was found, grey where a face can no longer be looked at."""
    crops = gallery.crops([row["source_path"] for row in found])
    empty = np.full_like(query, _GREY)
    images = [query, *(crops.get(row["source_path"], empty) for row in found)]
    titles = [" ".join(["query", says or ""]).strip()]
    titles += [f"{row['rank']}  {row['distance']:.3f}  {row['expression'] or ''}".rstrip() for row in found]
    return thumbnails(images, titles)
