"""The sentences of a model card that are not measured."""

from fer_core.lineage.ancestry import Ancestry
from fer_core.runs import RunDescription

NOT_KNOWN = "not known"
MEASURED = (
    "Measured on test people or pictures that were not trained on, of the same data set. No choice was made on them. "
    "Intervals are a bootstrap over people, or over pictures where the data set names nobody.",
)
GROUPS = (
    "Groups of people, where the data set's own naming tells them, are in the tables above. Other groups (age, origin, "
    "glasses) could not be measured: nothing here guesses them from a picture."
)
NO_GROUPS = (
    "Bias by gender, age, skin tone or origin could not be measured: the tested people carry no such label, or are of "
    "one group."
)
NO_PEOPLE = "How it differs from person to person is not known: the data set does not say who is who."


def meant_for(run: RunDescription) -> list[str]:
    """What a model may be used for."""
    if run.build_method().decides_by == "distance":
        return [
            "Research on telling whether two pictures show the same person, whatever they express, on pictures of "
            "people who agreed to it."
        ]
    return [
        "Research on how expressions look: naming, finding and grouping them in pictures of people who agreed to it."
    ]


def not_for(run: RunDescription) -> list[str]:
    """What a model must not be used for."""
    finding = "Finding out who somebody is, watching people, or putting them on lists."
    if run.build_method().decides_by != "distance":
        finding = "Telling people apart, or finding out who somebody is: it was neither made nor measured for that."
    return [
        "Saying what people feel, think, intend or are like. It sees how a face looks and nothing else.",
        "People at work or in education: the EU's AI Act, article 5(1)(f), forbids systems that infer emotions there, "
        "but for medical or safety reasons.",
        "Decisions about people: on hiring, credit, insurance, police, border, health or care.",
        finding,
        "Pictures of people who were not asked, or who have taken their consent back.",
    ]


def limits(run: RunDescription) -> list[str]:
    """Where a model's measures end."""
    elsewhere = (
        "It was measured on pictures of one data set: of other cameras, light, ages, skin tones, coverings and "
        "cultures nothing is said."
    )
    if run.build_method().decides_by == "distance":
        return [elsewhere, "It gives a distance; how many are taken for somebody else depends on the threshold chosen."]
    return [
        elsewhere,
        "Its probabilities are not calibrated, and it always names one of its classes, whatever the picture shows.",
        "An expression that is shown is no feeling that is felt: people smile without joy and grieve without a face.",
    ]


def cases_of(run: RunDescription) -> str:
    """What a row of the evaluation is."""
    return "pairs of pictures" if run.build_method().decides_by == "distance" else "pictures"


def weights_of(ancestry: Ancestry) -> str:
    """Where the network began."""
    given = [parent for parent in ancestry.parents if parent.how == "weights"]
    if ancestry.of_kind("run") is None:
        return NOT_KNOWN
    return "; ".join(f"{parent.run or 'a file'} (sha256 {parent.digest})" for parent in given) or "random"


def how_to_use(name: str, version: int, run: RunDescription) -> str:
    """Two lines of Python."""
    given = '{"landmarks": [flat_xyz]}' if run.build_method().inputs == "points" else '{"image": [png_bytes]}'
    return f'model = mlflow.pyfunc.load_model("models:/{name}/{version}")\nmodel.predict(pandas.DataFrame({given}))'
