"""The page that asks people which of two expressions looks more like a third, and the JSON behind it."""

import re
import secrets
import threading
from pathlib import Path
from typing import Annotated, Any

from fastapi import Cookie, FastAPI, Request
from fastapi.responses import JSONResponse, Response

from fer_core.judging.answers import Side
from fer_core.judging.panel import Asked, NotTakenError, Panel
from fer_core.judging.questions import pictures_of, shown_picture
from infra.web.guard import Guard
from infra.web.pages import add_page, add_refusals
from infra.web.uploads import RefusedError

COOKIE, COOKIE_SECONDS = "fer_judge", 365 * 24 * 3600
Judge = Annotated[str, Cookie(alias=COOKIE)]
"""The random id that a browser is given when it first asks; all that is known of a judge."""


def make_judging_app(panel: Panel, source: Path, names: frozenset[str]) -> FastAPI:
    """The application.

    Args:
        panel: hands out the questions.
        source: the folder of the pictures; no other file than those of the questions is read from it.
        names: by which the server may be asked, beside addresses of numbers.
    """
    app = FastAPI(title="FER", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Guard, names=names)
    add_page(app, "judge")
    paths = pictures_of([*panel.questions])
    _add_pictures(app, source, paths)
    _add_questions(app, panel, {path: number for number, path in enumerate(paths)})
    add_refusals(app)

    @app.exception_handler(NotTakenError)
    def not_taken(request: Request, error: NotTakenError) -> JSONResponse:
        return JSONResponse({"error": str(error)}, 409)

    return app


def _add_pictures(app: FastAPI, source: Path, paths: list[str]) -> None:
    """Pictures go by number: their names would often tell the expression."""
    one_at_a_time = threading.Lock()  # so that large pictures do not add up in memory

    @app.get("/api/pictures/{number}")
    def picture(number: int) -> Response:
        if not 0 <= number < len(paths):
            raise RefusedError(404, "there is no such picture")
        with one_at_a_time:
            return Response(shown_picture(source, paths[number]), media_type="image/jpeg")


def _add_questions(app: FastAPI, panel: Panel, number_of: dict[str, int]) -> None:
    @app.post("/api/question")
    def question(judge: Judge = "") -> JSONResponse:
        known = judge if _is_id(judge) else secrets.token_hex(16)
        response = JSONResponse(_told(panel, panel.ask(known), number_of))
        response.set_cookie(COOKIE, known, max_age=COOKIE_SECONDS, httponly=True, samesite="strict")
        return response

    @app.post("/api/answer")
    def answer(question: int, token: str, side: Side, judge: Judge = "") -> dict[str, Any]:
        return _told(panel, panel.answer(_known(judge), question, token, side), number_of)

    @app.post("/api/undo")
    def undo(judge: Judge = "") -> dict[str, Any]:
        return _told(panel, panel.undo(_known(judge)), number_of)


def _is_id(judge: str) -> bool:
    return re.fullmatch("[0-9a-f]{32}", judge) is not None


def _known(judge: str) -> str:
    if not _is_id(judge):
        raise RefusedError(403, "this page needs its cookie, by which nobody is asked twice; allow it and reload")
    return judge


def _told(panel: Panel, asked: Asked, number_of: dict[str, int]) -> dict[str, Any]:
    """What the page is told; nothing of what others answered, which would lead the judge."""
    told = asked._asdict() | {"questions": len(panel.questions)}
    a_is_left = told.pop("a_is_left")
    if asked.question is not None:
        reference, a, b = (number_of[path] for path in panel.questions[asked.question].faces)
        left, right = (a, b) if a_is_left else (b, a)
        told |= {"pictures": {"reference": reference, "left": left, "right": right}}
    return told
