"""The judges' page and its JSON: who is asked, what is refused, and that the votes become triplet shards."""

import asyncio
import json
import logging
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fastapi import FastAPI

from fer_core.directories import Directory
from fer_core.divided import read_divided
from fer_core.folds import Part
from fer_core.judging.answers import AnswerLog
from fer_core.judging.panel import Panel
from fer_core.judging.questions import pictures_of, read_questions
from fer_core.options.judge import JudgeOptions
from fer_core.records import SAMPLE_SCHEMA
from fer_core.shards import write_picture_shard
from fer_core.tuple_shards import shard_name, write_human_triplets
from infra.web.guard import HEADERS
from infra.web.judging import COOKIE, make_judging_app
from tasks.judging import open_panel

PEOPLE = [f"P{number}" for number in range(12)]
KINDS = ("happiness", "anger", "fear")
Made = tuple[JudgeOptions, Path]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """A source folder with three faces a person, their faces directory, and a question to each person."""
    rows, source = [], tmp_path / "source"
    source.mkdir()
    for place, person in enumerate(PEOPLE):
        for kind in KINDS:
            name = f"{person}-{kind}.png"
            assert cv2.imwrite(str(source / name), np.full((8, 8), 20 * place + KINDS.index(kind), np.uint8))
            known = {"sample_id": name, "source_path": name, "subject_id": person, "expression": kind}
            rows.append({**known, "rotation": 0.0, "image": b""})
    faces = Directory(tmp_path, "faces", kind="faces", config={}, inputs={}, code="test")
    faces.start()
    write_picture_shard(faces.path, "part-00000.parquet", pa.Table.from_pylist(rows, schema=SAMPLE_SCHEMA))
    faces.finish([file.name for file in faces.path.glob("*.parquet")], {})
    divided = read_divided(faces.path, Part(), 0, [], validation=True)
    role_of = dict(zip(divided.subject, divided.role, strict=True))
    lines = [",".join([*(f"{person}-{kind}.png" for kind in KINDS), "", "", role_of[person]]) for person in PEOPLE]
    (tmp_path / "questions.csv").write_text("\n".join(["reference,a,b,votes_a,votes_b,split", *lines]) + "\n")
    return JudgeOptions(questions=tmp_path / "questions.csv", source=source, home=tmp_path / "home"), faces.path


def app_of(options: JudgeOptions, panel: Panel) -> FastAPI:
    assert options.source is not None
    return make_judging_app(panel, options.source, frozenset({"localhost"}))


def client_of(app: FastAPI) -> httpx.AsyncClient:
    """A browser of its own: it keeps cookies."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8766")


async def answer_all(app: FastAPI, prefers: str) -> list[dict[str, Any]]:
    """One judge's session, who finds `prefers` more like whatever it is shown beside; all that was told."""
    async with client_of(app) as client:
        told = [(await client.post("/api/question")).json()]
        while told[-1]["question"] is not None:
            asked = told[-1]
            shown = {side: await client.get(f"/api/pictures/{asked['pictures'][side]}") for side in ("left", "right")}
            grey = {
                side: int(cv2.imdecode(np.frombuffer(one.content, np.uint8), 0).mean()) for side, one in shown.items()
            }
            side = min(grey, key=lambda one: abs(grey[one] % 20 - KINDS.index(prefers)))
            given = {"question": asked["question"], "token": asked["token"], "side": side}
            answer = await client.post("/api/answer", params=given)
            assert answer.status_code == 200, answer.text
            told.append(answer.json())
        return told


