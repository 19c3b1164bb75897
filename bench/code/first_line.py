"""The imports of a usual training script, then its first line."""

import mlflow
import pandas
import sklearn

print(mlflow.__version__, pandas.__version__, sklearn.__version__, flush=True)
