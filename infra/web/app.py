"""The page and the JSON behind it."""

from functools import cache
from typing import Any, NamedTuple

import cv2
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from fer_core.galleries.explaining import explain
from fer_core.galleries.training_faces import TrainingFaces
from fer_core.predictor import Predictor
from fer_core.synthetic import Face, render
from fer_core.vocabulary import EIGHT
from infra.web.guard import Guard
from infra.web.pages import add_page, add_refusals
from infra.web.uploads import Limits, RefusedError, read_picture
from infra.web.worker import BusyError, ModelWorker

SAMPLE_SIZE, FIRST_SAMPLE = 256, 10_000
"""Pixels of a drawn sample, and the seed of the first one's person, whom no data set's default draws."""


class ServedModel(NamedTuple):
    """What is served.

    Attributes:
        predictor: the model.
        faces: those that it was trained on; None where they are gone or not to be seen.
        told: of it on the page, JSON values.
    """

    predictor: Predictor
    faces: TrainingFaces | None
    told: dict[str, Any]


def make_app(model: ServedModel, names: frozenset[str], limits: Limits) -> FastAPI:
    """The application.

    Args:
        names: by which the server may be asked, beside addresses of numbers.
        limits: of a request.
    """
    app = FastAPI(title="FER", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Guard, names=names)
    add_page(app, "page")
    _add_samples(app)
    _add_model(app, model, ModelWorker(limits.waiting), limits)
    add_refusals(app)
    _add_busy(app)
    return app


def _add_samples(app: FastAPI) -> None:
    @app.get("/api/samples/{number}")
    def sample(number: int) -> Response:
        if not 0 <= number < len(EIGHT):
            raise RefusedError(404, f"samples are numbered from 0 to {len(EIGHT) - 1}")
        return Response(_drawn(number), media_type="image/png")


@cache
def _drawn(number: int) -> bytes:
    image, _ = render(Face(FIRST_SAMPLE + number, EIGHT[number], 0.9, 0.0, 0), SAMPLE_SIZE)
    return cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()


def _add_model(app: FastAPI, model: ServedModel, worker: ModelWorker, limits: Limits) -> None:
    @app.get("/api/model")
    def told() -> dict[str, Any]:
        return {**model.told, "samples": list(EIGHT), "most_bytes": limits.num_bytes}

    @app.post("/api/predict")
    async def predict(request: Request, whole: bool = model.predictor.description.frame_is_face) -> dict[str, Any]:
        return await worker.run(
            lambda: read_picture(request, limits), lambda picture: explain(model.predictor, picture, whole)
        )

    @app.get("/api/faces/{row}")
    def face(row: int) -> Response:
        """Beside the model's thread: faces wait for each other alone."""
        known = model.faces is not None and 0 <= row < len(model.predictor.level.sample_id)
        data = model.faces.encoded(row) if known and model.faces else None
        if data is None:
            raise RefusedError(404, "there is no such training face")
        return Response(data, media_type="image/png" if data.startswith(b"\x89PNG") else "image/jpeg")


def _add_busy(app: FastAPI) -> None:
    @app.exception_handler(BusyError)
    def busy(request: Request, error: BusyError) -> JSONResponse:
        reason = "the model is busy with other pictures; try again in a moment"
        return JSONResponse({"error": reason}, 503, {"Retry-After": "2"})
