"""A registered model in use: pictures, pairs of them, or landmarks of faces -> what it says."""

from typing import Any, Literal

from prefect import flow

from fer_core.options.stages import ScoreOptions
from flows.deployed import with_secrets
from flows.summary import Summary
from tasks.registered import find_model
from tasks.scoring import choose_threshold, decide_pairs, score_faces, score_pairs, score_source


@flow(name="score-command")
@with_secrets
def score(options: ScoreOptions) -> dict[str, Any]:
    """Pictures, or file of landmarks -> predictions; or pairs of pictures -> decisions."""
    looks_at: Literal["pictures", "points"] = "points" if options.task == "landmarks" else "pictures"
    model = find_model(options.home, options.model_name, options.version, looks_at)
    if options.task == "landmarks":
        return Summary().scored(model.name, model.version, score_faces(options, model)).values
    if options.source is not None and options.task == "pictures":
        scores = score_source(options.home, options.source, options.every, model)
        return Summary().scored(model.name, model.version, scores).values
    threshold = choose_threshold(options, model)
    scores = score_pairs(options, model)
    decisions = decide_pairs(options, model, scores, threshold)
    return Summary().scored(model.name, model.version, scores, decisions).values
