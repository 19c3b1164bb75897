"""The preflight's lines, said in the reader's language. A line of another form is shown as it is. Pure.

The lines come from a container in which the student's code ran: they are text for its own team, and no more.
"""

from __future__ import annotations

import re

from runner.sentences import Written, join, tell

BYTES_MAX = 8_000
LINES_MAX = 20
_NO_MODULE = re.compile(r"(?P<place>\S.*:\d+) No module named '(?P<module>[^']+)'\.")
_NO_ENTRY = re.compile(
    r"(?P<file>.+) is not in the folder\. Push the folder that has it, or name another entry with -e\."
)
_NO_PROGRAM = re.compile(r"The program '(?P<program>.+)' is not in this environment\.")
_NOT_RUNNABLE = re.compile(r"The file '(?P<program>.+)' is no program here\. .*")
_ARGUMENTS = re.compile(r"(?P<file>.+) does not take these arguments: (?P<why>.+)")
_TWO = "{first}\n{rest}"  # words of nobody's: not to be translated


def said(lines: str) -> Written | str:
    """All of them, one below the other; "" where there is none."""
    found = [_one(line) for line in lines.splitlines() if line.strip()][:LINES_MAX]
    if not found:
        return ""
    if any(_NO_MODULE.fullmatch(line) for line in lines.splitlines()):
        found.append(
            tell(
                "Use what the environment has, or ask your instructor to add it: the assignment's page names the "
                "environment."
            )
        )
    whole = found.pop()
    while found:
        whole = tell(_TWO, first=found.pop(), rest=whole)
    return whole


def _one(line: str) -> Written:
    if match := _NO_MODULE.fullmatch(line):
        return tell("{place} No module named '{module}'.", **match.groupdict())
    if match := _NO_ENTRY.fullmatch(line):
        return tell(
            "{file} is not in the folder. Push the folder that has it, or name another entry with -e.",
            **match.groupdict(),
        )
    if match := _NO_PROGRAM.fullmatch(line):
        return tell("The program '{program}' is not in this environment.", **match.groupdict())
    if match := _NOT_RUNNABLE.fullmatch(line):
        return tell(
            "The file '{program}' is no program here. Name what runs it too: bash {program}", **match.groupdict()
        )
    if match := _ARGUMENTS.fullmatch(line):
        return tell("{file} does not take these arguments: {why}", **match.groupdict())
    return join(line)
