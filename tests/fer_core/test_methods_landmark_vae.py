"""`landmark_vae` through the whole training: what each model is, its objective by hand, and what it refuses."""

import math

import numpy as np
import pytest
import torch
from landmark_fixtures import (
    PEOPLE,
    ROLE_OF,
    SMALL,
    landmark_plan,
    landmark_rows,
    write_faces,
    write_human_triplets,
)
from model_fixtures import MemoryStore, one_thread, silent, train_with_stops  # noqa: F401
from pydantic import ValidationError
from sklearn.decomposition import PCA

from fer_core.embedding import embed_rows
from fer_core.errors import InputError
from fer_core.inputs import PointInputs
from fer_core.landmarks.points import input_vectors
from fer_core.methods.base import Outputs, Recipe
from fer_core.methods.landmark_vae import LandmarkObjective, LandmarkVae, LandmarkVaeOptions
from fer_core.targets import UNKNOWN, Targets, TrainingRows
from fer_core.training import build_network, train
from fer_core.world import World

MODELS = ("raw", "pca", "vae", "m1", "m2")
TRAINED = ("vae", "m1", "m2")


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    return write_faces(tmp_path_factory.mktemp("landmarks"), landmark_rows())


def method_of(**options):
    return LandmarkVae(LandmarkVaeOptions(**options))


def run(plan):
    return train(plan, World(), MemoryStore(), silent)


def network_of(plan, trained):
    network = build_network(plan.build_method(), plan.backbone, plan.patch, trained.counts, seed=0)
    network.load_state_dict(trained.state)
    return network.eval()


def embedded(plan, trained, role):
    """(embeddings, x) of the rows of a role."""
    table = plan.read_faces()
    rows = table.rows_of(role, upright=True)
    made = embed_rows(network_of(plan, trained), PointInputs(table), rows, silent).embedding_ND
    return made, np.split(table.points[rows], 2, axis=1)[0].astype(np.float64)


@pytest.mark.parametrize("model", MODELS)
def test_every_model_embeds_the_people_that_are_held_out(faces, model):
    plan = landmark_plan(faces, model)
    trained = run(plan)
    emb_MD, x_MX = embedded(plan, trained, "test")
    assert emb_MD.shape == (14, 249 if model == "raw" else SMALL["latent_size"])
    assert np.isfinite(emb_MD).all()
    assert np.ptp(emb_MD, axis=0).max() > 0.01
    assert x_MX.shape == (14, 249)
    assert (trained.counts.numbers, trained.class_of_label) == (2 * 249, [0, 1, 2, 3])


@pytest.mark.parametrize("model", TRAINED)
def test_what_is_trained_has_a_row_an_epoch_with_the_bound_on_validation_rows(faces, model):
    trained = run(landmark_plan(faces, model, epochs=3))
    terms = {"elbo", "topology"} if model == "m2" else {"elbo"}
    known = {"epoch", "step", "steps", "loss", "valid_loss", "valid_elbo"}
    assert [row["step"] for row in trained.history] == [4, 8, 12]
    for row in trained.history:
        assert row.keys() == terms | known
        assert row["loss"] == pytest.approx(sum(row[name] for name in terms), rel=1e-6)
        assert row["valid_loss"] == row["valid_elbo"]


@pytest.mark.parametrize("model", ["raw", "pca"])
def test_what_is_only_fitted_makes_no_step(faces, model):
    store, shown = MemoryStore(), []
    trained = train(landmark_plan(faces, model), World(), store, shown.append)
    assert (trained.history, trained.steps, shown, store.num_saves) == ([], {}, [], 0)


def test_raw_landmarks_are_less_the_training_mean(faces):
    plan = landmark_plan(faces, "raw")
    trained = run(plan)
    own_ND, x_NX = embedded(plan, trained, "train")
    np.testing.assert_allclose(own_ND, x_NX - x_NX.mean(axis=0), atol=1e-6)
    other_MD, other_MX = embedded(plan, trained, "test")
    np.testing.assert_allclose(other_MD, other_MX - x_NX.mean(axis=0), atol=1e-6)


def test_principal_components_are_those_of_scikit_learn(faces):
    plan = landmark_plan(faces, "pca")
    trained = run(plan)
    _, x_NX = embedded(plan, trained, "train")
    emb_MD, x_MX = embedded(plan, trained, "test")
    peer = PCA(SMALL["latent_size"], svd_solver="full").fit(x_NX).transform(x_MX)
    assert np.abs(peer).max() > 0.1
    np.testing.assert_allclose(emb_MD, peer, atol=1e-5)


