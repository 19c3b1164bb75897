"""A roster as CSV: ``username,name,email,role``. Every bad line is named, not only the first. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, field

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.translation import gettext

from courses.roster.models import Role

BYTES_MAX = 1 << 20
NAME_CHARS_MAX = 150
COLUMNS = ("username", "name", "email", "role")
Person = dict[str, str]


@dataclass
class RosterReport:
    added: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    problems: list[tuple[int, str]] = field(default_factory=list)  # line number, what is wrong


def decode(content: bytes) -> str:
    """The text of an uploaded file. Raises ValueError with what to do."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(
            gettext('Line %(line)d is not UTF-8. In Excel, save as "CSV UTF-8".') % {"line": line}
        ) from None


def read_roster(csv_text: str) -> tuple[RosterReport, list[Person]]:
    """The people, and a report with its ``problems`` alone."""
    report, people = RosterReport(), []
    if len(csv_text) > BYTES_MAX:
        report.problems.append((1, gettext("The file is larger than 1 MiB.")))
        return report, []
    reader = csv.DictReader(io.StringIO(csv_text.lstrip("\ufeff"), newline=""))
    try:
        header = [name.strip().lower() for name in reader.fieldnames or ()]
        if "username" not in header:
            report.problems.append((1, gettext("The first line must name the columns: username,name,email,role.")))
            return report, []
        if unknown := [name for name in header if name not in COLUMNS]:
            report.problems.append((1, gettext("%r is no column of a roster.") % unknown[0]))
        seen: dict[str, int] = {}
        for row in reader:
            person = _person(row)
            problem = gettext("There are more cells than columns.") if None in row else _problem(person, seen)
            if problem:
                report.problems.append((reader.line_num, problem))
                continue
            seen[person["username"]] = reader.line_num
            people.append(person)
    except csv.Error as error:
        report.problems.append((reader.reader.line_num, gettext("This is not CSV: %s.") % error))
    return report, people


def _person(row: dict[str | None, object]) -> Person:
    clean = {str(key).strip().lower(): str(value or "").strip() for key, value in row.items() if key is not None}
    return {**dict.fromkeys(COLUMNS, ""), **clean, "role": clean.get("role", "").lower() or Role.STUDENT.value}


def _problem(person: Person, seen: dict[str, int]) -> str:
    return next((problem for problem in _problems(person, seen) if problem), "")


def _problems(person: Person, seen: dict[str, int]) -> Iterator[str]:
    username, email, role = person["username"], person["email"], person["role"]
    if not username or not all(letter.isalnum() or letter in "@.+-_" for letter in username):
        yield gettext("%r is no username.") % username[:40]
    for name, words in person.items():
        if len(words) > NAME_CHARS_MAX:
            yield gettext("The %(name)s is longer than %(most)d characters.") % {"name": name, "most": NAME_CHARS_MAX}
        if not words.isprintable():
            yield gettext("The %s holds a character that cannot be printed.") % name
    if username in seen:
        yield gettext("%(name)s is already in line %(line)d.") % {"name": username, "line": seen[username]}
    if role not in Role.values:
        yield gettext("%(role)r is no role; use one of %(known)s.") % {"role": role, "known": ", ".join(Role.values)}
    if email:
        try:
            validate_email(email)
        except ValidationError:
            yield gettext("%r is no e-mail address.") % email
