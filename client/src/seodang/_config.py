"""Where the command's settings come from: the environment, the folder's ``.seodang``, then what ``login`` saved."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from seodang._errors import Usage

FOLDER_FILE = ".seodang"


@dataclass(frozen=True)
class Settings:
    """What a command needs to know before it calls the server."""

    address: str
    token: str
    course: str  # "" where nothing names one


def config_path() -> Path:
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    return Path(home) / "seodang" / "config.json"


def normal_address(address: str) -> str:
    """Add the scheme that is left out: http for this machine, https for any other."""
    address = address.strip().rstrip("/")
    if "://" not in address:
        local = (urlsplit("//" + address).hostname or "") in ("localhost", "127.0.0.1", "::1")
        address = ("http://" if local else "https://") + address
    return address


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file; {} where there is none."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise Usage(f"{path} cannot be read: {error}", next=f"Remove {path} and try again") from error
    return raw if isinstance(raw, dict) else {}


def write_json(path: Path, content: dict[str, Any], mode: int) -> None:
    """Replace a file at once, never readable by more than ``mode`` allows, not even for a moment."""
    handle, temporary = tempfile.mkstemp(prefix=path.name, dir=path.parent)  # mkstemp makes it 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=2, sort_keys=True)
            file.write("\n")
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def save_login(**changes: str) -> Path:
    path = config_path()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_json(path, {**read_json(path), **changes}, 0o600)
    return path


def settings(course: str | None = None) -> Settings:
    """Raises Usage where no address or token is known."""
    saved = read_json(config_path())
    address = os.environ.get("SEODANG_ADDRESS") or saved.get("address", "")
    token = os.environ.get("SEODANG_TOKEN") or saved.get("token", "")
    if not address or not token:
        raise Usage("Not logged in", next="seodang login ADDRESS", code="not_logged_in")
    chosen = course or os.environ.get("SEODANG_COURSE") or folder().get("course") or saved.get("course", "")
    return Settings(normal_address(address), token, chosen)


def folder() -> dict[str, Any]:
    """What this working folder remembers: course, assignment, and an upload whose answer never came."""
    return read_json(Path(FOLDER_FILE))


def remember(**changes: Any) -> None:
    """Change what the folder remembers; None forgets."""
    kept = {**folder(), **changes}
    write_json(Path(FOLDER_FILE), {name: value for name, value in kept.items() if value is not None}, 0o644)
