"""Carries attempts out: makes the container, watches it, collects what it left, and ends the attempt.

Each live attempt is advanced by ``step``, which looks at the database's row and at the engine and does the one next
thing. Nothing is remembered between steps, so a runner that was killed anywhere goes on where it was: it adopts what
runs, collects what ended and removes what it once owned.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import tarfile
import time
import uuid

from django.conf import settings
from django.utils import timezone

from runner import attempts, blobs, builds, gpus, images, queue, states, usage
from runner.engines.base import Engine, EngineError, EngineUnavailable, ImageMissing
from runner.logs import LogWatch
from runner.models import Attempt, Device, Node
from runner.spec import GATEWAY, INSIDE, IO, MLFLOW_PORT, SDK, ContainerSpec, JobSpec, Mount, Observation

log = logging.getLogger("seodang.worker")
INSTANCE_LABEL = "seodang.instance"
STOP_GRACE_SECONDS = 5
CLAIM_SECONDS = 20.0  # longer than an engine that is asked to end takes to stop its containers
WALL_SLACK_SECONDS = 20  # the launcher keeps the limit; this is for one that does not


class Worker:
    """One node's hands. Safe to call from several threads, each with an attempt of its own."""

    def __init__(self, engine: Engine, node: str = "local") -> None:
        self.engine = engine
        self.node = node
        self.logs = LogWatch()
        self._doubt: float | None = None  # monotonic: when the engine, or this process, was last away
        self._claims: dict[uuid.UUID, float] = {}  # monotonic: when an end first looked like the engine's doing

    def doubt(self) -> None:
        """The engine was away, or may have been: what looks like its doing is believed of whatever ran until now."""
        self._doubt = time.monotonic()

    def register(self) -> None:
        """Write down this node and its devices; what it has no more is leased to nobody."""
        self.doubt()  # nobody looked until now
        node, _ = Node.objects.update_or_create(
            name=self.node, defaults={"seen_at": timezone.now(), "runtimes": sorted(self.engine.runtimes())}
        )
        present = []
        for device in inventory(self.node):
            present.append(device.pop("uuid"))
            Device.objects.update_or_create(uuid=present[-1], defaults={"node": node, "gone": False, **device})
        Device.objects.filter(node=node).exclude(uuid__in=present).update(gone=True)

    def step(self, attempt: Attempt) -> bool:
        """Advance one attempt; whether it ended."""
        try:
            return self._step(attempt)
        except EngineUnavailable:
            self.doubt()
            raise

    def _step(self, attempt: Attempt) -> bool:
        seen = self.engine.poll(str(attempt.id))
        stop = attempt.job.stop_requested_at is not None
        if seen.state in {"absent", "created"}:
            if attempt.state != "starting":
                return self._end(attempt, seen, "The container vanished.")
            if stop:
                return self._end(attempt, Observation(seen.name, "absent", exit_code=143), "")
            return self._start(attempt)
        if seen.state == "running":
            if attempt.state == "starting":
                queue.mark_running(attempt)
            self.logs.watch(attempt)
            if stop or self._overdue(attempt):
                self.engine.stop(seen.name, STOP_GRACE_SECONDS)
            return False
        return self._end(attempt, seen, seen.error)

    def _start(self, attempt: Attempt) -> bool:
        spec = JobSpec.from_json(attempt.job.spec)
        try:
            image = queue.choose_image(attempt, images.tag(spec.environment))
            attempts.make(attempt, spec.limits)
            self.engine.start(container_spec(attempt, spec, image))
            queue.mark_running(attempt)
            self.logs.watch(attempt)
        except EngineUnavailable:
            raise  # nothing is known; the next step looks again
        except (EngineError, OSError, tarfile.TarError) as error:  # whatever it is, trying for ever would not mend it
            if isinstance(error, ImageMissing):
                builds.forget(image)  # the next try waits until it is built again
            log.exception("action=start_failed attempt=%s", attempt.id)
            return self._end(attempt, Observation(str(attempt.id), "absent"), f"It could not start: {error}")
        return False

    def _overdue(self, attempt: Attempt) -> bool:
        if attempt.started_at is None:
            return False
        limit = JobSpec.from_json(attempt.job.spec).limits.wall_seconds_max + WALL_SLACK_SECONDS
        return (queue.database_now() - attempt.started_at).total_seconds() > limit

    def _end(self, attempt: Attempt, seen: Observation, error: str) -> bool:
        """Collect, remove the container, then write the end: the slots are free only when it is gone."""
        spec = JobSpec.from_json(attempt.job.spec)
        status = attempts.status(attempt)
        exit_code = seen.exit_code
        stopped = attempt.job.stop_requested_at is not None
        ran = status.get("wall_seconds")
        if isinstance(ran, int | float) and ran >= spec.limits.wall_seconds_max:
            status["timed_out"] = True  # the launcher did not hold the limit, so the worker did
        claim = states.interrupted(exit_code, seen.oom_killed, status, stop_requested=stopped)
        if claim is not None:
            believed = claim.certain or self._was_away_since(attempt)
            if not believed and not self._waited(attempt):
                return False  # an engine that goes down stops its containers first: it may be away in a moment
            if believed:
                exit_code, error = None, claim.why
        found = attempts.collect(attempt, spec)
        self.engine.remove(seen.name)  # also one that was created and could not start
        ending = states.judge(
            exit_code,
            seen.oom_killed or status.get("oom_suspected") is True,
            status,
            stop_requested=stopped,
            overflowed=found.pop("overflowed") and exit_code != 0,
        )
        ending = _warned(attempt, ending, spec.limits.memory_bytes)
        if queue.finish(attempt, ending, {**found, "error": error, "image": attempt.detail.get("image", "")}):
            attempts.remove(attempt)  # whoever else ended it does; and what a crash here leaves, the sweep takes away
        self.logs.forget(attempt)
        self._claims.pop(attempt.id, None)
        return True

    def _was_away_since(self, attempt: Attempt) -> bool:
        """Whether the engine or this process was away after the attempt began."""
        if self._doubt is None:
            return False
        began = time.monotonic() - (queue.database_now() - attempt.created_at).total_seconds()
        return self._doubt > began

    def _waited(self, attempt: Attempt) -> bool:
        now = time.monotonic()
        return now - self._claims.setdefault(attempt.id, now) > CLAIM_SECONDS

    def sweep(self) -> None:
        """Remove what no live attempt owns: containers of this instance, and folders with their mounts."""
        # What is there is listed before who lives: an attempt that begins in between is spared.
        containers, folders = self.engine.list({INSTANCE_LABEL: settings.INSTANCE}), attempts.left()
        live = set(Attempt.objects.exclude(state="ended").values_list("id", flat=True))
        names = {str(key) for key in live}
        for seen in containers:
            if seen.name not in names:
                log.warning("action=orphan_removed container=%s", seen.name)
                self.engine.remove(seen.name)
        for path in attempts.remove_left(folders, live):
            log.warning("action=folder_removed path=%s", path)


