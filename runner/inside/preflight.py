"""Looks at pushed code without running it: the entry is there, every file parses, every import resolves.

Standard library only, Python 3.8+. Prints one line a fault, and exits 1 if there is one.
"""

import argparse
import ast
import importlib.util
import os
import sys

CODE = "/code"


def python_files():
    for folder, folders, names in os.walk(CODE):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in sorted(names):
            if name.endswith(".py"):
                yield os.path.join(folder, name)


def imports_of(tree):
    """(line, top-level module) of each import that must succeed; those inside a try may fail."""
    stack = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Try):
            stack.extend(node.finalbody)
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name.split(".")[0]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.lineno, node.module.split(".")[0]
        stack.extend(ast.iter_child_nodes(node))


def faults(entry):
    if entry and not os.path.isfile(os.path.join(CODE, entry)):
        yield "%s is not in the folder. Push the folder that has it, or name another entry with -e." % entry
        return
    sys.path.insert(0, CODE)
    for path in python_files():
        shown = os.path.relpath(path, CODE)
        try:
            with open(path, "rb") as source:
                tree = ast.parse(source.read(), shown)
        except SyntaxError as error:
            yield "%s:%s SyntaxError: %s" % (shown, error.lineno, error.msg)
            continue
        except ValueError as error:
            yield "%s: %s" % (shown, error)
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
                yield "%s:%s No module named %r in this environment." % (shown, line, module)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--entry", default="")
    found = list(faults(parser.parse_args().entry))
    for line in found[:20]:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