def test_the_network_knows_the_mean_neutral_face_of_the_training_rows(faces):
    for model in MODELS:
        plan = landmark_plan(faces, model, epochs=1)
        table = plan.read_faces()
        y_NX = np.split(table.points[table.rows_of("train", upright=True)], 2, axis=1)[1]
        kept = network_of(plan, run(plan)).neutral_X
        np.testing.assert_allclose(kept.numpy(), y_NX.mean(axis=0, dtype=np.float64), atol=1e-6)


@pytest.mark.parametrize(("num_points", "model"), [(5, "vae"), (5, "m1"), (68, "vae"), (68, "m1"), (5, "pca")])
def test_any_number_of_landmarks(tmp_path, num_points, model):
    plan = landmark_plan(write_faces(tmp_path, landmark_rows(num_points)), model)
    trained = run(plan)
    emb_MD, x_MX = embedded(plan, trained, "test")
    assert emb_MD.shape == (14, 6)
    assert x_MX.shape == (14, 3 * num_points)
    assert trained.counts.numbers == 6 * num_points


def outputs_of(num_rows, numbers=4, latents=2, num_samples=3):
    """Whatever a network might say."""
    draw = torch.Generator().manual_seed(5)
    mu_BK, logvar_BK = (torch.randn(num_rows, latents, generator=draw) for _ in range(2))
    target_BX = torch.randn(num_rows, numbers, generator=draw)
    decoded_BLX = target_BX[:, None] + 0.1 * torch.randn(num_rows, num_samples, numbers, generator=draw)
    return Outputs(mu_BK, more={"logvar": logvar_BK, "target": target_BX, "decoded": decoded_BLX})


def unknown_targets(num_rows):
    return Targets(*(torch.full((num_rows,), UNKNOWN) for _ in range(4)))


def elbo_by_hand(outputs, rows, variance, beta):
    total = 0.0
    for row in rows:
        parts = (outputs.more["target"], outputs.embedding_BD, outputs.more["logvar"])
        target, mu, logvar = (part[row].tolist() for part in parts)
        for decoded in outputs.more["decoded"][row].tolist():
            for x, f in zip(target, decoded, strict=True):
                log_density = -((x - f) ** 2) / (2 * variance) - math.log(2 * math.pi * variance) / 2
                total -= log_density / len(outputs.more["decoded"][row])
        total += beta * sum((m * m + math.exp(v) - 1 - v) / 2 for m, v in zip(mu, logvar, strict=True))
    return total / len(rows)


@pytest.mark.parametrize("model", ["vae", "m1"])
@pytest.mark.parametrize(
    ("annealing", "progress", "beta"), [(1.0, 0.25, 0.25), (0.5, 0.25, 0.5), (0.2, 0.9, 1), (0, 0, 1)]
)
def test_the_bound_by_hand(model, annealing, progress, beta):
    outputs = outputs_of(7)
    objective = LandmarkObjective(LandmarkVaeOptions(model=model, annealing=annealing, variance=0.02))
    terms = objective(outputs, unknown_targets(7), progress)
    assert list(terms) == ["elbo"]
    assert terms["elbo"].item() == pytest.approx(elbo_by_hand(outputs, range(7), 0.02, beta), rel=1e-5)


def topology_by_hand(outputs, num_rows, options, noise_MVK):
    """T / N over V gamma M of the summed costs; the noise is that of the rows behind the first `num_rows`."""
    num_triplets, total = options.triplets_per_step, 0.0
    for z_VK in noise_MVK.tolist():
        place = [
            [m + math.exp(v / 2) * e for m, v, e in zip(*one, strict=True)]
            for one in zip(
                outputs.embedding_BD[num_rows:].tolist(), outputs.more["logvar"][num_rows:].tolist(), z_VK, strict=True
            )
        ]
        for at in range(num_triplets):
            reference, positive, negative = (place[at + part * num_triplets] for part in range(3))
            total += math.log1p(math.exp(math.dist(reference, positive) - math.dist(reference, negative)))
    scale = options.triplets_per_sample / (num_triplets * options.gamma * options.topological_samples)
    return scale * total


