"""The ``seodang`` command: each verb parses, calls the API and prints. Exit status: 0, 1 refused, 2 usage, 3 network."""

from __future__ import annotations

from seodang._command import cli
from seodang.verbs import account, data, files, later, look, push, runs, scores

__all__ = ["account", "cli", "data", "files", "later", "look", "main", "push", "runs", "scores"]


def main() -> None:
    cli()


if __name__ == "__main__":
    main()
