"""`score` as a person runs it, and faces labelled by a registered model: real models, real files, bad input, a kill."""

import shutil
from pathlib import Path

import cv2
import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from whole_commands import killed_when, manifests, run, start

from fer_core import levels, runs
from fer_core.directories import Directory, read_manifest
from fer_core.files import write_table
from fer_core.folds import Part
from fer_core.methods import Recipe
from fer_core.reading import read_faces
from fer_core.synthetic import Face, render
from fer_core.training import TrainingPlan, train
from fer_core.vocabulary import EIGHT
from fer_core.world import World
from infra.mlflow_engine import CHAMPION, Candidate, Registry
from tasks.scoring import SHARD

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore"),  # of what MLflow imports
]

FACES = ["--synthetic.identities", "6", "--synthetic.takes", "1", "--face-size", "32"]
QUICK = [*FACES, "--batch-size", "16", "--epochs", "1", "--resamples", "100"]
ASIDE = {"damaged or truncated picture": 1, "no face found": 1, "not a PNG, JPEG, BMP, TIFF picture": 1}
PEOPLE = 4


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a champion that says expressions."""
    home = tmp_path_factory.mktemp("home")
    run(home, "retrain", *QUICK)
    return home


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of four people, three each, at two depths; one cut short, one of nothing, one that is text."""
    photos = tmp_path_factory.mktemp("photos")
    for person in range(PEOPLE):
        for take in range(3):
            draw(photos / f"P{person}" / f"{take}.png", person, take)
    cv2.imwrite(str(photos / "wall.png"), np.full((120, 120, 3), 127, np.uint8))
    (photos / "cut.png").write_bytes((photos / "P0" / "0.png").read_bytes()[:900])
    (photos / "text.jpg").write_text("not a picture")
    (photos / "notes.txt").write_text("nobody asked")
    return photos


def draw(file: Path, person: int, take: int) -> None:
    image, _ = render(Face(person, EIGHT[take % 8], 0.8, 0.0, take), 96)
    file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(file), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))