@pytest.mark.parametrize(("anneal", "weight"), [("divergence", 1.0), ("prior", 0.25)])
def test_the_objective_of_m2_by_hand(anneal, weight):
    options = LandmarkVaeOptions(
        model="m2", triplets_per_step=2, topological_samples=4, triplets_per_sample=3.5, gamma=0.05, anneal=anneal
    )
    outputs = outputs_of(5 + 6)
    torch.manual_seed(11)
    terms = LandmarkObjective(options)(outputs, unknown_targets(11), 0.25)
    torch.manual_seed(11)
    noise_MVK = torch.randn(4, 6, 2)
    assert list(terms) == ["elbo", "topology"]
    assert terms["elbo"].item() == pytest.approx(elbo_by_hand(outputs, range(5), options.variance, 0.25), rel=1e-5)
    expected = weight * topology_by_hand(outputs, 5, options, noise_MVK)
    assert terms["topology"].item() == pytest.approx(expected, rel=1e-5)


def test_validation_looks_at_the_bound_of_all_rows_with_the_whole_prior():
    options = LandmarkVaeOptions(model="m2", triplets_per_step=2)
    outputs = outputs_of(9)
    terms = LandmarkObjective(options).eval()(outputs, unknown_targets(9), 0.25)
    assert list(terms) == ["elbo"]
    assert terms["elbo"].item() == pytest.approx(elbo_by_hand(outputs, range(9), options.variance, 1.0), rel=1e-5)


@pytest.mark.parametrize("model", TRAINED)
def test_a_run_that_is_stopped_ends_with_the_same_bits_and_the_best_state(faces, model):
    recipe = Recipe(3, 16, lr=3e-3, averaging=0.9)
    plan = landmark_plan(faces, model, recipe=recipe, checkpoint_steps=3)
    expected = run(plan)
    again, store = train_with_stops(plan)
    assert store.num_saves == 5
    assert again.history == expected.history
    assert all(torch.equal(again.state[name], value) for name, value in expected.state.items())


def test_the_state_that_is_kept_is_that_of_the_best_epoch(faces):
    """A rate that first learns and then destroys: the best epoch is not the last, and a run that ends there is it."""
    half, whole = Recipe(2, 16, lr=1e-3), Recipe(4, 16, lr=1e-3, lr_decay=10.0, num_decays=1)
    plans = [landmark_plan(faces, "m1", recipe=recipe, options={"annealing": 0.0}) for recipe in (half, whole)]
    first, second = map(run, plans)
    losses = [row["valid_loss"] for row in second.history]
    assert int(np.argmin(losses)) == 1, losses
    assert [row["valid_loss"] for row in second.history[:2]] == [row["valid_loss"] for row in first.history]
    assert all(torch.equal(first.state[name], value) for name, value in second.state.items())


def rows_of(faces, model="m2", **options):
    table = landmark_plan(faces, model, options=options).read_faces()
    return table.training_rows(table.rows_of("train", upright=True))


def test_triplets_are_of_the_training_rows_and_follow_the_rules(faces):
    rows = rows_of(faces)
    trained = [person for person in PEOPLE if ROLE_OF[person] == "train"]
    assert {name[:3] for name in rows.name_N.tolist()} == set(trained)
    sampler = method_of(triplets_per_sample=4, **SMALL).sampler(rows, 16, seed=0)
    assert sampler.triplets_T3.shape == (4 * len(rows.name_N), 3)
    assert set(sampler.triplets_T3.ravel().tolist()) == set(range(len(rows.name_N)))
    for triplet in sampler.triplets_T3:
        own, near, far = rows.expression_N[triplet].tolist()
        degree = rows.intensity_N[triplet]
        by_degree = own == near == far and abs(degree[0] - degree[1]) < abs(degree[0] - degree[2])
        by_neutral = near == rows.neutral and len({own, near, far}) == 3
        assert (own == near != far) or by_degree or by_neutral


def test_a_batch_ends_with_its_triplets(faces):
    rows = rows_of(faces)
    sampler = method_of(**SMALL).sampler(rows, 16, seed=0)
    assert (sampler.rows_per_batch, sampler.steps_per_epoch) == (16 + 9, 4)
    last_33 = sampler.batch(0, 1)[16:].reshape(3, 3).T
    known = {tuple(triplet) for triplet in sampler.triplets_T3.tolist()}
    assert all(tuple(triplet) in known for triplet in last_33.tolist())


@pytest.mark.parametrize("model", ["vae", "m1", "raw"])
def test_only_m2_draws_triplets(faces, model):
    sampler = method_of(model=model, validation_steps=4).sampler(rows_of(faces, model), 16, seed=0)
    assert sampler.rows_per_batch == len(sampler.batch(0, 0)) == 16


