"""The code of a registered model: MLflow runs this file when it loads one, so nothing is unpickled.

It imports the copy of fer_core that was logged with the model.
"""

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.pyfunc import PythonModel

from fer_core.predictor import Predictor


class FerModel(PythonModel):
    """Face pictures -> expression, probabilities, embedding, sub-class."""

    def load_context(self, context: Any) -> None:
        """Read the network, the training embeddings and the mixtures."""
        self.predictor = Predictor(Path(context.artifacts["run"]), Path(context.artifacts["level"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """One row a picture.

        Args:
            model_input: column `image` (encoded PNG or JPEG bytes); where a column `landmarks` (flat x, y, z in
                pixels) is not null the picture is cropped by them, else as Predictor.predict_pictures says.
        """
        classes = self.predictor.classes
        given = model_input["landmarks"] if "landmarks" in model_input else [None] * len(model_input)
        landmarks = [None if flat is None else np.reshape(flat, (-1, 3)) for flat in given]
        made = self.predictor.predict_pictures(list(model_input["image"]), landmarks)
        return pd.DataFrame(
            {
                "expression": [classes[index] for index in made.expression],
                "probabilities": made.probability.astype(float).tolist(),
                "embedding": made.embedding.astype(float).tolist(),
                "sub_class": [self.predictor.level.name_of(int(group), classes) for group in made.group],
            }
        )


mlflow.models.set_model(FerModel())
