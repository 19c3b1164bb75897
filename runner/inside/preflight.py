"""Looks at pushed code before it runs: the entry is there and answers, every file parses, every import resolves.

Standard library only, Python 3.8+. Prints one line a fault, and exits 1 if there is one. The platform knows the lines
by their form (courses.submissions.preflight) and says them in the reader's language.
"""

import argparse
import ast
import builtins
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

CODE = "/code"
ANSWER_SECONDS = 20  # for a script to print its help: it imports what it needs first
ERROR_BYTES = 65536  # of its errors' end that are read
# A script that imports one of these takes --help for a question. One that does not is not asked: it would train.
PARSERS = {"argparse", "click", "fire", "typer", "docopt", "absl", "jsonargparse", "configargparse", "tap", "tyro",
           "simple_parsing"}  # fmt: skip
# A mistake wherever it runs. Other exceptions may come of where it is asked: without data, network or GPU.
MISTAKES = (NameError, AttributeError, TypeError, ImportError, SyntaxError)
FRAME = re.compile(r'  File "(.+)", line (\d+)(?:, in (.+))?$')
ERROR = re.compile(r"([A-Za-z_][\w.]*)(?:: (.*))?$")


def python_files():
    for folder, folders, names in os.walk(CODE):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in sorted(names):
            if name.endswith(".py"):
                yield os.path.join(folder, name)


def imports_of(tree):
    """(line, top-level module) of each import that must succeed; those inside a try may fail."""
    tries = (ast.Try, getattr(ast, "TryStar", ast.Try))
    stack = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, tries):
            stack.extend(node.finalbody)
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name.split(".")[0]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.lineno, node.module.split(".")[0]
        stack.extend(ast.iter_child_nodes(node))


def parse(path):
    """The file's syntax tree, or None and what is wrong with it."""
    shown = os.path.relpath(path, CODE)
    try:
        with open(path, "rb") as source:
            tree = ast.parse(source.read(), shown)
            compile(tree, shown, "exec", dont_inherit=True)  # finds what parses and is no program: a late __future__
            return tree, ""
    except SyntaxError as error:
        return None, "%s:%s SyntaxError: %s" % (shown, error.lineno, error.msg)
    except ValueError as error:
        return None, "%s: %s" % (shown, error)


def faults(entry, command):
    if entry and not os.path.isfile(os.path.join(CODE, entry)):
        yield "%s is not in the folder. Push the folder that has it, or name another entry with -e." % entry
        return
    program = command[0] if command else ""
    if program and shutil.which(program) is None:
        if os.path.isfile(os.path.join(CODE, program)):
            yield "The file %r is no program here. Name what runs it too: bash %s" % (program, program)
        else:
            yield "The program %r is not in this environment." % program
        return
    found = list(faults_of_files())
    for line in found:
        yield line
    if not found and entry and asks(entry):
        fault = answer(entry, command)
        if fault:
            yield fault


def faults_of_files():
    sys.path.insert(0, CODE)
    for path in python_files():
        tree, fault = parse(path)
        if tree is None:
            yield fault
            continue
        beside = os.path.dirname(path)
        for line, module in imports_of(tree):
            local = os.path.join(beside, module)
            if os.path.exists(local + ".py") or os.path.isdir(local):
                continue
            try:
                found = importlib.util.find_spec(module)
            except (ImportError, ValueError):
                found = None
            if found is None:
                yield "%s:%s No module named %r." % (os.path.relpath(path, CODE), line, module)


def modules_of(entry):
    tree, _ = parse(os.path.join(CODE, entry))
    return {module for _, module in imports_of(tree)} if tree is not None else set()


def asks(entry):
    return bool(modules_of(entry) & PARSERS)


def takes_own(entry, own):
    return modules_of(entry) & PARSERS == {"argparse"} and "--" not in own


def question(entry, command):
    """The command with --help, or None where it is not Python that runs the entry.

    argparse reads from left to right, so the run's own arguments, put before, are checked too and nothing runs. Others
    get --help alone: fire would call the function that the arguments name.
    """
    if not command or not os.path.basename(command[0]).startswith("python") or entry not in command:
        return None
    at = command.index(entry) + 1
    own = command[at:]
    if not takes_own(entry, own):
        own = []
    return list(command[:at]) + own + ["--help"]


def answer(entry, command):
    """What is wrong with the entry's answer, or "". No answer in time is no fault: nobody knows what it does."""
    words = question(entry, command)
    if words is None:
        return ""
    with tempfile.TemporaryFile() as errors:
        try:
            done = subprocess.run(words, cwd=CODE, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors,
                                  timeout=ANSWER_SECONDS, check=False)  # fmt: skip
        except (subprocess.TimeoutExpired, OSError):
            return ""
        if done.returncode == 0:
            return ""
        errors.seek(max(0, errors.tell() - ERROR_BYTES))
        said = errors.read().decode("utf-8", "replace")
    return traceback_in(said) or (done.returncode == 2 and takes_own(entry, command) and refusal_in(said, entry)) or ""


def traceback_in(said):
    """FILE:LINE and the exception of the last traceback that speaks of a mistake in /code, or ""."""
    _, found, last = said.rpartition("Traceback (most recent call last):\n")
    if not found and "SyntaxError" not in said:
        return ""
    place, own, error = "", False, ""
    for line in last.splitlines():
        frame = FRAME.match(line)
        if frame:
            own = frame.group(1).startswith(CODE + "/")
            if own:
                place = "%s:%s" % (os.path.relpath(frame.group(1), CODE), frame.group(2))
            elif frame.group(1).endswith("argparse.py") and frame.group(3) in ("print_help", "format_help"):
                return ""  # it was asked, and answers: a % in a help text breaks the help alone
        elif line and not line.startswith(" "):
            error = line
            break
    match = ERROR.match(error)
    if not place or not match or not is_mistake(match.group(1), match.group(2) or ""):
        return ""
    return "%s %s" % (place, error[:300])


def is_mistake(name, message):
    kind = getattr(builtins, name, None)
    if not isinstance(kind, type):
        return name == "argparse.ArgumentError"
    if issubclass(kind, ImportError) and ".so" in message:
        return False  # a GPU's library, which is there only where a GPU is
    return issubclass(kind, MISTAKES)


def refusal_in(said, entry):
    """argparse's word on the run's own arguments, or ""."""
    lines = said.strip().splitlines()
    _, found, why = lines[-1].partition("%s: error: " % os.path.basename(entry)) if lines else ("", "", "")
    if not found or "--help" in why:  # its parser knows no --help
        return ""
    return "%s does not take these arguments: %s" % (entry, why[:300])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--entry", default="")
    parser.add_argument("--command", default="[]", help="a list of words, as JSON")
    given = parser.parse_args()
    found = list(faults(given.entry, json.loads(given.command)))
    for line in found[:20]:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
