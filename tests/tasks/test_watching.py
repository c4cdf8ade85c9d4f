"""What asks for a new model: another source, or scored pictures that are others than those of the test part."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fer_core.directories import Directory
from fer_core.drift.scored_rows import read_scores
from fer_core.errors import InputError
from fer_core.files import write_table
from fer_core.ingest.scanning import source_fingerprint
from fer_core.levels import embedding_column
from fer_core.options.watch import WatchOptions
from infra.mlflow_versions import ModelVersion
from tasks import watching
from tasks.watching import Looked, Trigger

CLASSES = np.array(["anger", "happiness", "neutral"])
D = 16


class Versions(SimpleNamespace):
    """A registry: the champion, and the tags of each version."""

    def version_of(self, alias: str) -> int | None:
        assert alias == "champion"
        return self.champion

    def tags_of(self, version: int) -> dict[str, str]:
        return self.tags[version]

    def all(self) -> list[ModelVersion]:
        others = ModelVersion("other", 9, (), {"data_digest": "none of ours"}, None, 0)
        return [others, *(ModelVersion("fer", version, (), tags, None, 0) for version, tags in self.tags.items())]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Versions:
    versions = Versions(champion=None, tags={})
    monkeypatch.setattr(watching, "open_registry", lambda home, name: versions)
    monkeypatch.setattr(watching, "all_versions", lambda home: versions.all())
    return versions


def finish(home: Path, folder: str, kind: str, tables: dict[str, pa.Table], **known: Any) -> Directory:
    directory = Directory(home / folder, "fer", kind=kind, code="test", **{"config": {}, "inputs": {}, **known})
    directory.start()
    for name, table in tables.items():
        (directory.path / name).parent.mkdir(exist_ok=True)
        write_table(directory.path / name, table)
    directory.finish(tables, {"rows": sum(map(len, tables.values()))})
    return directory


def rows(seed: int, num_rows: int, shift: float = 0.0) -> tuple[list[str], np.ndarray, list[str]]:
    """(names, embeddings, what is said) of pictures."""
    rng = np.random.default_rng(seed)
    said_N = rng.integers(3, size=num_rows)
    emb_ND = 3 * np.eye(3, D)[said_N] + rng.normal(size=(num_rows, D)) + shift
    return [f"{seed}-{at}.png" for at in range(num_rows)], emb_ND.astype(np.float32), CLASSES[said_N].tolist()


def champion_tested(home: Path, registry: Versions, version: int = 1, num_rows: int = 60) -> None:
    """A champion whose evaluation stands in the home; each test picture is of somebody else."""
    names, emb_ND, said = rows(100 + version, num_rows)
    predictions = pa.table({"sample_id": names, "subject": names, "decision": said})
    embeddings = pa.table({"sample_id": names, "embedding": embedding_column(emb_ND)})
    tables = {"predictions.parquet": predictions, "embeddings.parquet": embeddings}
    made = finish(home, "evaluations", "evaluation", tables, config={"version": version})
    registry.champion, registry.tags[version] = version, {"evaluation": made.path.name, "data_digest": "gone"}


def scored(home: Path, seed: int, num_rows: int = 60, shift: float = 0.0, version: int = 1) -> Path:
    names, emb_ND, said = rows(seed, num_rows, shift)
    embedding = pa.array(list(emb_ND), pa.list_(pa.float32()))
    table = pa.table({"source_path": names, "expression": said, "embedding": embedding})
    config = {"model_name": "fer", "model_version": version}
    files = {"predictions.parquet/part-00000.parquet": table}
    return finish(home, "scores", "scores", files, config=config, inputs={"pictures": str(seed)}).path


def look(home: Path, **options: Any) -> Looked:
    return watching.look_at_scores.fn(WatchOptions(home=home, **options))


def act(looked: Looked) -> None:
    watching.remember.fn(looked)


def fired(looked: Looked) -> list[str]:
    return [one.kind for one in looked.triggers if one.fired]


def reasons(looked: Looked) -> set[str]:
    return {one.reason for one in looked.triggers}


def test_drift_fires_once_and_is_written_down(home: Path, registry: Versions) -> None:
    champion_tested(home, registry)
    scored(home, 1, shift=2.0)
    looked = look(home)
    assert fired(looked) == ["embeddings"]
    assert looked.triggers[0].adjusted_p <= 0.01 < looked.triggers[1].adjusted_p
    assert looked.made is not None
    assert {"drift.html", "drift.json", "drift-classes.png", "drift-embeddings.png"} < {
        path.name for path in looked.made.path.iterdir()
    }
    act(looked)
    assert reasons(look(home)) == {"cannot be told: version 1 has scored nothing since the last look"}


def test_until_what_follows_is_done_the_same_scores_fire_again(home: Path, registry: Versions) -> None:
    champion_tested(home, registry)
    scored(home, 1, shift=2.0)
    first, again = look(home), look(home)
    assert fired(again) == fired(first)
    assert again.made is not None
    assert again.made.reused


def test_without_drift_nothing_fires_and_the_scores_count_as_looked_at(home: Path, registry: Versions) -> None:
    champion_tested(home, registry)
    scored(home, 1)
    looked = look(home)
    assert fired(looked) == []
    act(looked)
    scored(home, 2, shift=2.0)
    later = look(home)
    assert fired(later) == ["embeddings"]
    assert "60 scored rows" in later.triggers[0].reason, "those of the first look are not looked at again"


def test_what_was_looked_at_is_not_even_read_again(
    home: Path, registry: Versions, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[list[Path]] = []
    monkeypatch.setattr(watching, "read_scores", lambda asked: read.append(list(asked)) or read_scores(asked))
    champion_tested(home, registry)
    first = scored(home, 1)
    looked = look(home)
    look(home)
    act(looked)
    second = scored(home, 2)
    look(home)
    look(home, scores=str(first))
    assert read == [[first], [first], [second]]


def test_few_scores_wait_for_more(home: Path, registry: Versions) -> None:
    champion_tested(home, registry)
    scored(home, 1, num_rows=6)
    looked = look(home)
    act(looked)
    assert fired(looked) == []
    assert "10 are needed; they are kept for the next look" in looked.triggers[0].reason
    scored(home, 2, num_rows=6)
    assert "12 scored rows" in look(home).triggers[0].reason


def test_a_dry_run_says_the_same_and_writes_nothing(home: Path, registry: Versions) -> None:
    champion_tested(home, registry)
    scored(home, 1, shift=2.0)
    dry = look(home, dry_run=True)
    act(dry)
    assert not (home / "drift").exists()
    assert dry.triggers == look(home).triggers


def test_scores_of_another_version_are_not_compared(home: Path, registry: Versions) -> None:
    champion_tested(home, registry)
    other = scored(home, 1, shift=2.0, version=2)
    assert fired(look(home)) == []
    with pytest.raises(InputError, match="not what fer version 1, the champion, has scored"):
        look(home, scores=str(other))


def test_named_scores_alone_are_looked_at(home: Path, registry: Versions) -> None:
    champion_tested(home, registry)
    calm, _ = scored(home, 1), scored(home, 2, shift=2.0)
    assert "60 scored rows" in look(home, scores=str(calm)).triggers[0].reason
    assert "120 scored rows" in look(home).triggers[0].reason


@pytest.mark.parametrize("gone", ["champion", "evaluation"])
def test_what_cannot_be_told_is_said(home: Path, registry: Versions, gone: str) -> None:
    if gone == "evaluation":
        registry.champion, registry.tags[1] = 1, {"evaluation": "fer-gone"}
    (reason,) = reasons(look(home))
    assert reason.startswith("cannot be told: ")
    assert gone in reason


def lineage(home: Path, source: str, number: int) -> dict[str, str]:
    """The tags of a version that was made from a source with this fingerprint."""
    table = {"part-00000.parquet": pa.table({"number": [number]})}
    catalog = finish(home, "catalogs", "catalog", table, inputs={"source": source})
    more = {"part-00000.parquet": pa.table({"number": [number], "crop": [1]})}
    faces = finish(home, "faces", "faces", more, inputs={"catalog": catalog.manifest().content, "labels": "unknown"})
    return {"data_digest": faces.manifest().content}


@pytest.fixture
def ask(home: Path, tiny_ck_plus: Path) -> Callable[[], Trigger]:
    options = WatchOptions(home=home, dataset="ck_plus", source=tiny_ck_plus)
    return lambda: watching.look_at_source.fn(options)


def test_another_source_asks_for_a_new_model_once(
    home: Path, registry: Versions, tiny_ck_plus: Path, ask: Callable[[], Trigger]
) -> None:
    registry.champion, registry.tags[3] = 3, lineage(home, source_fingerprint(tiny_ck_plus), 3)
    assert ask() == Trigger("source", False, "no file of the source has changed since version 3")
    next(tiny_ck_plus.rglob("*.png")).unlink()
    assert ask() == Trigger("source", True, "files of the source have changed since version 3")
    registry.tags[4] = lineage(home, source_fingerprint(tiny_ck_plus), 4)  # it was trained, and refused
    assert ask() == Trigger("source", False, "no file of the source has changed since version 4")


def test_a_source_that_was_only_touched_is_known(
    home: Path, registry: Versions, ask: Callable[[], Trigger], monkeypatch: pytest.MonkeyPatch
) -> None:
    fingerprints = ["before", "touched", "copied"]
    registry.champion = 1
    for fingerprint in fingerprints:  # each makes another catalog with the same content, and so the same version
        registry.tags[1] = lineage(home, fingerprint, 1)
    for fingerprint in fingerprints:
        monkeypatch.setattr(watching, "source_fingerprint", lambda source, now=fingerprint: now)
        assert ask() == Trigger("source", False, "no file of the source has changed since version 1")


def test_what_was_before_the_champion_says_nothing(
    home: Path, registry: Versions, tiny_ck_plus: Path, ask: Callable[[], Trigger]
) -> None:
    registry.champion = 3
    registry.tags = {2: lineage(home, source_fingerprint(tiny_ck_plus), 2), 3: lineage(home, "another", 3)}
    assert ask().fired


def test_a_source_without_a_champion_or_its_catalog(registry: Versions, ask: Callable[[], Trigger]) -> None:
    assert ask() == Trigger("source", True, "there is no champion yet")
    registry.champion, registry.tags[1] = 1, {"data_digest": "gone"}
    assert ask() == Trigger("source", False, "cannot be told: the catalog of version 1 is gone from the home")


def test_retrain_gets_what_it_would_have_got_itself(home: Path) -> None:
    options = WatchOptions(home=home, dataset="synthetic", epochs=3, alpha=0.05, retrain_by="event")
    assert options.retraining.told(only_changed=True) == {"epochs": 3}


def test_scores_that_are_not_there_are_named(home: Path) -> None:
    with pytest.raises(ValueError, match="--scores ltest is no folder; did you mean latest"):
        WatchOptions(home=home, scores="ltest")
