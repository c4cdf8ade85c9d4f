"""Looking through scored pictures, and through the faces that a registered model was trained on."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from served import CLASSES, picture, png, register

from fer_core.errors import InputError
from fer_core.options.gallery import AlbumOptions, RetrieveOptions
from tasks import galleries
from tasks.galleries import find_nearest, make_album
from tasks.registered import RegisteredModel, registered
from tasks.scoring import score_source

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore"),  # of what MLflow imports
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    register(home)
    return home


@pytest.fixture(scope="module")
def model(home: Path) -> RegisteredModel:
    return registered(home, "fer", None)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three people with three expressions, a copy of one picture, and a wall."""
    photos = tmp_path_factory.mktemp("photos")
    for person in range(3):
        for expression in CLASSES:
            (photos / f"{person}-{expression}.png").write_bytes(png(picture(person, expression)))
    shutil.copy(photos / "1-surprise.png", photos / "copy.png")
    (photos / "wall.png").write_bytes(png(np.full((96, 96, 3), 127, np.uint8)))
    return photos


@pytest.fixture(scope="module")
def scores(home: Path, photos: Path, model: RegisteredModel) -> Path:
    return score_source.fn(home, str(photos), None, model).path


def nearest(home: Path, photos: Path, model: RegisteredModel, scores: Path | None, k: int = 3) -> dict[str, object]:
    options = RetrieveOptions(home=home, query=photos / "1-surprise.png", k=k)
    return find_nearest.fn(options, model, scores).summary


def test_scored_pictures_that_are_nearest_to_one_of_them(
    home: Path, photos: Path, model: RegisteredModel, scores: Path
) -> None:
    told = nearest(home, photos, model, scores)
    assert (told["gallery"], told["gallery_rows"], told["rows"]) == ("scored pictures", 10, 3)
    paths = [row["source_path"] for row in told["nearest"]]
    assert not {"1-surprise.png", "copy.png"} & set(paths)
    table = pq.read_table(scores / "predictions.parquet").to_pylist()
    by_path = {row["source_path"]: row for row in table}
    query = np.array(by_path["1-surprise.png"]["embedding"])
    others = {path: np.linalg.norm(np.array(row["embedding"]) - query) for path, row in by_path.items()}
    del others["1-surprise.png"], others["copy.png"]
    assert paths == sorted(others, key=lambda path: others[path])[:3]
    rounding = 1e-3 * float(np.linalg.norm(query))  # the detector's, in another batch
    for row in told["nearest"]:
        assert row["distance"] == pytest.approx(others[row["source_path"]], abs=rounding)
        assert row["expression"] == by_path[row["source_path"]]["expression"]


def test_the_same_question_is_answered_once(home: Path, photos: Path, model: RegisteredModel, scores: Path) -> None:
    options = RetrieveOptions(home=home, query=photos / "0-neutral.png")
    first = find_nearest.fn(options, model, scores)
    again = find_nearest.fn(options, model, scores)
    assert (first.reused, again.reused, again.path) == (False, True, first.path)
    assert find_nearest.fn(options, model, None).path != first.path


def test_training_faces_are_the_gallery_where_none_is_named(home: Path, photos: Path, model: RegisteredModel) -> None:
    told = nearest(home, photos, model, None)
    assert (told["gallery"], told["gallery_rows"]) == ("training faces", len(model.predictor().level.sample_id))
    album = make_album.fn(AlbumOptions(home=home, k=2), model, None)
    assert {name.split()[0] for name in album.summary["groups"]} == set(CLASSES)
    assert album.summary["shown"] == 2 * len(album.summary["groups"])
    assert "Training faces by fer version 1" in (album.path / "album.html").read_text()


def test_an_album_of_scored_pictures_shows_them_as_they_were_cropped(
    home: Path, photos: Path, model: RegisteredModel, scores: Path
) -> None:
    album = make_album.fn(AlbumOptions(home=home, groups=2, k=10), model, scores)
    assert sum(album.summary["groups"].values()) == album.summary["shown"] == 10
    crops = galleries._gallery(model, model.predictor(), scores).crops(["copy.png", "0-neutral.png", "gone.png"])
    assert sorted(crops) == ["0-neutral.png", "copy.png"]
    made = model.predictor().predict_faces(np.stack([crops["copy.png"]]))
    row = {row["source_path"]: row for row in pq.read_table(scores / "predictions.parquet").to_pylist()}["copy.png"]
    np.testing.assert_allclose(made.embedding[0], row["embedding"], rtol=1e-3, atol=1e-3)


def test_pictures_that_have_changed_or_gone_are_not_shown(
    home: Path, photos: Path, model: RegisteredModel, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    shutil.copytree(photos, source)
    (source / "another.png").write_bytes(png(picture(4)))
    scores = score_source.fn(home, f"{source}/*.png", None, model).path
    cv2.imwrite(str(source / "copy.png"), np.zeros((96, 96, 3), np.uint8))
    changed = make_album.fn(AlbumOptions(home=home, k=5), model, scores)
    assert (changed.summary["rows"], changed.summary["shown"]) == (11, 0)
    shutil.rmtree(source)
    gone = make_album.fn(AlbumOptions(home=home, k=5), model, scores)
    assert (gone.summary["shown"], gone.reused) == (0, False)


def test_the_scores_of_another_model_are_refused(
    home: Path, photos: Path, model: RegisteredModel, scores: Path, tmp_path: Path
) -> None:
    other = RegisteredModel(model.registry, 1, {"run": "0", "level": "1"}, model.description)
    with pytest.raises(
        InputError, match="was not scored by fer version 1; name its model by --version, or score again"
    ):
        nearest(home, photos, other, scores)
    with pytest.raises(InputError, match=r"has no manifest\.json"):
        nearest(home, photos, model, tmp_path)
