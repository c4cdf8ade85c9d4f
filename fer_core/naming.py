"""What a run is called, and the options that tell it from other runs."""

from pathlib import Path
from typing import Any

from fer_core import datasets, methods
from fer_core.folds import Part
from fer_core.options.stages import EvaluateOptions, TrainOptions

VARIANT_FIELDS = ("variant", "model", "base")
"""Options that say which of a paper's systems a method is."""
_GROUPS = {*methods.REGISTRY, *datasets.REGISTRY}
"""Options that hold those of one method or data set."""


def title_of(options: EvaluateOptions, part: Part, tested: str | None = None) -> str:
    """One line, such as `mul_dml (s_dual_triplet, single_threshold 0.75) on sfew, resnet18`.

    In brackets is what of the method is not as it is by default.

    Args:
        options: of the run.
        part: who is tested on.
        tested: the other data set that is tested on; None: none.
    """
    told = ", ".join(
        _text(value) if name in VARIANT_FIELDS else f"{name} {_text(value)}"
        for name, value in _used(options).items()
        if not _is_default(options, name)
    )
    words = [
        f"{options.method} ({told}) on {options.dataset}" if told else f"{options.method} on {options.dataset}",
        "" if tested is None else f"tested on {tested}",
        options.backbone_name if methods.REGISTRY[options.method].inputs == "pictures" else "",
        f"{options.levels} levels" if options.levels > 1 else "",
        "" if part.fold is None else f"fold {part.fold + 1} of {part.folds}",
    ]
    return ", ".join(word for word in words if word)


def telling_options(options: TrainOptions) -> dict[str, str]:
    """By dotted name the method's variant, and those of its options that are used and not as they are by default."""
    return {
        f"{options.method}.{name}": _text(value)
        for name, value in _used(options).items()
        if name in VARIANT_FIELDS or not _is_default(options, name)
    }


def params_of(options: EvaluateOptions) -> dict[str, str]:
    """What MLflow lists of a run: the chosen method's and data set's own options by dotted name, others as they are."""
    others = {name: value for name, value in options.told().items() if name not in _GROUPS}
    data = {f"{options.dataset}.{name}": value for name, value in options.own or ()}
    sizes = {"backbone": options.backbone_name, "face_size": options.crop_size, "patch": options.patch_size}
    chosen = {**others, **sizes, **data, **used_options(options), **vars(options.recipe)}
    return {name: _text(value) for name, value in chosen.items()}


def used_options(options: TrainOptions) -> dict[str, Any]:
    """By dotted name all of the method's own options that its variant looks at."""
    return {f"{options.method}.{name}": value for name, value in _used(options).items()}


def _used(options: TrainOptions) -> dict[str, Any]:
    """Without folders, which are inputs and go by what is in them."""
    unused = methods.REGISTRY[options.method](options.method_options).unused
    own = {name: value for name, value in options.method_options if name not in unused}
    return {name: value for name, value in own.items() if not isinstance(value, Path)}


def _is_default(options: TrainOptions, name: str) -> bool:
    defaults = type(options.method_options)()
    return getattr(options.method_options, name) == getattr(defaults, name)


def _text(value: Any) -> str:
    match value:
        case float():
            return f"{value:g}"
        case tuple() | list():
            return " ".join(map(_text, value))
        case _:
            return str(value)