@pytest.fixture(scope="module")
def people(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """A verification model beside it in the registry, tested on 200 pairs of different people."""
    (faces,) = home.glob("faces/synthetic-*")
    root = tmp_path_factory.mktemp("people")
    run_folder = finished(root / "run", lambda path: runs.save_run(path, plan(faces), trained(plan(faces))))
    table = read_faces(faces, Part(), 0, "identity")
    level = finished(
        root / "level", lambda path: levels.make_level(path, run_folder, table, 1, 0, progress=lambda *_: None)
    )
    columns = {"sample_id": ["x|y"] * 400, "subject": ["P"] * 400, "truth": ["same", "different"] * 200}
    tested = pa.table({**columns, "decision": ["same"] * 400, "distance": np.linspace(0, 2, 400), "fold": [0] * 400})
    write_table(root / "predictions.parquet", tested)
    registry = Registry(home, None, "people")
    tags = {"title": "verification", "run": run_folder.name, "level": level.name, "test_rows": "none"}
    candidate = Candidate("0", {}, {}, tags, [], "0", str(faces), [root / "predictions.parquet"], run_folder, level)
    version, _ = registry.register(candidate)
    registry.set_alias(CHAMPION, version)
    return registry


def plan(faces: Path) -> TrainingPlan:
    return TrainingPlan(
        faces=faces,
        part=Part(),
        method="verification",
        method_options={"embedding_size": 8},
        recipe=Recipe(1, 24, lr=1e-3),
        backbone="resnet18",
        patch=28,
        face_size=32,
        frame_is_face=False,
        bfloat16=False,
        seed=0,
        checkpoint_steps=1000,
    )


class NoStore:
    """Nothing is kept: nothing is interrupted."""

    def load(self) -> None:
        return None

    def save(self, state: object, metrics: object) -> None:
        return None


def trained(of: TrainingPlan) -> object:
    return train(of, World(), NoStore(), lambda *_: None)


def finished(folder: Path, build: object) -> Path:
    directory = Directory(folder.parent, folder.name, kind="test", config={}, inputs={}, code="test")
    directory.start()
    build(directory.path)
    directory.finish([path.name for path in directory.path.iterdir() if path.name != "started.json"], {})
    return directory.path


def test_every_picture_of_a_folder_is_scored_by_the_champion(home: Path, photos: Path) -> None:
    ended = run(home, "score", "--source", str(photos), "--json")
    values = ended.values
    assert values["set_aside"] == ASIDE
    assert all(f"{reason}, such as " in ended.err for reason in ASIDE)
    assert (values["rows"], values["model_name"], values["model_version"], values["reused"]) == (12, "fer", 1, [])
    assert sum(values["expressions"].values()) == 12
    assert values["seconds"]["score"] > 0
    assert "15 / 15 images, " in ended.err
    table = pd.read_parquet(values["predictions"])
    assert table["source_path"].tolist() == [f"P{person}/{take}.png" for person in range(PEOPLE) for take in range(3)]
    assert table["expression"].value_counts().to_dict() == values["expressions"]
    assert table["faces"].tolist() == [1] * 12
    assert all(0 <= left < right < 96 and 0 <= top < bottom < 110 for left, top, right, bottom in table["face_box"])
    probabilities = np.stack(table["probabilities"])
    assert probabilities.shape == (12, len(values["classes"]))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert [values["classes"][index] for index in probabilities.argmax(axis=1)] == table["expression"].tolist()
    loaded = Registry(home, None, "fer").predictor(1)
    made = loaded.predict_pictures([(photos / name).read_bytes() for name in table["source_path"]])
    # another process may use another number of threads; a face that is found a digit elsewhere is another crop
    np.testing.assert_allclose(np.stack(table["embedding"]), made.embedding, atol=2e-4)
    before = manifests(home)
    again = run(home, "score", "--source", f"{photos}/**/*", "--version", "1", "--json").values
    assert again["reused"] == ["score"]
    assert {**again, "seconds": 0, "reused": []} == {**values, "seconds": 0}  # by a glob, the same pictures
    assert manifests(home) == before
    listed = run(home, "directories", "--json").values["directories"][-1]
    assert (listed["kind"], listed["rows"], listed["state"]) == ("scores", 12, "finished")


def test_a_folder_of_several_shards_that_is_killed_goes_on(home: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    for at in range(8):
        draw(source / f"{at}.png", at, at)
    for at in range(8, SHARD + 88):
        shutil.copy(source / f"{at % 8}.png", source / f"{at:04d}.png")
    shutil.rmtree(home / "scores", ignore_errors=True)
    process = start(home, "score", "--source", str(source), "--json")
    killed_when(process, home, "scores/*/predictions.parquet/part-00000.parquet")
    (folder,) = (path.parent for path in home.glob("scores/*/started.json"))
    first = folder / "predictions.parquet" / "part-00000.parquet"
    written = first.stat().st_mtime_ns
    assert not (folder / "predictions.parquet" / "part-00001.parquet").exists()
    values = run(home, "score", "--source", str(source), "--json").values
    assert values["directory"] == str(folder)
    assert first.stat().st_mtime_ns == written
    assert values["rows"] + sum(values["set_aside"].values()) == SHARD + 88
    table = pd.read_parquet(values["predictions"])
    assert len(set(table["source_path"])) == len(table) == values["rows"]


def test_scored_pictures_are_looked_through(home: Path, photos: Path) -> None:
    album = run(home, "album", "--source", str(photos), "--groups", "2", "--k", "3", "--json").values
    assert (album["rows"], album["shown"], sum(album["groups"].values())) == (12, 6, 12)
    table = pd.read_parquet(album["table"])
    assert table.groupby("group")["is_medoid"].sum().to_dict() == dict.fromkeys(album["groups"], 1)
    assert Path(album["report"]).read_text().count("data:image/jpeg") == 6
    query = ["--query", str(photos / "P1" / "2.png"), "--source", str(photos), "--k", "4", "--json"]
    found = run(home, "retrieve", *query).values
    assert (found["rows"], found["gallery_rows"], found["reused"]) == (4, 12, ["score"])
    nearest = pd.read_parquet(found["table"])
    assert nearest["distance"].is_monotonic_increasing
    assert set(nearest["source_path"]) < set(table["source_path"]) - {"P1/2.png"}
    assert cv2.imread(found["sheet"]) is not None


def test_pairs_are_decided_at_the_asked_rate(home: Path, photos: Path, people: Registry, tmp_path: Path) -> None:
    pairs = photos / "pairs.csv"
    lines = [f"P0/0.png,P{person}/{take}.png,{int(person == 0)}" for person in range(PEOPLE) for take in (1, 2)]
    pairs.write_text(
        "first,second,same\n" + "\n".join([*lines, "P0/0.png,nowhere.png,1", "wall.png,P1/0.png,0"]) + "\n"
    )
    ask = ["score", "--task", "verification", "--pairs", str(pairs), "--model-name", "people"]
    values = run(home, *ask, "--far", "0.05", "--json").values
    assert (values["rows"], values["model_name"], values["model_version"]) == (8, "people", 1)
    assert values["set_aside"] == {"file does not exist": 1, "no face found": 1}
    table = pq.read_table(Path(values["directory"]) / "pairs.parquet").to_pandas()
    assert table["same_person"].sum() == values["same_person"]
    tested = np.linspace(0, 2, 400)[1::2]
    assert ((tested <= values["threshold"]).mean(), values["threshold"] < tested[10]) == (0.05, True)
    rows = pd.read_parquet(values["predictions"]).set_index("source_path")
    assert rows["expression"].isna().all()
    for _, pair in table.iterrows():
        difference = rows.loc[pair["first"], "embedding"] - rows.loc[pair["second"], "embedding"]
        assert pair["distance"] == pytest.approx(float(np.square(difference).sum()), abs=1e-5)
        assert pair["same_person"] == (pair["distance"] <= values["threshold"])
    right = (table["same_person"] == table["same"]).mean()
    assert values["metrics"]["accuracy"] == pytest.approx(right)
    assert set(values["metrics"]) == {"accuracy", "tar", "far"}
    again = run(home, *ask, "--far", "0.05", "--json").values
    assert again["reused"] == ["score", "pairs"]
    finer = run(home, *ask, "--far", "0.001", code=2)
    assert "the finest is --far 0.005" in finer.err.splitlines()[-1]
    other = run(home, *ask[:-1], "fer", code=2)
    assert "fer version 1 (mul_dml) says expressions, not whether two pictures show one person" in other.err


def test_what_a_registered_model_answers(home: Path, photos: Path, people: Registry) -> None:
    asked = pd.DataFrame({"image": [(photos / "P0" / f"{take}.png").read_bytes() for take in range(3)]})
    expressions = mlflow.pyfunc.load_model("models:/fer/1")
    answer = expressions.predict(asked)
    assert list(answer) == ["expression", "probabilities", "embedding", "sub_class"]
    says = {column.name: column.required for column in expressions.metadata.signature.outputs.inputs}
    assert says == {**dict.fromkeys(answer, False), "embedding": True, "yaw": False}
    (embedding,) = mlflow.pyfunc.load_model("models:/people/1").predict(asked).items()
    assert embedding[0] == "embedding"
    assert np.stack(embedding[1]).shape == (3, 8)


def test_verification_is_trained_on_faces_that_a_registered_model_has_labelled(home: Path, tmp_path: Path) -> None:
    for person in range(8):
        for take in range(4):
            draw(tmp_path / "lfw" / f"Person_{person}" / f"Person_{person}_{take + 1:04d}.jpg", person, take)
    lfw = ["--dataset", "lfw", "--source", str(tmp_path / "lfw"), "--face-size", "32"]
    quick = ["--method", "verification", "--verification.pdm", "1", "--batch-size", "16", "--epochs", "1"]
    ended = run(home, "train", *lfw, *quick, code=2)
    assert "--verification.pdm needs somebody twice with one expression" in ended.err.splitlines()[-1]
    estimated = ["--expressions", "estimated", "--expression-model", "fer", "--least-probability", "0"]
    values = run(home, "train", *lfw, *quick, *estimated, "--json").values
    assert values["classes"] == {}
    assert sum(values["estimated_expressions"].values()) == 32
    assert np.isfinite(values["final_loss"])
    table = pq.read_table(Path(values["faces"]) / "expressions.parquet").to_pandas()
    assert table["expression"].value_counts().to_dict() == values["estimated_expressions"]
    assert set(table["expression_by"]) == {"model fer version 1"}
    assert read_manifest(Path(values["faces"])).inputs.keys() == {"catalog", "expression_run", "expression_level"}
    assert run(home, "prepare", *lfw, *estimated, "--verify", "--json").values["damaged"] == []
    surer = run(home, "prepare", *lfw, *estimated[:-1], "1", "--json").values
    assert surer["faces"] != values["faces"]
    assert surer["estimated_expressions"] == {}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--model-name", "other"], "there is no model other in the registry"),
        (["--version", "9"], "model fer has no version 9"),
        (["--source", "{tmp}/words"], "holds no picture, in whatever depth"),
    ],
)
def test_bad_input_is_a_sentence(home: Path, tmp_path: Path, arguments: list[str], sentence: str) -> None:
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "notes.txt").write_text("x")
    draw(tmp_path / "good" / "1.png", 0, 0)
    given = [argument.replace("{tmp}", str(tmp_path)) for argument in arguments]
    source = [] if "--source" in given else ["--source", str(tmp_path / "good")]
    ended = run(home, "score", *source, *given, code=2)
    assert sentence in ended.err.splitlines()[-1]
    assert ended.err.splitlines()[-1].startswith("error: ")


def test_a_model_without_a_champion_is_named_with_the_way_out(home: Path, photos: Path, people: Registry) -> None:
    people.set_alias(CHAMPION, None)
    ended = run(home, "score", "--source", str(photos), "--model-name", "people", code=2)
    people.set_alias(CHAMPION, 1)
    assert "model people has no champion; promote one of people version 1" in ended.err.splitlines()[-1]
