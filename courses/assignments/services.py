"""Taking an assignment's folder in: check all of it, store its parts by hash, make a new version."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext

from courses.assignments.bundle import AssignmentConfig, BundleError, Problem, key_lines, parse
from courses.assignments.models import Assignment, AssignmentVersion
from courses.audit.models import record
from courses.datasets.models import DatasetVersion
from courses.errors import Invalid
from courses.roster.models import Course, Membership
from courses.roster.queries import require
from courses.sentences import read
from runner import archives, blobs

BUNDLE_FILES_MAX = 50_000


def push_bundle(actor: Any, course: Course, archive: Path) -> AssignmentVersion:
    """A new version of the assignment in a zip of its folder. Raises Invalid with every fault, Forbidden."""
    require(Membership.objects.get(course=course, user=actor), "push_assignment")
    with _opened(archive) as (folder, config, raw):
        return _store(actor, course, folder, config, raw)


def check_bundle(actor: Any, course: Course, archive: Path) -> AssignmentConfig:
    """What ``push_bundle`` would take, with nothing changed. Raises as it does."""
    require(Membership.objects.get(course=course, user=actor), "push_assignment")
    with _opened(archive) as (_folder, config, _raw):
        return config


@contextmanager
def _opened(archive: Path) -> Iterator[tuple[Path, AssignmentConfig, dict[str, Any]]]:
    """The bundle's folder and what its yaml says. Raises Invalid with every fault."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "bundle"
        folder.mkdir()
        try:
            archives.unzip(
                archive, folder, archives.Bounds(total_bytes=settings.BUNDLE_BYTES_MAX, files=BUNDLE_FILES_MAX)
            )
        except archives.ArchiveError as error:
            fault = read(error.written)
            raise Invalid("archive", fault, gettext("Zip the folder that has assignment.yaml.")) from error
        folder = _root(folder)
        try:
            content = (folder / "assignment.yaml").read_bytes()
            raw = parse(content)
            config = AssignmentConfig.from_raw(raw)
            if problems := check_folder(config, folder, key_lines(content)):
                raise BundleError(problems)
        except (FileNotFoundError, IsADirectoryError):
            raise Invalid(
                "bundle", gettext("There is no assignment.yaml in it."), gettext("Push the folder that has it.")
            ) from None
        except BundleError as error:
            details = [vars(problem) for problem in error.problems]
            raise Invalid(
                "bundle",
                gettext("The folder cannot be used as it is."),
                gettext("Mend these lines, then try again."),
                details,
            ) from error
        yield folder, config, raw


def _root(folder: Path) -> Path:
    """A zip of the folder itself has one folder at its top."""
    inside = list(folder.iterdir())
    if len(inside) == 1 and inside[0].is_dir() and not (folder / "assignment.yaml").exists():
        return inside[0]
    return folder


def check_folder(config: AssignmentConfig, folder: Path, lines: Mapping[str, int]) -> list[Problem]:
    """What the yaml names and the folder lacks. ``lines`` has the line of each key."""

    def at(key: str, message: str) -> Problem:
        return Problem("assignment.yaml", lines.get(key, 1), key, message)

    keys = {name: name if name == "baseline" else f"data.{name}" for name in config.paths}
    problems = [
        at(keys[name], f"the folder {path} is not there or is empty")
        for name, path in config.paths.items()
        if not (folder / path).is_dir() or not any((folder / path).iterdir())
    ]
    if not (folder / "scorer" / "score.py").is_file():
        problems.append(Problem("scorer/score.py", 1, "scorer", "is missing; it scores the predictions"))
    if not (settings.ROOT / "environments" / config.environment).is_dir():
        known = ", ".join(sorted(path.name for path in (settings.ROOT / "environments").iterdir() if path.is_dir()))
        problems.append(at("environment", f"{config.environment!r} is not one of {known}"))
    labels = (folder / config.paths["labels"]).resolve()
    for name, path in config.paths.items():
        readable = (folder / path).resolve()
        if name != "labels" and (labels.is_relative_to(readable) or readable.is_relative_to(labels)):
            problems.append(at("data.labels", f"and {keys[name]} lie one inside the other: students could read it"))
    return problems


@transaction.atomic
def _store(
    actor: Any, course: Course, folder: Path, config: AssignmentConfig, raw: dict[str, Any]
) -> AssignmentVersion:
    def tree(*parts: str) -> str:
        path = folder.joinpath(*parts)
        return blobs.put(archives.pack(path)) if path.is_dir() else ""

    Course.objects.select_for_update().get(pk=course.pk)  # version numbers follow each other
    title = config.title["en"]
    assignment, _ = Assignment.objects.update_or_create(
        course=course,
        slug=config.slug,
        defaults={"title": title, "opens_at": config.opens_at, "due_at": config.due_at},
    )
    number = assignment.versions.count() + 1
    sample = config.paths.get("sample", "")
    dataset = DatasetVersion.objects.create(
        course=course,
        name=config.slug,
        number=number,
        license=config.license,
        source=config.source,
        train_sha256=tree(config.paths["train"]),
        test_sha256=tree(config.paths["test"]),
        labels_sha256=tree(config.paths["labels"]),
        sample_inputs_sha256=tree(sample, "inputs") if sample else "",
        sample_labels_sha256=tree(sample, "labels") if sample else "",
    )
    readme = folder / "README.md"
    version = AssignmentVersion.objects.create(
        assignment=assignment,
        number=number,
        raw=raw,
        readme=readme.read_text(errors="replace").replace("\0", "\ufffd")[:200_000] if readme.is_file() else "",
        dataset=dataset,
        scorer_sha256=tree("scorer"),
        bundle_sha256=tree(),
        baseline_sha256=tree(config.paths["baseline"]) if "baseline" in config.paths else "",
        created_by=actor,
    )
    record(actor, "assignment.push", assignment.slug, course.slug, version=number)
    return version
