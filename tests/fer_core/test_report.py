import base64
import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from fer_core.evaluation import Interval
from fer_core.figures import f1_over_k
from fer_core.report import Link, Published, PublishedRow, ReportPage, Table, linked, render_report
from fer_core.report.measures import OTHER, grouped

PNG = f1_over_k({1: 0.5, 11: 0.6})
NASTY = '<script>alert("x")</script>'
VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """The tags with their attributes, the headings, and a check that every tag is closed."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.open, self.headings = [], [], []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and re.fullmatch(r"h\d", self.open[-1]):
            self.headings.append((int(self.open[-1][1]), data))


@pytest.fixture(scope="module")
def html():
    return render_report(
        ReportPage(
            title=f"SGM on FER+ {NASTY}",
            verdict="Kept the champion & said why.",
            summary=[("Method", "sgm"), ("Rate", 1e-4)],
            metrics={
                "accuracy": Interval(0.8763, 0.861, 0.8904),
                "recall_at_4": Interval(0.9, 0.88, 0.92),
                "knn_f1": 0.5,
                NASTY: Interval(0.1, 0.0, 0.2),
                "final_loss": 0.21834,
            },
            tables=[Table(f"By view {NASTY}", ["expression", NASTY, "0°"], [(NASTY, [NASTY, "50.0 % (4)"])])],
            published=Published(
                [PublishedRow("SGM, table 1 " + NASTY, {"knn_accuracy": 0.87631, "accuracy": 0.9})],
                [f"Trained for longer {NASTY}"],
            ),
            figures=[(NASTY, f"Caption of {NASTY}", PNG)],
            details=[(f"Data {NASTY}", [(NASTY, NASTY), ("seconds", 12.3456789)])],
            notes=["Seed 0.", NASTY],
        )
    )


def test_the_page_asks_nothing_of_the_network(html):
    without_pictures = re.sub(r"data:image/png;base64,[A-Za-z0-9+/=]+", "data:", html)
    assert not re.search(r"https?:|//|url\(|@import|<link|<iframe|<object", without_pictures)
    for _, attributes in Page(html).tags:
        for name in ("src", "href", "action", "data"):
            assert attributes.get(name, "#").startswith(("#", "data:image/png;base64,"))


def test_every_text_is_escaped(html):
    assert "<script" not in html
    assert html.count("&lt;script&gt;") >= 8
    assert "champion &amp; said" in html


def test_pictures_are_inside_and_described(html):
    (image,) = [attributes for tag, attributes in Page(html).tags if tag == "img"]
    assert base64.b64decode(image["src"].split(",")[1]) == PNG
    assert image["alt"] == f"{NASTY}. Caption of {NASTY}"


def test_headings_and_tables_have_structure(html):
    page = Page(html)
    levels = [level for level, _ in page.headings]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(next_level <= level + 1 for level, next_level in pairwise(levels))
    assert all(attributes.get("scope") in {"row", "col"} for tag, attributes in page.tags if tag == "th")
    assert ("html", {"lang": "en"}) in page.tags
    ids = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    assert {attributes["href"][1:] for tag, attributes in page.tags if tag == "a"} == ids


def test_values_and_intervals_are_written_in_percent(html):
    assert "87.6 %" in html
    assert "86.1 to 89.0" in html
    assert re.search(r'class="range" x="86.10" width="2.94"', html)
    assert "0.2183" in html
    assert "12.3457" in html


def test_published_figures_stand_beside_ours_and_are_marked(html):
    table = re.search(r'id="published".*?</table>', html, re.DOTALL).group()
    head, ours, theirs = re.findall(r"<tr.*?</tr>", table, re.DOTALL)
    assert re.findall(r'number">([^<]*)<', head) == ["Accuracy", "Accuracy, kNN"]
    assert re.findall(r'number">([^<]*)<', ours) == ["87.6", "–"]
    assert re.findall(r'number">([^<]*)<', theirs) == ["90", "87.631"]
    assert "paper" in theirs
    assert "paper" not in ours


def test_tables_and_deviations_stand_in_their_sections(html):
    measures = re.search(r'id="measures".*?</section>', html, re.DOTALL).group()
    assert re.search(
        r'<th scope="row">[^<]*</th><td class="number">[^<]*</td><td class="number">50.0 % \(4\)</td>', measures
    )
    assert "Trained for longer" in re.search(r'id="published".*?</section>', html, re.DOTALL).group()


def test_classes_and_views_have_groups_of_their_own():
    metrics = dict.fromkeys(("accuracy_view_-45", "accuracy_fear", "pose_accuracy", "accuracy_view_0"), 0.5)
    groups = {title: [row.label for row in rows] for title, rows in grouped(metrics).items()}
    assert groups == {
        "Accuracy by expression": ["Fear"],
        "View": ["Pose accuracy", "Accuracy at -45°", "Accuracy at 0°"],
    }


def test_metrics_are_grouped_in_a_fixed_order():
    groups = grouped({"odd": 3, "acc_at_2": 0.5, "nmi": Interval(0.4, 0.3, 0.5), "speed": Interval(400, 390, 410)})
    assert list(groups) == ["Clusters", "Retrieval", OTHER]
    assert [row.value for rows in groups.values() for row in rows] == ["40.0 %", "50.0 %", "3", "400"]
    assert [row.bar for row in groups[OTHER]] == [None, None]
    assert groups["Clusters"][0].bar == pytest.approx((30, 40, 50))


def test_an_empty_page_has_no_empty_section():
    page = Page(render_report(ReportPage(title="Nothing yet")))
    assert page.headings == [(1, "Nothing yet")]


def test_a_figure_must_be_a_png():
    with pytest.raises(ValueError, match="'Map' is not a PNG"):
        render_report(ReportPage(title="t", figures=[("Map", "", b"GIF89a")]))


def test_addresses_of_other_pages_stand_at_its_head():
    page = render_report(ReportPage("title", summary=[("</header>", "</header>")]))
    made = linked(page, [Link("Decision", "decision.html"), Link("<MLflow>", "http://host/#/x?a=1&b=2")])
    header = made.partition("</header>")[0]
    assert re.findall(r"<li>([^<]*): <code>(.*)</code></li>", header) == [
        ("Decision", "decision.html"),
        ("&lt;MLflow&gt;", "http://host/#/x?a=1&amp;b=2"),
    ]
    Page(made)
    assert linked(page, []) == page
