"""Content as a page shows it: texts by language, READMEs, code, shares of limits."""

from __future__ import annotations

from typing import Any

from django.template.defaultfilters import filesizeformat
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from markdown_it import MarkdownIt
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import TextLexer, get_lexer_for_filename
from pygments.util import ClassNotFound

from hub.web import summaries

SHOWN_BYTES_MAX = 200_000
MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")


def in_words(text: dict[str, str]) -> str:
    """A bundle's text in the reader's language."""
    return text.get((get_language() or "en")[:2], text["en"])


def readme_html(text: str) -> str:
    """An assignment's README, its headings two levels down: the page has a title and a section above it."""
    tokens = MARKDOWN.parse(text)
    for token in tokens:
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{min(6, int(token.tag[1]) + 2)}"
    return str(MARKDOWN.renderer.render(tokens, MARKDOWN.options, {}))


def meters(usage: dict[str, Any]) -> list[dict[str, Any]]:
    """The last sample of what a run used, beside its limits."""
    if not usage["samples"]:
        return []
    _at, cpus, memory, *gpu = usage["samples"][-1]
    limit = usage["memory_bytes"]
    cores = {"used": f"{cpus:.1f}", "most": f"{usage['cpus']:g}"}
    sizes = {"used": filesizeformat(memory), "most": filesizeformat(limit)}
    shown = [
        summaries.meter(_("CPU"), _("%(used)s of %(most)s cores") % cores, 100 * cpus / (usage["cpus"] or 1)),
        summaries.meter(_("Memory"), _("%(used)s of %(most)s") % sizes, 100 * memory / (limit or 1), warns=True),
    ]
    if usage["gpus"] and gpu and gpu[0] is not None:
        shown.insert(0, summaries.meter(_("GPU"), f"{gpu[0]:.0f}%", gpu[0]))
    return shown


def code_html(content: bytes, name: str) -> str:
    """A file with syntax classes; what is no text is said to be so."""
    if b"\0" in content[:8000] or len(content) > SHOWN_BYTES_MAX:
        return ""
    try:
        lexer = get_lexer_for_filename(name)
    except ClassNotFound:
        lexer = TextLexer()
    formatter = HtmlFormatter(linenos="inline", cssclass="syntax", wrapcode=True)
    return str(highlight(content.decode(errors="replace"), lexer, formatter))
