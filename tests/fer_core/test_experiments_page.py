import re
from html.parser import HTMLParser

import experiment_fixtures as small
import pytest

from fer_core.assessment.base import Drawn
from fer_core.evaluation.bootstrap import Interval
from fer_core.experiments.drawing import Undrawn
from fer_core.experiments.page import experiment_page
from fer_core.experiments.results import Cell, orders
from fer_core.experiments.settings import Asked
from fer_core.figures import f1_over_k

NASTY = '<script>alert("x")</script>'
VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """The tags with their attributes, the rows of the tables as text, and a check that every tag is closed."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.open, self.rows, self.text = [], [], [], []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append([])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1].append(data.strip())

    def row(self, name):
        (found,) = [row for row in self.rows if " ".join(row[0]) == name and len(row) == len(self.rows[0])]
        return [" ".join(cell) for cell in found]


def one_run(row, column, value, low, high, **more):
    return Cell(row, column, ({"accuracy": Interval(value, low, high)},), **more)


CELLS = (
    one_run("one", "drawn", 0.8, 0.7, 0.9, trained={"a": 90.0}),
    Cell("one", "CK+", missing="ck_plus"),
    one_run("two", "drawn", 0.6, 0.6, 0.6, trained={"b": None}),
    Cell("two", "CK+", missing="ck_plus"),
)
PUBLISHED = {"one": {"CK+": 90, "drawn": 77.5}, "two": {"drawn": 50}, "Others": {"CK+": 70.125}}


def page(cells=CELLS, drawn=(), undrawn=(), asked=None, cost_per_hour=None, **changed):
    read = small.experiment(**{"published": PUBLISHED, **changed})
    asked = asked or Asked((0, 1), cost_per_hour=cost_per_hour)
    return experiment_page(read, cells, orders(read, cells), drawn, undrawn, asked)


def test_each_cell_has_ours_its_interval_and_the_papers_number():
    seen = Page(page())
    assert seen.row("System") == ["System", "drawn Accuracy", "CK+ Accuracy"]
    assert seen.row("one") == ["one", "80.00 70.00 to 90.00 paper 77.5", "– paper 90"]
    assert seen.row("two") == ["two", "60.00 paper 50", "–"]


def test_others_are_marked_as_published_and_missing_data_is_named():
    html = page()
    assert Page(html).row("published Others") == ["published Others", "", "70.125"]
    assert re.search(r"No numbers of ours for data sets that were not at hand: ck_plus\.", html)
    whole = [one_run(row, column, 0.5, 0.4, 0.6) for row in ("one", "two") for column in ("drawn", "CK+")]
    assert "not at hand" not in page(whole)


def test_orders_are_told_with_their_difference():
    rows = [[" ".join(cell) for cell in row] for row in Page(page()).rows]
    assert ["drawn, Accuracy", "one", "two", "20.00 (10.00 to 30.00)", "holds"] in rows
    assert "Of 1 neighbours in it, 1 hold, 0 are reversed and 0 cannot be told apart." in page()
    worse = (one_run("one", "drawn", 0.2, 0.2, 0.2), one_run("two", "drawn", 0.6, 0.6, 0.6))
    assert ">is reversed<" in page(worse)
    assert "Does the published order hold" not in page(published={})


def test_time_is_told_and_cost_only_where_its_price_is():
    without = Page(page())
    assert ["one", "drawn", "1", "1.5"] in [[" ".join(cell) for cell in row] for row in without.rows]
    assert ["two", "drawn", "1", "–"] in [[" ".join(cell) for cell in row] for row in without.rows]
    assert "Cost" not in page()
    html = page(cost_per_hour=4.0)
    rows = [[" ".join(cell) for cell in row] for row in Page(html).rows]
    assert ["System", "Column", "Runs", "Minutes", "Cost"] in rows
    assert ["one", "drawn", "1", "1.5", "0.10"] in rows
    assert ["two", "drawn", "1", "–", "–"] in rows
    assert "Training: – minutes, cost – at 4 an hour" in html
    assert "Training: 1.5 minutes, cost 0.10 at 4 an hour" in page(CELLS[:1], cost_per_hour=4.0)


def test_how_it_was_run_has_seeds_intervals_and_deviations():
    html = page(deviations=["We start from random weights.", "No AffectNet."])
    assert "Seeds: 0, 1. Intervals are over test subjects." in html
    assert html.index("We start from random weights.") < html.index("No AffectNet.")


def test_what_was_asked_for_and_the_settings_are_told():
    settings = {"epochs": 3, "lr": 0.001, "rotations": [-5.0, 0.0]}
    cells = [
        one_run(row, "drawn", 0.5, 0.4, 0.6, settings={**settings, "batch_size": size})
        for row, size in (("one", 16), ("two", 32))
    ]
    asked = Asked((0,), rows=("one", "two"), set={"epochs": "3"})
    html = page(cells, asked=asked)
    assert "<code>--rows one --rows two --set epochs=3</code>" in html
    rows = [[" ".join(cell) for cell in row] for row in Page(html).rows]
    assert ["all", "epochs 3 , lr 0.001 , rotations -5,0"] in rows
    assert ["row one", "batch_size 16"] in rows
    assert "Given:" not in page()


def test_a_failed_cell_has_its_error():
    html = page([Cell("one", "drawn", failed="no faces <here>"), *CELLS[1:]])
    assert Page(html).row("one")[1] == "failed paper 77.5"
    assert "one, drawn failed: no faces &lt;here&gt;" in html
    assert "tries what failed again" not in page()


def test_a_figure_that_could_not_be_drawn_is_named_with_the_reason():
    assert "Not drawn: roc, no cell was tested on pairs." in page(
        undrawn=[Undrawn("roc", "no cell was tested on pairs")]
    )
    assert "Not drawn" not in page()


def test_a_smoke_run_says_that_its_numbers_say_nothing():
    assert "its numbers say nothing" in page(asked=Asked(smoke=True))
    assert "its numbers say nothing" not in page()


def test_a_page_where_nothing_was_run():
    cells = [Cell(row, "CK+", missing="ck_plus") for row in ("one", "two")]
    html = page(cells, columns={"CK+": {"data": "ck_plus"}}, published={}, smoke={})
    assert "Training:" not in html
    assert "Intervals are" not in html


def test_it_is_one_file_that_asks_nothing_of_the_network_and_runs_nothing():
    png = f1_over_k({1: 0.5, 11: 0.6})
    seen = Page(page(drawn=[Drawn("a", "Heading", "Caption", png)]))
    sources = [attributes[name] for _, attributes in seen.tags for name in ("src", "href") if name in attributes]
    assert all(source.startswith(("data:image/png;base64,", "#")) for source in sources)
    assert not {"script", "link", "iframe"} & {tag for tag, _ in seen.tags}
    assert ("meta", "default-src 'none'; img-src data:; style-src 'unsafe-inline'") in [
        (tag, attributes.get("content")) for tag, attributes in seen.tags
    ]
    (image,) = [attributes for tag, attributes in seen.tags if tag == "img"]
    assert image["alt"] == "Heading. Caption"
    anchors = {attributes["href"][1:] for _, attributes in seen.tags if "href" in attributes}
    assert anchors == {"table", "orders", "figures", "notes"} <= {attributes.get("id") for _, attributes in seen.tags}


def test_figures_of_all_cells_are_wide_and_come_first():
    names = ("confusion-0", "results", "latent_pca-0", "tsne-1")
    html = page(drawn=[Drawn(name, name, "Caption", f1_over_k({1: 0.5})) for name in names])
    assert re.findall("<h3>(.*)</h3>", html) == ["results", "latent_pca-0", "confusion-0", "tsne-1"]
    before, after = html.split('<div class="figures">')
    assert (before.count("<img"), after.count("<img")) == (2, 2)


def test_every_text_is_escaped():
    names = {"columns": {NASTY: {"data": "synthetic"}}, "rows": {NASTY + "1": {}, NASTY + "2": {}}}
    published = {NASTY + "1": {NASTY: 5}, NASTY + "2": {NASTY: 4}, NASTY + "3": {NASTY: 3}}
    texts = {"title": NASTY, "question": NASTY, "deviations": [NASTY]}
    cells = [one_run(NASTY + number, NASTY, 0.5, 0.4, 0.6, trained={"a": 1.0}) for number in "12"]
    cells += [Cell(NASTY, NASTY, missing=NASTY)]
    drawn = [Drawn("a", NASTY, NASTY, f1_over_k({1: 0.5}))]
    cells += [Cell(NASTY, "x", failed=NASTY, settings={NASTY: NASTY})]
    asked = Asked(set={NASTY: NASTY})
    html = page(cells, drawn, [Undrawn(NASTY, NASTY)], asked, smoke={}, published=published, **names, **texts)
    assert "<script" not in html
    assert html.count("&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt;") >= 15


def test_a_figure_that_is_no_picture():
    with pytest.raises(ValueError, match="not a PNG"):
        page(drawn=[Drawn("a", "b", "c", b"GIF")])