def test_peoples_triplets_come_as_often_as_they_weigh(tmp_path, faces):
    names = ["S01-happiness-0.9", "S02-happiness-0.4", "S03-anger-0.9", "S06-neutral-0.0"]
    tested = "S14-anger-0.9"
    asked = [names[:3], [names[1], names[3], names[2]], [names[0], tested, names[1]], [names[3], names[0], names[1]]]
    folder = write_human_triplets(tmp_path, asked, [5, 1, 5, 3])
    rows = rows_of(faces)
    sampler = method_of(triplet_source="human", triplets=folder, **SMALL).sampler(rows, 16, seed=0)
    made = [tuple(rows.name_N[triplet].tolist()) for triplet in sampler.triplets_T3]
    assert made == [tuple(asked[0])] * 5 + [tuple(asked[1])] + [tuple(asked[3])] * 3
    walk = np.concatenate([sampler.batch(0, step)[16:].reshape(3, 3).T for step in range(3)])
    assert sorted(map(tuple, walk.tolist())) == sorted(map(tuple, sampler.triplets_T3.tolist()))


def test_t_over_n_is_that_of_the_triplets_there_are(tmp_path, faces):
    rows = rows_of(faces)
    names = ["S01-happiness-0.9", "S02-happiness-0.4", "S03-anger-0.9"]
    folder = write_human_triplets(tmp_path, [names, names[::-1]], [5, 3])
    for options, per_row in (
        ({"triplet_source": "human", "triplets": folder}, 8 / 42),
        ({"triplets_per_sample": 2.5}, 105 / 42),
    ):
        method = method_of(**SMALL, **options)
        objective = method.objective(rows.counts(498))
        objective.fit(method.sampler(rows, 16, seed=0))
        assert objective.triplets_per_sample == per_row
    outputs = outputs_of(5 + 9)
    terms = []
    for per_row in (4.0, 8 / 42):
        objective = LandmarkObjective(LandmarkVaeOptions(**SMALL))
        objective.triplets_per_sample = per_row
        torch.manual_seed(2)
        terms.append(objective(outputs, unknown_targets(14), 0.5)["topology"].item())
    assert terms[1] == pytest.approx(terms[0] / 21, rel=1e-6)


def test_m2_is_trained_on_peoples_triplets(tmp_path, faces):
    """And each of them counts as all together weigh: many answers or few make no difference but by T / N."""
    names = ["S01-happiness-0.9", "S02-happiness-0.4", "S03-anger-0.9"]
    topology = {}
    for weight in (1, 5):
        folder = write_human_triplets(tmp_path / str(weight), [names], [weight])
        options = {"triplet_source": "human", "triplets": str(folder), "validation_steps": 1}
        topology[weight] = run(landmark_plan(faces, "m2", epochs=1, options=options)).history[0]["topology"]
    assert topology[5] == pytest.approx(5 * topology[1], rel=1e-6)


def test_with_peoples_triplets_rows_of_no_class_are_learnt_from_too(tmp_path):
    """What people compare need not be labelled; the labelled rows alone are what is classified."""
    rows = [{**row, "expression": None if "0.4" in row["sample_id"] else row["expression"]} for row in landmark_rows()]
    faces = write_faces(tmp_path, rows)
    asked = [["S01-happiness-0.4", "S02-happiness-0.9", "S03-anger-0.4"]]
    options = {"triplet_source": "human", "triplets": str(write_human_triplets(tmp_path, asked, [3]))}
    plan = landmark_plan(faces, "m2", epochs=1, options=options)
    table = plan.read_faces()
    labelled = table.rows_of("train", upright=True)
    assert (len(labelled), len(table.rows_of("train", upright=True, unlabelled=True))) == (24, 42)
    assert not np.isin(UNKNOWN, table.label[labelled])
    trained = run(plan)
    assert trained.class_of_label == [0, 1, 2, 3]
    all_X = table.points[table.rows_of("train", upright=True, unlabelled=True), :249].mean(axis=0, dtype=np.float64)
    np.testing.assert_allclose(trained.state["coder.mean_X"].numpy(), all_X, atol=1e-6)
    by_labels = landmark_plan(faces, "m2").read_faces()
    assert len(by_labels.rows_of("train", upright=True, unlabelled=True)) == 24


def test_a_folder_of_other_peoples_triplets_names_the_way_out(tmp_path, faces):
    folder = write_human_triplets(tmp_path, [["a", "b", "c"]], [3])
    plan = landmark_plan(faces, "m2", options={"triplet_source": "human", "triplets": str(folder)})
    with pytest.raises(InputError, match=r"no triplet of the training rows; make them with `prepare --tuples human`"):
        run(plan)


