"""What a push brings, before any row is written: the archive unpacked, its entry found, a way to predict seen."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterable
from pathlib import Path

from django.utils.translation import gettext as _

from courses.errors import Invalid, Refused
from courses.sentences import read
from courses.submissions import code, jobs, notebooks
from runner import archives

ENTRY_CHARS_MAX, ARGS_CHARS_MAX = 300, 1000  # as the columns of Run
CODE_BOUNDS = archives.Bounds(files=2_000, total_bytes=100 << 20, file_bytes=50 << 20)


def unpack(archive: Path, folder: Path, entry: str) -> str:
    """The push's files in ``folder``; the entry, with a notebook's script in the notebook's place."""
    try:
        if notebooks.is_notebook(archive):
            shutil.copyfile(archive, folder / notebooks.ALONE)
        else:
            archives.unzip(archive, folder, CODE_BOUNDS)
    except archives.ArchiveError as error:
        raise Invalid("archive", read(error.written), _("Nothing was started.")) from error
    if not any(folder.iterdir()):
        raise Invalid("empty_push", _("There is no file in it."), _("Push the folder that has your code."))
    try:
        return notebooks.as_script(entry, folder)
    except notebooks.BadNotebook as error:
        raise Invalid(
            "notebook", read(error.written), _("Nothing was started. Save the notebook again, or push it as a script.")
        ) from error


def check_command(entry: str, args: str) -> None:
    if len(entry) > ENTRY_CHARS_MAX or len(args) > ARGS_CHARS_MAX:
        raise Invalid(
            "too_long",
            _("The command may have %(entry)d letters and its arguments %(args)d.")
            % {"entry": ENTRY_CHARS_MAX, "args": ARGS_CHARS_MAX},
            _("Put what is longer into a file of your code."),
        )
    try:
        words = shlex.split(entry) + shlex.split(args)
    except ValueError as error:
        raise Invalid("entry", _("The command cannot be read: %s.") % error, _("Check the quotes.")) from None
    if not words or any("\0" in word for word in words):
        raise Invalid("entry", _("The command is empty."), _("Name the file to run with -e."))


def check_entry(entry: str, folder: Path) -> None:
    name = jobs.entry_file(entry)
    path = (folder / name).resolve()
    if name and not (path.is_relative_to(folder.resolve()) and path.is_file()):
        raise Invalid(
            "no_entry",
            _("%s is not in the folder.") % name,
            _("Push the folder that has it, or name another entry with -e."),
        )


def require_a_way_to_predict(entry: str, sources: Iterable[tuple[str, bytes]]) -> None:
    """Refused before the training and not after it."""
    if not code.can_predict(sources):
        raise Refused(
            "no_predict",
            _("It cannot be submitted: there is no predict.py, and %s never calls nsml.paused().")
            % (jobs.entry_file(entry) or entry),
            _("Add a predict.py, or bind infer and call nsml.paused(); or push without --submit."),
        )
