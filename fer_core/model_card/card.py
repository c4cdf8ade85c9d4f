"""What a model card says: everything is taken from the files of the model, and what they do not tell is not known."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from fer_core.assessment.groups import GAP
from fer_core.datasets import REGISTRY
from fer_core.evaluation.bootstrap import Interval
from fer_core.lineage.ancestry import Ancestry
from fer_core.model_card import words
from fer_core.model_card.terms import TERMS
from fer_core.model_card.words import NOT_KNOWN
from fer_core.report import Table
from fer_core.report.measures import grouped, percent
from fer_core.runs import RunDescription

MOST_CLASSES = 16
"""Classes that are listed one by one; people are more, and are not named."""


@dataclass(frozen=True)
class Section:
    """A heading with sentences, tables and lines of Python below it."""

    heading: str
    sentences: Sequence[str] = ()
    tables: Sequence[Table] = ()
    code: str = ""


@dataclass(frozen=True)
class Card:
    """A model card: its title, one sentence on what it is, and its sections."""

    title: str
    lead: str
    sections: Sequence[Section]


@dataclass(frozen=True)
class Described:
    """What a card is made from.

    Attributes:
        name, version, tags: as registered.
        created: the day, ISO 8601.
        description: how its network was made.
        trained: class of each upright training picture, an index into the description's classes.
        metrics: of its evaluation.
        predictions: of its evaluation.
        yaw_of: sample id -> the view of a picture, degrees; of those whose view is known and whose crops still stand.
        ancestry: what it is made of.
    """

    name: str
    version: int
    tags: Mapping[str, str]
    created: str
    description: RunDescription
    trained: np.ndarray
    metrics: Mapping[str, Interval]
    predictions: pa.Table
    yaw_of: Mapping[str, int]
    ancestry: Ancestry
    config: Mapping[str, object] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "config", json.loads(self.tags.get("config", "{}")))

    @property
    def dataset(self) -> str:
        """The name of the data set that it was trained on."""
        return str(self.config.get("dataset", NOT_KNOWN))

    @property
    def names_people(self) -> bool:
        """Whether its classes are people, whom a card does not name."""
        return self.description.build_method().label == "identity"


def card_of(made: Described) -> Card:
    """The card of a registered model."""
    return Card(
        title=f"{made.name} version {made.version}",
        lead=f"{made.tags.get('title', NOT_KNOWN)}; registered on {made.created}.",
        sections=[
            _what_it_is(made),
            Section("Meant for", words.meant_for(made.description)),
            Section("Not for", words.not_for(made.description)),
            _training_data(made),
            _evaluation(made),
            _people(made),
            _decision(made),
            Section("Limits", words.limits(made.description)),
            _how_to_use(made),
            _lineage(made),
        ],
    )


def _table(heading: str, rows: Sequence[tuple[str, str]], columns: Sequence[str] = ("", "")) -> Table:
    return Table(heading, columns, [(name, [value]) for name, value in rows])


def _what_it_is(made: Described) -> Section:
    run = made.description
    looks_at = run.build_method().inputs
    classes = f"{len(run.classes)} people" if made.names_people else ", ".join(run.classes)
    rows = [
        ("method", run.method),
        ("looks at", f"{looks_at}, {run.face_size} pixels a face" if looks_at == "pictures" else looks_at),
        ("backbone", run.backbone if looks_at == "pictures" else "none"),
        ("initial weights", words.weights_of(made.ancestry)),
        ("decides by", run.build_method().decides_by),
        ("classes", classes),
    ]
    return Section("What it is", [], [_table("The model", rows)])


def _training_data(made: Described) -> Section:
    catalog, faces = made.ancestry.of_kind("catalog"), made.ancestry.of_kind("faces")
    counted, left = (origin.summary if origin else {} for origin in (catalog or faces, faces or catalog))
    aside = left.get("set_aside")
    adapter = REGISTRY.get(made.dataset)
    rows = [
        ("data set", made.dataset),
        ("terms", TERMS.get(made.dataset, f"{NOT_KNOWN}: one's own data set" if adapter else NOT_KNOWN)),
        ("pictures", str(counted.get("rows", NOT_KNOWN))),
        ("people", NOT_KNOWN if counted.get("subjects") is None else str(counted["subjects"])),
        ("set aside", NOT_KNOWN if aside is None else _counts(aside) or "none"),
        ("trained on", f"{len(made.trained)} pictures"),
        ("tested on", f"{len(made.predictions)} {words.cases_of(made.description)}"),
    ]
    terms = "The terms are told in a few words; what binds is what the makers of the data set wrote."
    return Section("Training data", [terms], [_table("The data", rows), *_classes(made)])


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def _classes(made: Described) -> list[Table]:
    """Trained and tested pictures of each class."""
    names = made.description.classes
    if made.names_people or len(names) > MOST_CLASSES:
        return []
    trained = Counter(names[index] for index in made.trained.tolist())
    tested = Counter(made.predictions["truth"].to_pylist())
    rows = [(name, [str(trained[name]), str(tested[name])]) for name in names]
    return [Table("Pictures by class", ["class", "trained on", "tested on"], rows)]


def _evaluation(made: Described) -> Section:
    tables = [
        Table(heading, ["measure", "value", "95 % interval"], [(row.label, [row.value, row.interval]) for row in rows])
        for heading, rows in grouped(made.metrics).items()
    ]
    return Section("Evaluation", words.MEASURED, [*tables, *_views(made)])


def _views(made: Described) -> list[Table]:
    """Right decisions by view, where test pictures of several views are known."""
    yaws = [made.yaw_of.get(name) for name in made.predictions["sample_id"].to_pylist()]
    right = _is_right(made)
    known = sorted({yaw for yaw in yaws if yaw is not None})
    if len(known) < 2:
        return []
    shares = [right[[own == yaw for own in yaws]] for yaw in known]
    rows = [(f"{yaw}°", [percent(float(own.mean())), str(len(own))]) for yaw, own in zip(known, shares, strict=True)]
    return [Table("Right decisions by view", ["yaw", "share", "test pictures"], rows)]


def _is_right(made: Described) -> np.ndarray:
    """(N,) bool, of each row of the predictions."""
    truth, decision = (np.array(made.predictions[name].to_pylist()) for name in ("truth", "decision"))
    return truth == decision


def _people(made: Described) -> Section:
    """How the shares of right decisions differ from person to person."""
    groups = words.GROUPS if GAP in made.metrics else words.NO_GROUPS
    shares = _shares(made)
    if shares is None:
        return Section("From person to person", [words.NO_PEOPLE, groups])
    low, middle, high = (percent(float(np.quantile(shares, at))) for at in (0, 0.5, 1))
    rows = [("people", str(len(shares))), ("lowest", low), ("median", middle), ("highest", high)]
    table = _table("Share of right decisions of each tested person", rows)
    return Section("From person to person", [groups], [table])


def _shares(made: Described) -> np.ndarray | None:
    """(P,) of each tested person; None where the data set does not say who is who."""
    faces = made.ancestry.of_kind("faces")
    if faces is None or faces.summary.get("subjects") is None:
        return None
    subject, is_right = np.array(made.predictions["subject"].to_pylist()), _is_right(made)
    return np.array([is_right[subject == person].mean() for person in np.unique(subject)])


def _decision(made: Described) -> Section:
    verdict = made.tags.get("verdict")
    said = "Not decided." if verdict is None else f"{verdict}: {made.tags.get('reason', NOT_KNOWN)}"
    rival = made.tags.get("decided_against", "none")
    against = [] if rival == "none" else [f"It was compared with version {rival}."]
    taken_back = [f"Rolled back: {made.tags['rolled_back']}"] if "rolled_back" in made.tags else []
    return Section("Decision of the gate", [said, *against, *taken_back])


def _how_to_use(made: Described) -> Section:
    return Section("How to use it", code=words.how_to_use(made.name, made.version, made.description))


def _lineage(made: Described) -> Section:
    environment = json.loads(made.tags.get("environment", "{}"))
    packages = ", ".join(f"{name} {version}" for name, version in environment.get("packages", {}).items())
    rows = [
        ("git commit", made.tags.get("git_commit", NOT_KNOWN)),
        ("source fingerprint", made.ancestry.source or NOT_KNOWN),
        ("network sha256", made.tags.get("network_sha256", NOT_KNOWN)),
        ("seed", str(made.config.get("seed", NOT_KNOWN))),
        ("Python", environment.get("python", NOT_KNOWN)),
        ("platform", environment.get("platform", NOT_KNOWN)),
        ("packages", packages or NOT_KNOWN),
    ]
    made_of = [(origin.name, [origin.content, origin.code]) for origin in made.ancestry.origins]
    return Section(
        "Lineage",
        [f"{sentence[0].upper()}{sentence[1:]}." for sentence in made.ancestry.gone],
        [_table("Origin", rows), Table("Made of", ["directory", "content", "code"], made_of)],
    )