def test_the_folder_of_triplets_is_named_absolutely(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    options = LandmarkVaeOptions(triplet_source="human", triplets="home/tuples")
    assert options.triplets == tmp_path / "home" / "tuples"
    assert LandmarkVae(options).human_triplets == options.triplets
    assert method_of().human_triplets is None


@pytest.mark.parametrize("given", [{"triplet_source": "human"}, {"triplets": "folder"}])
def test_human_triplets_and_their_folder_go_together(given):
    with pytest.raises(ValidationError, match="triplet_source human and triplets FOLDER go together"):
        LandmarkVaeOptions(**given)


def test_degrees_that_nobody_gave_are_left_out(tmp_path):
    rows = [{**row, "intensity": None} for row in landmark_rows()]
    known = rows_of(write_faces(tmp_path, rows))
    assert np.isnan(known.intensity_N).all()
    triplets_T3 = method_of(**SMALL).sampler(known, 16, seed=0).triplets_T3
    expression_T3 = known.expression_N[triplets_T3]
    assert (expression_T3[:, 0] != expression_T3[:, 2]).all()


def training_rows(num_rows):
    column = np.arange(num_rows)
    return TrainingRows(column, column, column, column, column * np.nan, column)


@pytest.mark.parametrize(("num_rows", "batch_size", "sizes"), [(7, 16, [7]), (25, 10, [9, 9, 9]), (20, 10, [10, 10])])
def test_validation_shows_every_row_about_once(num_rows, batch_size, sizes):
    sampler = method_of(model="m2").validation_sampler(training_rows(num_rows), batch_size, seed=1)
    batches = [sampler.batch(0, step) for step in range(sampler.steps_per_epoch)]
    assert [len(batch) for batch in batches] == sizes
    counts = np.bincount(np.concatenate(batches), minlength=num_rows)
    assert counts.min() == 1
    assert counts.sum() < num_rows + len(sizes)


def changed(change):
    return [change(row) for row in landmark_rows()]


@pytest.mark.parametrize(
    ("rows", "model", "options", "message"),
    [
        (changed(lambda row: {**row, "landmarks_3d": None}), "m1", {}, "no row has landmarks; find some with"),
        (
            [row for row in landmark_rows() if row["expression"] != "neutral"],
            "vae",
            {},
            "test row has landmarks and a person with a neutral face; label one face of each person neutral",
        ),
        (
            changed(lambda row: row if ROLE_OF[row["subject_id"]] != "valid" else {**row, "landmarks_3d": None}),
            "pca",
            {},
            "no valid row has landmarks and a person with a neutral face",
        ),
        (changed(lambda row: {**row, "subject_id": None}), "m2", {}, "no .* row has landmarks and a person|one class"),
        (landmark_rows(), "pca", {"latent_size": 100}, r"42 training rows have no 100 .*--landmark-vae\.latent-size"),
        (landmark_rows(), "m2", {"triplets_per_sample": 0.1}, "triplets cannot show every sample"),
        (landmark_rows(), "m2", {"triplets_per_sample": 1e4}, "were found; ask for fewer"),
    ],
)
def test_data_that_cannot_be_used_names_the_way_out(tmp_path, rows, model, options, message):
    with pytest.raises(InputError, match=message):
        run(landmark_plan(write_faces(tmp_path, rows), model, options=options))


@pytest.mark.parametrize("steps", [1, 4])
def test_a_rate_that_is_too_great_is_named_in_training_or_in_validation(faces, steps):
    plan = landmark_plan(faces, "m1", recipe=Recipe(3, 16, lr=1e25), options={"validation_steps": steps})
    with pytest.raises(InputError, match="use a smaller --lr"):
        run(plan)


def test_rows_of_points_are_vectors_of_the_row_and_of_the_persons_neutral_face(faces):
    table = landmark_plan(faces, "m1").read_faces()
    landmarks = {row["sample_id"]: np.reshape(row["landmarks_3d"], (83, 3)) for row in landmark_rows()}
    for row in (0, 11, len(table.sample_id) - 1):
        name = table.sample_id[row]
        pair = np.stack([landmarks[name], landmarks[f"{name[:3]}-neutral-0.0"]])
        np.testing.assert_allclose(table.points[row], input_vectors(pair, None, y_down=False).ravel(), atol=1e-6)
