"""The page of the label audit: what is on it, that it asks nothing of the network, and the csv it saves."""

import base64
import csv
import html
import io
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pyarrow.csv
import pytest

from fer_core.ingest.corrections import read_corrections
from fer_core.label_audit.doubts import LabelAudit, audit_table
from fer_core.label_audit.page import AuditPage, Suspect, render_audit
from fer_core.pictures import SHOWN_SIDE, small_picture
from fer_core.vocabulary import LABELS

CHROMIUM = shutil.which("chromium")
GREY = np.full((48, 48, 3), 90, dtype=np.uint8)
HOSTILE = 'a,"b"/<script>alert(1)</script>\n1.png'


def suspect(name: str, path: str | None = None) -> Suspect:
    picture = small_picture(GREY)
    return Suspect(name, path, "anger", "anger", "fear", 0.6, picture, picture)


def page(
    *suspects: Suspect, num_suspects: int | None = None, expressions: Sequence[str] = LABELS, is_unseen: bool = False
) -> str:
    return render_audit(AuditPage("faces-48", suspects, num_suspects or len(suspects), expressions, is_unseen))


def test_a_row_a_suspect_with_both_faces_and_all_choices() -> None:
    made = page(suspect("s1", "anger/1.png"), suspect("s2"), num_suspects=9)
    assert made.count("<fieldset") == 2
    assert len(re.findall(r'<img src="data:image/jpeg;base64,[^"]+" [^>]*alt="[^"]+"', made)) == 4
    assert re.findall(r'name="(s\d)" value="(\w*)"( checked)?', made) == [
        (name, value, " checked" * (not value)) for name in ("s1", "s2") for value in ("", "fear", "remove", "other")
    ]
    assert "1. anger, or fear? (60&nbsp;% of its neighbours)" in made
    assert "The worst 2 of 9 are here" in made
    assert "The worst" not in page(suspect("s1"))
    offered = re.findall(r"<option>(\w+)</option>", made)
    assert "contempt" in offered
    assert not {"anger", "fear"} & set(offered)


def test_the_page_says_who_looked() -> None:
    assert "of these training faces carry another label, as\nthe model sees them." in page(suspect("s1"))
    unseen = page(suspect("s1"), is_unseen=True)
    assert "of these faces carry another label, as\nmodels see them that were not trained on them." in unseen
    assert "evaluate with --folds" in page()
    assert "--folds" not in page(is_unseen=True)


def test_of_two_expressions_there_is_no_other() -> None:
    made = page(suspect("s1"), expressions=["anger", "fear"])
    assert re.findall(r'name="s1" value="(\w*)"', made) == ["", "fear", "remove"]
    assert "<select" not in made


def test_the_page_is_one_file_and_what_is_put_in_is_no_code() -> None:
    made = page(suspect("s1", HOSTILE))
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", made)
    assert "http" not in made.replace("http-equiv", "")
    assert made.count("<script") == 1
    assert "alert(1)" in html.unescape(made)
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', made)
    assert policy
    assert policy[1].startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-")
    assert "unsafe" not in policy[1].split("script-src")[1]


def test_without_suspects_there_is_nothing_to_save() -> None:
    made = page()
    assert "No training face has neighbours" in made
    assert "<script" not in made
    assert "<button" not in made


@pytest.mark.parametrize(
    ("height", "width", "expected"), [(48, 48, (48, 48)), (236, 118, (SHOWN_SIDE, SHOWN_SIDE // 2))]
)
def test_faces_are_small(height: int, width: int, expected: tuple[int, int]) -> None:
    red = np.zeros((height, width, 3), dtype=np.uint8)
    red[..., 0] = 200
    data = base64.b64decode(small_picture(red).split(",")[1])
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert decoded.shape[:2] == expected
    assert np.abs(decoded.reshape(-1, 3).mean(axis=0) - (0, 0, 200)).max() < 4  # BGR, and JPEG


def test_a_table_that_is_filled_in_by_hand_is_a_file_of_corrections(tmp_path: Path) -> None:
    one, other = np.array([0, 1]), np.array([1, 0])
    table = audit_table(
        LabelAudit(one, one, other, np.array([0.9, 0.6]), other),
        np.array(["s0", "s1"]),
        ("fear", "anger"),
        ["a", HOSTILE],
    )
    written = io.BytesIO()
    pyarrow.csv.write_csv(table, written)
    (tmp_path / "untouched.csv").write_bytes(written.getvalue())
    assert read_corrections(tmp_path / "untouched.csv").digest == read_corrections(None).digest
    rows = list(csv.DictReader(io.StringIO(written.getvalue().decode())))
    rows[0] |= {"corrected": "sadness", "note": "clear"}
    with (tmp_path / "audit.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    made = read_corrections(tmp_path / "audit.csv")
    row = {"sample_id": "s0", "source_path": "a", "expression": "fear"}
    assert made.applied(row) == {**row, "expression": "sadness", "expression_original": "fear"}
    untouched = {"sample_id": "s1", "source_path": HOSTILE, "expression": "anger"}
    assert made.applied(untouched) == untouched


def dom_of(file: Path, text: str) -> str:
    """What a page is in a real browser once its scripts have run."""
    assert CHROMIUM
    file.write_text(text)
    command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={file.parent}/profile"]
    done = subprocess.run([*command, "--dump-dom", file.as_uri()], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.integration
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium")
def test_in_a_browser_choices_become_a_file_of_corrections(tmp_path: Path) -> None:
    suspects = [suspect("s1", "a/1.png"), suspect("s2", 'a, "b".png'), suspect("s3"), suspect("s4", "a/4.png")]
    made = page(*suspects)
    assert "0 of 4 labels changed" in dom_of(tmp_path / "page.html", made)  # its policy lets its own script run
    clicks = """<script>
    const [first, second, third] = form.querySelectorAll("fieldset");
    first.querySelector("[value=fear]").click();
    second.querySelector("select").value = "disgust";
    second.querySelector("select").dispatchEvent(new Event("change", { bubbles: true }));
    third.querySelector("[value=remove]").click();
    const said = document.createElement("pre");
    said.textContent = table();
    document.body.append(said);
    </script></body>"""
    policy = r'<meta http-equiv="Content-Security-Policy"[^>]*>'
    dom = dom_of(tmp_path / "clicked.html", re.sub(policy, "", made).replace("</body>", clicks))
    assert "3 of 4 labels changed" in dom
    assert dom.count('class="card decided"') == 3
    said = re.search(r"<pre>(.*)</pre>", dom, re.DOTALL)
    assert said
    (tmp_path / "corrections.csv").write_text(html.unescape(said[1]))
    saved = read_corrections(tmp_path / "corrections.csv")
    assert {one.source_path or one.sample_id: (one.label, one.corrected) for one in saved.by_path.values()} == {
        "a/1.png": ("anger", "fear"),
        'a, "b".png': ("anger", "disgust"),
    }
    assert {name: (one.corrected, one.note) for name, one in saved.by_sample.items()} == {
        "s3": ("remove", "neighbours say fear (60 %)")
    }
