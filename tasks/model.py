"""Face crops -> run -> sub-classes: training by Ray Train, and the levels of Algorithm 2."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from fer_core import backbones, levels, methods, runs
from fer_core.code_digest import code_digest
from fer_core.directories import Directory
from fer_core.files import file_sha256
from fer_core.folds import Part
from fer_core.landmarks.triplets import digest_of_triplets
from fer_core.options.engine import EngineOptions
from fer_core.options.stages import SubdivideOptions, TrainOptions
from fer_core.precision import trains_in_bfloat16
from fer_core.training import TrainingPlan, profiling
from infra.progress import Ticker, logger
from infra.ray_engine import drop_checkpoints, on_workers, train_apart, train_with_ray
from infra.run_events import RunEvents
from infra.settings import Settings
from tasks.made import Level, Made, make

ROWS_FOR_WORKERS = 20_000
"""Rows from which workers are started for more than training: Ray takes 10 to 30 s for it, in which a core embeds some
thousands of small faces."""
RUN_CODE, LEVEL_CODE = ("fer_core.training", "fer_core.runs"), ("fer_core.levels",)
"""The modules that make a run and a level, beside those of the method and the backbone."""
MOST_TOLD = 16
"""Classes whose components are listed one by one; people are more."""


@task(cache_policy=NO_CACHE)
def train_run(options: TrainOptions, faces: Made, part: Part, before: Level | None = None, apart: bool = False) -> Made:
    """Train one network.

    Args:
        part: who is tested on.
        before: the level whose network is gone on from and whose groups are the labels; None at the first.
        apart: in a process of Ray's, so that several are trained at once; its cluster is there.
    """
    plan = plan_of(options, faces, part, before)
    directory = Directory(
        options.home / "runs",
        f"{options.dataset}-{options.method}",
        kind="run",
        config=_config(options, plan),
        inputs=_inputs(options, plan, faces, before),
        code=code_digest(*RUN_CODE, *chosen_code(options)),
    )
    stage = "train" if part.fold is None else f"train {part.fold + 1}/{part.folds}"

    def build() -> tuple[Iterable[str], dict[str, Any]]:
        address = Settings().ray_address

        def show(row: dict[str, float]) -> None:
            _show(stage, plan, row)

        if apart:
            train_apart(plan, directory.path, options.profile, show)
        else:
            train_with_ray(
                plan, directory.path, options, address, show, lambda event: logger.info("%-9s %s", stage, event)
            )
        drop_checkpoints(directory.path, options)
        profile = runs.profile_of(directory.path)
        if options.profile and profile:
            logger.info("%-9s where the time of a step went\n%s", stage, profiling.table(profile))
        history = runs.read_description(directory.path).history
        return runs.FILES, {"final": history[-1] if history else {}}

    made = make(stage, directory, build)
    return made if made.reused else replace(made, restarts=tuple(RunEvents(directory.path).restarts()))


@task(cache_policy=NO_CACHE)
def write_level(options: SubdivideOptions, faces: Made, run: Made, number: int, part: Part) -> Made:
    """Embed the training rows, fit `number` components to each class, keep labels, mixtures and embeddings."""
    plan = plan_of(options, faces, part)
    directory = Directory(
        options.home / "subdivisions",
        f"{options.dataset}-{options.method}-level-{number}",
        kind="subdivision",
        config={"components": number, "seed": options.seed, "part": plan.part.told},
        inputs={"faces": faces.content, "run": run.content},
        code=code_digest(*LEVEL_CODE, *chosen_code(options)),
    )

    def build() -> tuple[Iterable[str], dict[str, Any]]:
        table = plan.read_faces()
        num_rows = len(table.rows_of("train", upright=True))
        if worth_workers(options, num_rows):
            given = (directory.path.absolute(), run.path.absolute(), plan, number, options.seed)
            mixtures = on_workers(levels.make_level_of, given, options, Settings().ray_address, logger.info)
        else:
            ticker = Ticker("embed", num_rows, "faces")
            mixtures = levels.make_level(directory.path, run.path, table, number, options.seed, ticker)
        sizes = {table.classes[index]: count for index, count in mixtures.num_components_of.items()}
        summary = {"log_likelihood": mixtures.log_likelihood, "converged": mixtures.converged, "components": sizes}
        return levels.FILES, summary

    made = make("subdivide", directory, build)
    components = made.summary["components"]
    told = components if len(components) <= MOST_TOLD else f"of {len(components)} classes"
    logger.info("%-9s level %d: components %s", made.stage, number, told)
    return made


def worth_workers(options: EngineOptions, num_rows: int) -> bool:
    """Whether rows that are embedded and compared are shared among the workers that the run was given."""
    return options.worker_count.most > 0 and num_rows >= ROWS_FOR_WORKERS


def chosen_code(options: TrainOptions) -> tuple[str, str]:
    """The modules of the method and the backbone that are used, which code digests do not find through registries."""
    return code_of(options.method, options.backbone_name)


def code_of(method: str, backbone: str) -> tuple[str, str]:
    """The modules of a method and a backbone, by their names."""
    return methods.REGISTRY[method].__module__, backbones.REGISTRY[backbone].__module__


def plan_of(options: TrainOptions, faces: Made, part: Part, before: Level | None = None) -> TrainingPlan:
    """What is trained."""
    return TrainingPlan(
        faces=faces.path.absolute(),
        part=options.with_protocol(part),
        method=options.method,
        method_options=options.method_options.model_dump(mode="json"),
        recipe=_recipe(options, before),
        backbone=options.backbone_name,
        patch=options.patch_size,
        face_size=options.crop_size,
        frame_is_face=set(faces.summary["crop_by"]) == {"frame"},
        bfloat16=trains_in_bfloat16(options.precision),
        validation=options.validation,
        seed=options.seed,
        checkpoint_steps=options.checkpoint_steps,
        micro_batch=options.micro_batch,
        compiled=options.compiled,
        weights=None if options.weights is None else options.weights.absolute(),
        start=None if before is None else before.run.path.absolute() / runs.NETWORK,
        sub_labels=None if before is None else before.groups.path.absolute(),
    )


def _recipe(options: TrainOptions, before: Level | None) -> methods.Recipe:
    level_epochs = options.level_epochs if before and isinstance(options, SubdivideOptions) else None
    return options.recipe.replaced(epochs=level_epochs) if level_epochs else options.recipe


def _config(options: TrainOptions, plan: TrainingPlan) -> dict[str, Any]:
    """What the run's numbers depend on, beside its inputs; paths and the checkpoint interval are not among it."""
    names = (
        *("method", "method_options", "backbone", "patch", "face_size", "validation", "seed"),
        *("bfloat16", "micro_batch", "compiled"),
    )
    values = {name: getattr(plan, name) for name in names}
    if plan.build_method().human_triplets is not None:  # which is an input, by its content
        values["method_options"] = {name: own for name, own in plan.method_options.items() if name != "triplets"}
    return {**values, "part": plan.part.told, "recipe": vars(plan.recipe), "workers": options.workers}


def triplets_of(plan: TrainingPlan) -> dict[str, str]:
    """The digest of people's triplets that the method learns from, as an input; none where it does not.

    Raises:
        InputError: they are not of these faces.
    """
    folder = plan.build_method().human_triplets
    return {} if folder is None else {"triplets": digest_of_triplets(folder, plan.faces)}


def _inputs(options: TrainOptions, plan: TrainingPlan, faces: Made, before: Level | None) -> dict[str, str]:
    inputs = {"faces": faces.content, **triplets_of(plan)}
    if before is not None:
        inputs |= {"start": before.run.content, "labels": before.groups.content}
    return inputs if options.weights is None else {**inputs, "weights": file_sha256(options.weights)}


def _show(stage: str, plan: TrainingPlan, row: dict[str, float]) -> None:
    logger.info(
        "%-9s epoch %d/%d  step %d/%d  loss %.4f  %s%.0f images/s  %.0f s left",
        stage,
        row["epoch"],
        plan.recipe.epochs,
        row["step"],
        row["steps"],
        row["loss"],
        f"accuracy {row['accuracy']:.3f}  " if "accuracy" in row else "",
        row["images_per_second"],
        (row["steps"] - row["step"]) * plan.recipe.batch_size / row["images_per_second"],
    )
