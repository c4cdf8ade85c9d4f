"""The code of a registered model: MLflow runs this file when it loads one, so nothing is unpickled.

It imports the copy of fer_core that was logged with the model.
"""

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PythonModel

from fer_core.embedding import Embeddings
from fer_core.errors import InputError
from fer_core.landmarks.prediction import embed_landmarks
from fer_core.predictor import Predictor


class FerModel(PythonModel):
    """Face pictures, or landmarks, -> expression, probabilities, embedding, sub-class, view; or the embedding alone."""

    def load_context(self, context: Any) -> None:
        """Read the network, the training embeddings and the mixtures."""
        self.predictor = Predictor(Path(context.artifacts["run"]), Path(context.artifacts["level"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """One row a face.

        Args:
            model_input: column `image` (encoded PNG or JPEG bytes); where a column `landmarks` (flat x, y, z in
                pixels) is not null the picture is cropped by them, else as Predictor.predict_pictures says. Of a model
                that looks at landmarks alone: `landmarks` and, where they are known, the person's own
                `neutral_landmarks` (else the training people's mean), and the degrees that either face is turned by,
                `pose_yaw` and `neutral_pose_yaw`, as landmarks.prediction.embed_landmarks says.

        Returns:
            Columns expression, probabilities, embedding and sub_class; yaw (degrees) of a model that estimates it. Of a
            model that tells people apart, by the distance of two pictures, the embedding alone.

        Raises:
            MlflowException: INVALID_PARAMETER_VALUE, which MLflow's server answers with 400: there is no row, or one
                that nothing can be said of; the message names it, and the way out.
        """
        try:
            return self._predicted(model_input)
        except InputError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error

    def _predicted(self, model_input: pd.DataFrame) -> pd.DataFrame:
        embedded = self._embedded(model_input)
        columns = {"embedding": embedded.embedding_ND.astype(float).tolist()}
        if self.predictor.decides_by == "distance":
            return pd.DataFrame(columns)
        classes, made = self.predictor.classes, self.predictor.predicted(embedded)
        said = {
            "expression": [classes[index] for index in made.expression],
            "probabilities": made.probability.astype(float).tolist(),
            **columns,
            "sub_class": [self.predictor.level.name_of(int(group), classes) for group in made.group],
        }
        return pd.DataFrame(said if made.yaw is None else {**said, "yaw": made.yaw.astype(float)})

    def _embedded(self, model_input: pd.DataFrame) -> Embeddings:
        def column(name: str) -> list[Any]:
            return list(model_input[name]) if name in model_input else [None] * len(model_input)

        if not len(model_input):
            raise InputError("no face was given")
        landmarks = column("landmarks")
        if self.predictor.description.build_method().inputs == "points":
            names = ("pose_yaw", "neutral_landmarks", "neutral_pose_yaw")
            return embed_landmarks(self.predictor, landmarks, *map(column, names))
        return self.predictor.embed_pictures(column("image"), [_points(*known) for known in enumerate(landmarks)])


def _points(at: int, flat: Any) -> np.ndarray | None:
    """The landmarks (P, 3) of a picture, or None where there are none."""
    if flat is None:
        return None
    if len(flat) % 3:
        raise InputError(f"the landmarks of picture {at} are {len(flat)} numbers; give x, y, z of each point")
    return np.reshape(flat, (-1, 3))


mlflow.models.set_model(FerModel())
