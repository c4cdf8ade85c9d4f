import numpy as np
import pyarrow as pa
import pytest
from landmark_fixtures import landmark_plan, landmark_rows, landmark_run, write_faces
from model_fixtures import MemoryStore, faces_path, finished, make_run, one_thread, plan_of, silent  # noqa: F401

from fer_core import levels, runs
from fer_core.assessment.base import Case
from fer_core.assessment.protocols import PROTOCOLS
from fer_core.folds import Part
from fer_core.methods import REGISTRY
from fer_core.predictor import Predictor
from fer_core.reading import read_faces
from fer_core.rivals import decisions_of
from fer_core.training import train
from fer_core.world import World


def assessed(predictor, faces):
    protocol = PROTOCOLS[predictor.description.build_method().protocol]
    return protocol(Case(predictor, faces, faces, seed=0, resamples=100), silent).predictions


@pytest.mark.parametrize("method", ["mul_dml", "sgm"])
def test_a_model_says_of_its_own_cases_what_it_said(make_run, faces_path, method):  # noqa: F811
    predictor = Predictor(*make_run(method))
    own = assessed(predictor, read_faces(faces_path, Part(), 3))
    assert decisions_of(predictor, faces_path, own).tolist() == own["decision"].to_pylist()
    turned = own.take(np.arange(len(own))[::-1])
    assert decisions_of(predictor, faces_path, turned).tolist() == turned["decision"].to_pylist()


def test_another_model_says_something_else(make_run, faces_path):  # noqa: F811
    own = assessed(Predictor(*make_run("mul_dml")), read_faces(faces_path, Part(), 3))
    other = Predictor(*make_run("sgm"))
    said = decisions_of(other, faces_path, own)
    assert said.tolist() == assessed(other, read_faces(faces_path, Part(), 3))["decision"].to_pylist()


def test_pairs_are_decided_anew_with_the_model_s_own_thresholds(tmp_path, faces_path):  # noqa: F811
    plan = plan_of(faces_path, "verification", epochs=1, batch_size=12)
    run = finished(tmp_path, "run", lambda path: runs.save_run(path, plan, train(plan, World(), MemoryStore(), silent)))
    faces = read_faces(faces_path, Part(), 3, label="identity")
    level = finished(tmp_path, "level", lambda path: levels.make_level(path, run.path, faces, 1, 0, silent))
    predictor = Predictor(run.path, level.path)
    names = faces.sample_id[faces.rows_of("test", upright=True)]
    pairs = [(one, other) for at, one in enumerate(names) for other in names[at + 1 :]]
    same = [one[:3] == other[:3] for one, other in pairs]
    table = pa.table(
        {
            "sample_id": [f"{one}|{other}" for one, other in pairs],
            "truth": ["same" if one else "different" for one in same],
            "fold": np.arange(len(pairs)) % 2,
        }
    )
    said = decisions_of(predictor, faces_path, table)
    embedding_of = dict(
        zip(names, predictor.embed_faces(faces.images(faces.rows_of("test", True))).embedding_ND, strict=True)
    )
    distance = np.array([np.square(embedding_of[one] - embedding_of[other]).sum() for one, other in pairs])
    for fold in (0, 1):
        own = distance[np.arange(len(pairs)) % 2 == fold]
        decided = said[np.arange(len(pairs)) % 2 == fold] == "same"
        assert not decided.any() or not (~decided).any() or own[decided].max() < own[~decided].min()
    assert set(said) <= {"same", "different"}


def test_a_model_of_landmarks_says_nothing_of_faces_without_them(tmp_path):
    folder = write_faces(tmp_path, landmark_rows())
    run, level = landmark_run(tmp_path, landmark_plan(folder, "m1"), MemoryStore())
    predictor = Predictor(run, level)
    own = assessed(predictor, landmark_plan(folder, "m1").read_faces())
    assert decisions_of(predictor, folder, own).tolist() == own["decision"].to_pylist()
    more = pa.concat_tables(
        [own.select(["sample_id", "truth"]), pa.table({"sample_id": ["nobody"], "truth": ["anger"]})]
    )
    assert decisions_of(predictor, folder, more).tolist() == [*own["decision"].to_pylist(), ""]


def test_every_protocol_has_its_rivals():
    assert {method.protocol for method in REGISTRY.values()} == {"expressions", "landmarks", "pairs"}