def test_five_judges_at_once_make_votes_that_become_triplet_shards(
    made: Made, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options, faces = made
    prefer = ["anger", "anger", "anger", "anger", "fear"]

    async def judged(app: FastAPI) -> list[list[dict[str, Any]]]:
        return await asyncio.gather(*(answer_all(app, kind) for kind in prefer))

    with caplog.at_level(logging.INFO, "fer"), open_panel(options) as (panel, votes):
        sessions = asyncio.run(judged(app_of(options, panel)))
    for told in sessions:
        asked = [each["question"] for each in told[:-1]]
        assert sorted(asked) == list(range(len(PEOPLE)))
        assert [each["yours"] for each in told] == list(range(len(PEOPLE) + 1))
        assert not any("agreement" in each or "votes" in each for each in told)
    assert panel.counts() == {"questions": 12, "complete": 12, "answers": 60, "judges": 5}
    assert "12 of 12 questions have five answers, by 5 judges" in caplog.messages[-2]
    assert "that is all of them" in caplog.messages[-1]
    splits = Counter(question.split for question in read_questions(options.questions or Path()))
    made_of = write_human_triplets(tmp_path, faces, votes, Part(), 0)
    assert (made_of["tuples"], made_of["samples"], made_of["left_out"]) == (12, 36, 0)
    assert made_of["agreement"] == {split: {5: 0, 3: count, 1: 0} for split, count in splits.items()}
    assert set(splits) == {"train", "valid", "test"}
    for row in pq.read_table(tmp_path / shard_name(0)).to_pylist():
        kinds = [row[name].split("-")[1] for name in ("reference", "positive", "negative")]
        assert (kinds, row["weight"]) == (["happiness.png", "anger.png", "fear.png"], 3)
    sides = Counter(
        answer.side for answer in AnswerLog(votes.with_name(votes.name.replace("-votes.csv", ".jsonl"))).read()
    )
    assert min(sides.values()) > 15, "both sides are drawn"


def one_judge(made: Made, steps: Any) -> Any:
    options, _ = made

    async def run(app: FastAPI) -> Any:
        async with client_of(app) as client:
            return await steps(client)

    with open_panel(options) as (panel, _):
        return asyncio.run(run(app_of(options, panel)))


def test_a_judge_goes_on_after_the_page_the_server_and_the_last_line_were_lost(made: Made) -> None:
    async def begin(client: httpx.AsyncClient) -> tuple[str, dict[str, Any]]:
        first = await client.post("/api/question")
        cookie = first.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "samesite=strict" in cookie.lower()
        assert (await client.post("/api/question")).json() == first.json(), "a reload asks the same"
        given = {"question": first.json()["question"], "token": first.json()["token"], "side": "left"}
        second = await client.post("/api/answer", params=given)
        given = {"question": second.json()["question"], "token": second.json()["token"], "side": "left"}
        await client.post("/api/answer", params=given)
        back = (await client.post("/api/undo")).json()
        assert (back["question"], back["yours"], back["can_undo"]) == (second.json()["question"], 1, False)
        return client.cookies[COOKIE], first.json()

    judge, first = one_judge(made, begin)
    (file,) = (made[0].home / "answers").glob("*.jsonl")
    assert [json.loads(line)["judge"] for line in file.read_text().splitlines()] == [judge] * 3
    file.write_bytes(file.read_bytes() + b'{"time": "2026-')

    async def go_on(client: httpx.AsyncClient) -> Any:
        client.cookies.set(COOKIE, judge)
        return (await client.post("/api/question")).json()

    again = one_judge(made, go_on)
    assert (again["yours"], again["can_undo"]) == (1, False)
    assert again["question"] not in (None, first["question"])
    assert b"2026-" not in file.read_bytes()[-9:]


def test_what_is_no_answer_is_refused(made: Made) -> None:
    async def steps(client: httpx.AsyncClient) -> None:
        stranger = await client.post("/api/answer", params={"question": 0, "token": "0", "side": "left"})
        assert stranger.status_code == 403
        assert "needs its cookie" in stranger.json()["error"]
        asked = (await client.post("/api/question")).json()
        good = {"question": asked["question"], "token": asked["token"], "side": "left"}
        for wrong, status in (
            ({"token": "0" * 16}, 409),
            ({"question": (asked["question"] + 1) % 12}, 409),
            ({"question": 99}, 409),
            ({"question": -1}, 409),
            ({"question": "../x"}, 422),
            ({"side": "up"}, 422),
        ):
            answer = await client.post("/api/answer", params={**good, **wrong})
            assert answer.status_code == status, wrong
        assert (await client.post("/api/undo")).status_code == 409
        for origin in ("http://evil.example", "null"):
            answer = await client.post("/api/answer", params=good, headers={"origin": origin})
            assert answer.status_code == 403
        assert (await client.post("/api/answer", params=good)).status_code == 200
        assert (await client.post("/api/answer", params=good)).status_code == 409, "an answer is sent once"
        client.cookies.set(COOKIE, "../../x")
        assert (await client.post("/api/question")).json()["yours"] == 0, "no id of ours: a new judge"

    one_judge(made, steps)
    (file,) = (made[0].home / "answers").glob("*.jsonl")
    assert file.read_text().count("\n") == 1


def test_only_the_pictures_of_questions_are_shown_and_by_number(made: Made) -> None:
    source = made[0].source
    assert source is not None
    (source / "secret.png").write_bytes((source / "P0-fear.png").read_bytes())
    num_pictures = len(pictures_of(read_questions(made[0].questions or Path())))

    async def steps(client: httpx.AsyncClient) -> None:
        assert (await client.get(f"/api/pictures/{num_pictures - 1}")).headers["content-type"] == "image/jpeg"
        for path in (f"{num_pictures}", "-1", "secret.png", "P0-fear.png", "..%2Fsecret.png", "../secret.png", "0/.."):
            answer = await client.get(f"/api/pictures/{path}")
            assert answer.status_code in (404, 405, 422), path
        (source / "P0-happiness.png").write_text("no longer a picture")
        answer = await client.get("/api/pictures/0")
        assert (answer.status_code, str(source) in answer.text) == (400, False)

    one_judge(made, steps)


def test_the_page_holds_nothing_of_other_sites_and_every_answer_is_guarded(made: Made) -> None:
    async def steps(client: httpx.AsyncClient) -> None:
        for path in ("/", "/page.css", "/page.js", "/icon.svg"):
            answer = await client.get(path)
            assert "//" not in answer.text.replace("http://www.w3.org/2000/svg", "").replace(" // ", "")
            assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
        assert (await client.get("/", headers={"host": "evil.example"})).status_code == 403
        for path in ("/docs", "/openapi.json", "/api/votes", "/api/answer"):
            assert (await client.get(path)).status_code in (404, 405)
        told = await client.post("/api/question")
        assert {name: told.headers.get(name) for name in HEADERS} == HEADERS
        assert "png" not in told.text, "a picture's name would tell its expression"

    one_judge(made, steps)
