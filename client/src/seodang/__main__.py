"""``python -m seodang`` is the command, for where scripts are not on the PATH."""

from __future__ import annotations

from seodang.cli import main

if __name__ == "__main__":
    main()
