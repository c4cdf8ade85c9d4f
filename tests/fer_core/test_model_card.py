"""A model card says what the files say, and that the rest is not known."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fer_core import model_card
from fer_core.datasets import REGISTRY
from fer_core.evaluation.bootstrap import Interval
from fer_core.lineage.ancestry import Ancestry, Origin, Parent
from fer_core.model_card.terms import TERMS
from fer_core.runs import RunDescription

METRICS = {
    "accuracy": Interval(0.8125, 0.7031, 0.9044),
    "accuracy_happiness": Interval(0.9141, 0.8017, 0.9512),
    "accuracy_view_45": Interval(0.6123, 0.5119, 0.7131),
    "knn_accuracy": Interval(0.7719, 0.6603, 0.8711),
}
PREDICTIONS = {
    "sample_id": ["a", "b", "c", "d", "e", "f"],
    "subject": ["S1", "S1", "S2", "S2", "S3", "S3"],
    "truth": ["happiness", "anger", "happiness", "anger", "happiness", "anger"],
    "decision": ["happiness", "anger", "happiness", "happiness", "anger", "happiness"],
}
SUMMARY = {"rows": 11, "subjects": 7, "set_aside": {"no face found": 2}, "classes": {}, "crop_by": {"frame": 1}}


def origin(kind: str, folder: str, **inputs: str) -> Origin:
    return Origin(kind, f"{folder}/one-0123456789abcdef", f"{kind} content", "code", {}, inputs, SUMMARY, {})


def described(method: str = "cnn", **changed: Any) -> model_card.Described:
    run = RunDescription(
        method=method,
        method_options={},
        backbone="resnet18",
        face_size=48,
        patch=44,
        frame_is_face=True,
        classes=["happiness", "anger"],
        poses=[0],
        class_of_label=[0, 1],
        counts={},
        history=[],
        steps={},
    )
    origins = [origin("catalog", "catalogs", source="f00d"), origin("faces", "faces"), origin("run", "runs")]
    made = model_card.Described(
        name="fer",
        version=3,
        tags={"title": "cnn on ck_plus, resnet18", "config": '{"dataset": "ck_plus", "seed": 41}'},
        created="2030-01-02",
        description=run,
        trained=np.array([0, 0, 0, 1]),
        metrics=METRICS,
        predictions=pa.table(PREDICTIONS),
        yaw_of={},
        ancestry=Ancestry(origins, [], "f00d", []),
    )
    return replace(made, **changed)


def section(made: model_card.Described, heading: str) -> str:
    """The Markdown below a heading."""
    text = model_card.markdown(model_card.card_of(made))
    return text.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def rows_of(text: str) -> dict[str, str]:
    cells = (re.split(r"(?<!\\)\|", line)[1:-1] for line in text.splitlines() if line.startswith("|"))
    return {name.strip(): "|".join(cell.strip() for cell in rest) for name, *rest in cells}


def test_every_measured_number_is_one_of_the_evaluation() -> None:
    text = section(described(), "Evaluation")
    known = {f"{100 * value:.1f}" for interval in METRICS.values() for value in vars(interval).values()}
    assert set(re.findall(r"\d+\.\d+", text)) == known
    assert rows_of(text)["Accuracy"] == "81.2 %|70.3 to 90.4"
    assert rows_of(text)["Happiness"] == "91.4 %|80.2 to 95.1"
    assert rows_of(text)["Accuracy at 45°"] == "61.2 %|51.2 to 71.3"


def test_views_are_compared_where_several_are_known() -> None:
    heading = "Right decisions by view"
    yaw_of = {"a": 0, "b": 0, "c": 0, "d": -45, "f": -45, "of nobody tested": 90}
    known = rows_of(section(described(yaw_of=yaw_of), "Evaluation").split(heading)[1])
    assert (known["-45°"], known["0°"]) == ("0.0 %|2", "100.0 %|3")
    assert "90°" not in known
    assert heading not in section(described(yaw_of={"a": 0, "b": 0}), "Evaluation")


def test_the_training_data_are_counted() -> None:
    text = section(described(), "Training data")
    known = rows_of(text)
    assert known["data set"] == "ck_plus"
    assert known["terms"] == TERMS["ck_plus"]
    assert (known["pictures"], known["people"], known["set aside"]) == ("11", "7", "2 no face found")
    assert (known["trained on"], known["tested on"]) == ("4 pictures", "6 pictures")
    assert (known["happiness"], known["anger"]) == ("3|3", "1|3")


def test_the_terms_of_every_data_set_are_told_or_it_is_ones_own() -> None:
    assert REGISTRY.keys() - TERMS.keys() == {"image_folder"}
    assert TERMS.keys() <= REGISTRY.keys()
    own = described(tags={"config": '{"dataset": "image_folder"}'})
    assert rows_of(section(own, "Training data"))["terms"] == "not known: one's own data set"


def test_how_people_differ() -> None:
    known = rows_of(section(described(), "From person to person"))
    assert known == {
        **{"people": "3", "lowest": "0.0 %", "median": "50.0 %", "highest": "100.0 %"},
        **{"": "", "---": "---"},
    }


def test_where_nobody_is_named_nothing_is_said_of_people() -> None:
    nameless = replace(origin("faces", "faces"), summary={**SUMMARY, "subjects": None})
    made = described(ancestry=Ancestry([nameless], [], None, []))
    assert rows_of(section(made, "Training data"))["people"] == "not known"
    assert "does not say who is who" in section(made, "From person to person")
    assert rows_of(section(made, "From person to person")) == {}


def test_bias_by_group_is_said_to_be_unmeasured() -> None:
    text = section(described(), "From person to person")
    assert "Bias by gender, age, skin tone or origin could not be measured" in text


def test_groups_that_were_measured_are_in_its_tables() -> None:
    made = described()
    told = {"accuracy_of_women": Interval(0.9, 0.8, 1.0), "accuracy_gap": Interval(0.2, -0.1, 0.4)}
    made = replace(made, metrics={**made.metrics, **told})
    assert "could not be measured: the tested" not in section(made, "From person to person")
    assert "90.0 %" in section(made, "Evaluation")


def test_what_is_lost_is_not_known() -> None:
    made = described(tags={}, ancestry=Ancestry([], [], None, ["the faces directory is gone (content 1234)"]))
    assert rows_of(section(made, "What it is"))["initial weights"] == "not known"
    known = rows_of(section(made, "Training data"))
    assert {known[name] for name in ("data set", "terms", "pictures", "people", "set aside")} == {"not known"}
    lineage = section(made, "Lineage")
    assert "The faces directory is gone (content 1234)." in lineage
    assert {rows_of(lineage)[name] for name in ("git commit", "source fingerprint", "seed", "Python")} == {"not known"}


def test_where_it_comes_from() -> None:
    environment = '{"python": "3.11.0", "platform": "a machine", "packages": {"torch": "2.0"}}'
    tags = {**described().tags, "git_commit": "abc-dirty", "network_sha256": "9" * 64, "environment": environment}
    known = rows_of(section(described(tags=tags), "Lineage"))
    assert (known["git commit"], known["network sha256"], known["seed"]) == ("abc-dirty", "9" * 64, "41")
    assert (known["Python"], known["platform"], known["packages"]) == ("3.11.0", "a machine", "torch 2.0")
    assert known["source fingerprint"] == "f00d"
    assert known["catalogs/one-0123456789abcdef"] == "catalog content|code"


@pytest.mark.parametrize(
    ("run", "told"), [(None, f"a file (sha256 {'1' * 64})"), ("runs/other", f"runs/other (sha256 {'1' * 64})")]
)
def test_the_network_that_it_began_from(run: str | None, told: str) -> None:
    ancestry = replace(described().ancestry, parents=[Parent("weights", "1" * 64, run), Parent("start", "2", "runs/x")])
    assert rows_of(section(described(ancestry=ancestry), "What it is"))["initial weights"] == told
    assert rows_of(section(described(), "What it is"))["initial weights"] == "random"


def test_the_decision_of_the_gate() -> None:
    assert section(described(), "Decision of the gate").strip() == "Not decided."
    tags = {**described().tags, "verdict": "improved", "reason": "it is better", "decided_against": "2"}
    decided = section(described(tags=tags), "Decision of the gate")
    assert "improved: it is better" in decided
    assert "It was compared with version 2." in decided
    taken_back = {**tags, "decided_against": "none", "rolled_back": "at noon: too slow"}
    text = section(described(tags=taken_back), "Decision of the gate")
    assert "Rolled back: at noon: too slow" in text
    assert "compared" not in text
    never_asked = section(described(tags={**described().tags, "rolled_back": "at noon"}), "Decision of the gate")
    assert never_asked.split() == ["Not", "decided.", "Rolled", "back:", "at", "noon"]


def test_what_it_must_not_be_used_for_comes_before_how_it_is_used() -> None:
    text = model_card.markdown(model_card.card_of(described()))
    assert text.index("## Not for") < text.index("## How to use it")
    assert "article 5(1)(f)" in section(described(), "Not for")
    assert "work or in education" in section(described(), "Not for")


def test_a_model_that_tells_people_apart_names_nobody() -> None:
    pairs = {"sample_id": ["a|b"], "subject": ["S1"], "truth": ["same"], "decision": ["same"]}
    made = described("verification", predictions=pa.table(pairs))
    made = replace(made, description=replace(made.description, classes=["Ada Secret", "Bea Secret"]))
    card = model_card.card_of(made)
    assert "Secret" not in model_card.markdown(card) + model_card.html(card)
    assert rows_of(section(made, "What it is"))["classes"] == "2 people"
    assert rows_of(section(made, "Training data"))["tested on"] == "1 pairs of pictures"
    assert "watching people" in section(made, "Not for")
    assert "threshold" in section(made, "Limits")
    assert "classes" not in section(made, "Limits")


def test_a_model_of_landmarks() -> None:
    made = described("landmark_vae")
    known = rows_of(section(made, "What it is"))
    assert (known["looks at"], known["backbone"]) == ("points", "none")
    assert '"landmarks"' in section(made, "How to use it")
    assert 'load_model("models:/fer/3")' in section(described(), "How to use it")


def test_what_is_put_in_is_text() -> None:
    tags = {**described().tags, "title": "<script>x</script> | `*a*`", "git_commit": "a|b\n## not a heading"}
    card = model_card.card_of(described(tags=tags))
    text, page = model_card.markdown(card), model_card.html(card)
    assert r"\<script>x\</script> \| \`\*a\*\`" in text
    assert r"| git commit | a\|b ## not a heading |" in text
    assert "<script" not in page
    assert "&lt;script&gt;x" in page


class Page(HTMLParser):
    """The headings, links and ids of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        self.tags.append(tag)
        self.ids += [known["id"] or ""] if "id" in known else []
        self.links += [known["href"] or ""] if "href" in known else []


def test_the_page_stands_alone_and_its_links_lead_somewhere() -> None:
    text = model_card.html(model_card.card_of(described()))
    page = Page(text)
    assert page.tags.count("h1") == 1
    assert not {"script", "img", "link"} & set(page.tags)
    assert "default-src 'none'" in text
    assert len(page.links) == len(set(page.ids)) > 5
    assert {link.removeprefix("#") for link in page.links} == set(page.ids)


def test_the_page_says_what_the_text_says() -> None:
    card = model_card.card_of(described())
    page = model_card.html(card)
    for part in card.sections:
        for table in part.tables:
            assert all(cell in page for _, cells in table.rows for cell in cells)