def _warned(attempt: Attempt, ending: states.Ending, memory_bytes: int) -> states.Ending:
    """The ending, which also says so when there was hardly room in memory; one that ran out of it says it anyway."""
    if ending.outcome == states.OUT_OF_MEMORY or ending.warning:
        return ending
    samples = Attempt.objects.values_list("usage", flat=True).get(id=attempt.id)  # newer than this step's row
    warning = usage.memory_warning(usage.peak_memory(samples), memory_bytes)
    return dataclasses.replace(ending, warning=warning)


def container_spec(attempt: Attempt, spec: JobSpec, image: str) -> ContainerSpec:
    """The attempt's container. Deterministic, so that a start can be repeated."""
    place = attempts.folders(attempt)
    mounts = [
        Mount(str(settings.ROOT / "runner" / "inside"), INSIDE),
        Mount(str(settings.SDK), SDK),
        Mount(str(place.io), IO, read_only=False),
        Mount(str(place.out), "/out", read_only=False),
        *(Mount(str(blobs.tree(one.sha256)), one.target) for one in spec.inputs),
    ]
    if spec.tracking:
        mounts.append(Mount(str(attempts.socket_folder(attempt)), GATEWAY))
    launch = {
        "command": list(spec.command),
        "cwd": "/code" if any(one.target == "/code" for one in spec.inputs) else "/tmp",
        "wall_seconds_max": spec.limits.wall_seconds_max,
        "head_bytes": spec.limits.log_head_bytes,
        "tail_bytes": spec.limits.log_tail_bytes,
        "relay": {"listen_port": MLFLOW_PORT, "socket": f"{GATEWAY}/t.sock"} if spec.tracking else None,
        "kill_grace_seconds": STOP_GRACE_SECONDS,
    }
    leased = attempt.leases.filter(device__kind="gpu").order_by("device__index").values_list("device__uuid", flat=True)
    return ContainerSpec(
        name=str(attempt.id),
        image=image,
        command=("python3", "-I", f"{INSIDE}/launcher.py"),
        env={**spec.env, "SEODANG_LAUNCH": json.dumps(launch), "SEODANG_TRY": str(attempt.number)},
        labels={
            INSTANCE_LABEL: settings.INSTANCE,
            "seodang.attempt": str(attempt.id),
            "seodang.fence": str(attempt.fence),
        },
        mounts=tuple(mounts),
        limits=spec.limits,
        device_uuids=tuple(leased),
        runtime=spec.runtime,
    )


def inventory(node: str) -> list[dict[str, object]]:
    """This machine's devices: its GPUs by NVML, CPU slots, and a few express slots."""
    found = [
        {
            "uuid": gpu.uuid, "kind": "gpu", "index": gpu.index, "name": gpu.name, "memory_bytes": gpu.memory_bytes,
            "slots": settings.GPU_SLOTS,
        }
        for gpu in gpus.inventory()
    ]  # fmt: skip
    slots = settings.CPU_SLOTS
    return [
        *found,
        {"uuid": f"{node}-{settings.INSTANCE}-cpu", "kind": "cpu", "name": "CPU", "slots": slots, "index": 1000},
        {"uuid": f"{node}-{settings.INSTANCE}-express", "kind": "express", "name": "CPU, express", "slots": 2, "index": 1001},
    ]  # fmt: skip
