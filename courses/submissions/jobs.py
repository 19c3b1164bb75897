"""What the runner is asked to do for a run and for a submission. Who gets which split is decided here and only here."""

from __future__ import annotations

import dataclasses
import json
import shlex
from pathlib import PurePosixPath

from courses.assignments.models import AssignmentVersion
from courses.submissions import code
from courses.submissions.models import Run, Submission
from runner.spec import INSIDE, MLFLOW_PORT, SDK, JobSpec, Limits, TreeInput

INTERPRETERS = {".py": "python3", ".sh": "bash"}
RUNTIMES = {"container": "", "gvisor": "runsc"}  # isolation → the engine's word for it
PREFLIGHT_SECONDS = 60
PREDICT_SECONDS_MAX = 600
SCORE_SECONDS_MAX = 300


def command_of(run: Run) -> tuple[str, ...]:
    """The student's command. An entry that is only a script gets its interpreter. Raises ValueError on bad quotes."""
    words = shlex.split(run.entry)
    interpreter = INTERPRETERS.get(PurePosixPath(words[0]).suffix) if len(words) == 1 else None
    words = [interpreter, *words] if interpreter else words
    return tuple(words + shlex.split(run.args))


def entry_file(entry: str) -> str:
    """The script or notebook that the entry names, or ""."""
    return next((word for word in shlex.split(entry) if word.endswith((".py", ".ipynb"))), "")


def _env(run: Run, data: str = "/data") -> dict[str, str]:
    config = run.version.config
    return {
        "SEODANG": "1",
        "SEODANG_DATA": data,
        "SEODANG_OUT": "/out",
        "SEODANG_SESSION": run.session,
        "SEODANG_DATASET": config.slug,
        "SEODANG_GPUS": str(run.resources.get("gpus", config.gpus)),
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": SDK,
        "MPLCONFIGDIR": "/tmp",
        "OMP_NUM_THREADS": str(max(1, int(run.resources.get("cpus", config.cpus)))),
    }


def _limits(version: AssignmentVersion, seconds: int, output_bytes: int | None = None) -> Limits:
    config = version.config
    return Limits(
        cpus=config.cpus,
        memory_bytes=config.memory_bytes,
        wall_seconds_max=seconds,
        output_bytes_max=config.output_bytes if output_bytes is None else output_bytes,
    )


def runtime(version: AssignmentVersion) -> str:
    """What student code runs under. The scorer is the staff's and needs none."""
    return RUNTIMES[version.config.isolation]


def preflight(run: Run) -> JobSpec:
    """A look at the code on a CPU, with no data and before anything is leased that is scarce."""
    return JobSpec(
        kind="preflight",
        command=("python3", f"{INSIDE}/preflight.py", "--entry", entry_file(run.entry),
                 "--command", json.dumps(command_of(run))),
        environment=run.version.config.environment,
        inputs=(TreeInput(run.code_sha256, "/code"),),
        env=_env(run),
        limits=Limits(memory_bytes=1 << 30, wall_seconds_max=PREFLIGHT_SECONDS, output_bytes_max=1 << 20),
        runtime=runtime(run.version),
    )  # fmt: skip


def _train_limits(run: Run) -> Limits:
    """The assignment's, or the smaller ones that the push asked for."""
    limits = _limits(run.version, run.version.config.minutes * 60)
    chosen = {key: run.resources[key] for key in ("cpus", "memory_bytes", "shm_bytes") if key in run.resources}
    return dataclasses.replace(limits, **chosen)


def _parent(run: Run) -> tuple[tuple[TreeInput, ...], dict[str, str]]:
    """The checkpoint that a fork goes on from, and how its script finds it."""
    if not run.checkpoint_sha256:
        return (), {}
    found = {"CHECKPOINT": f"/checkpoint/{run.checkpoint_name}", "PARENT": run.parent.session if run.parent else ""}
    env = {f"{prefix}_{name}": value for prefix in ("SEODANG", "NSML") for name, value in found.items()}
    return (TreeInput(run.checkpoint_sha256, "/checkpoint"),), env


