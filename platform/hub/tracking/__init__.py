"""The MLflow gateway of the runs, its store, and the mirror into MLflow's own, which alone imports ``mlflow``.

Knows a run by what its job's environment says; courses read it through ``queries``, and it reads nothing of theirs
but who may open MLflow's pages and the official scores that the mirror adds.
"""
