"""What the pages of this package share: their files, and how a request is refused."""

from collections.abc import Callable
from importlib.resources import files

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response

from fer_core.errors import InputError
from infra.web.uploads import RefusedError


def add_page(app: FastAPI, folder: str) -> None:
    """Serve the page in a folder of this package, in the style of the reports."""
    page, report = files("infra.web") / folder, files("fer_core.report")
    icon = files("infra.web") / "page" / "icon.svg"
    style = (report / "style.css").read_text() + (page / "page.css").read_text()
    for path, text, kind in (
        ("/", (page / "page.html").read_text(), "text/html"),
        ("/page.css", style, "text/css"),
        ("/icon.svg", icon.read_text(), "image/svg+xml"),
        ("/page.js", (page / "page.js").read_text(), "text/javascript"),
    ):
        app.get(path)(_constant(text, kind))


def _constant(text: str, kind: str) -> Callable[[], Response]:
    def answer() -> Response:
        return Response(text, media_type=kind)

    return answer


def add_refusals(app: FastAPI) -> None:
    """Answer refusals and bad input with a sentence as `error`."""

    @app.exception_handler(RefusedError)
    def refused(request: Request, error: RefusedError) -> JSONResponse:
        return JSONResponse({"error": error.reason}, error.status)

    @app.exception_handler(RequestValidationError)
    def bad_value(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        return JSONResponse({"error": f"{first['loc'][-1]}: {first['msg']}"}, 422)

    @app.exception_handler(InputError)
    def bad_input(request: Request, error: InputError) -> JSONResponse:
        return JSONResponse({"error": str(error)}, 400)