def train(run: Run) -> JobSpec:
    """The run itself: the code, the training split, a parent's checkpoint, and a gateway socket."""
    version = run.version
    checkpoint, parent = _parent(run)
    tracking_id = run.id.hex
    board = f"{run.assignment_id}:{run.team_id}:{run.number}:{run.session}"
    return JobSpec(
        kind="run",
        command=command_of(run),
        environment=version.config.environment,
        inputs=(TreeInput(run.code_sha256, "/code"), TreeInput(version.dataset.train_sha256, "/data"), *checkpoint),
        env={
            **_env(run),
            **parent,
            "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{MLFLOW_PORT}",
            "MLFLOW_RUN_ID": tracking_id,
            "MLFLOW_EXPERIMENT_ID": str(run.assignment_id),
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
            "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
            "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
            "GIT_PYTHON_REFRESH": "quiet",
            "SEODANG_RUN": str(run.id),
            "SEODANG_BOARD": board,
            "SEODANG_EXPERIMENT": f"{run.assignment.course.slug}/{run.assignment.slug}",
        },
        limits=_train_limits(run),
        gpus=int(run.resources.get("gpus", version.config.gpus)),
        tracking=True,
        runtime=runtime(version),
        collect_checkpoints=True,
        collect_outputs=True,
    )


def _predict_command(submission: Submission, checkpoint: str, out: str) -> tuple[str, ...]:
    """predict.py where the code has one; else the run's own command, asked as NSML asked it."""
    if code.has_predict(submission.run):
        return ("python3", code.PREDICT, "--data", "/data", "--checkpoint", checkpoint, "--out", out)
    asked = ("--mode", "test", "--pause", "1", "--iteration", submission.checkpoint.name)
    return command_of(submission.run) + asked


def predict(submission: Submission) -> JobSpec:
    """Student code, the checkpoint and the inputs; never a label, no relay, one file comes back."""
    run = submission.run
    config, dataset = run.version.config, run.version.dataset
    inputs = dataset.sample_inputs_sha256 if submission.trial else dataset.test_sha256
    checkpoint, out = f"/checkpoint/{submission.checkpoint.name}", f"/out/{config.predictions_file}"
    return JobSpec(
        kind="predict",
        command=_predict_command(submission, checkpoint, out),
        environment=config.environment,
        inputs=(
            TreeInput(run.code_sha256, "/code"),
            TreeInput(inputs, "/data"),
            TreeInput(submission.checkpoint.sha256, "/checkpoint"),
        ),
        env={
            **_env(run),
            "SEODANG_CHECKPOINT": checkpoint,
            "SEODANG_PREDICTIONS": out,
            "SEODANG_PREDICTIONS_FORMAT": config.predictions_format,
            "SEODANG_PREDICTIONS_COLUMNS": json.dumps(config.columns),
        },
        limits=_limits(run.version, min(PREDICT_SECONDS_MAX, config.minutes * 60), 64 << 20),
        gpus=config.gpus,
        collect_files=(config.predictions_file,),
        runtime=runtime(run.version),
    )


def score(submission: Submission) -> JobSpec:
    """The scorer, the parsed predictions and the labels; no student code."""
    run = submission.run
    config, dataset = run.version.config, run.version.dataset
    labels = dataset.sample_labels_sha256 if submission.trial else dataset.labels_sha256
    return JobSpec(
        kind="score",
        command=("python3", "/scorer/score.py", "--predictions", f"/predictions/{config.predictions_file}", "--labels",
                 "/labels", "--out", "/out/scores.json"),
        environment=config.environment,
        inputs=(
            TreeInput(run.version.scorer_sha256, "/scorer"),
            TreeInput(submission.predictions_sha256, "/predictions"),
            TreeInput(labels, "/labels"),
        ),
        env={"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        limits=Limits(memory_bytes=2 << 30, wall_seconds_max=SCORE_SECONDS_MAX, output_bytes_max=1 << 20),
        collect_files=("scores.json",),
    )  # fmt: skip
