"""Content as a page shows it: texts by language, READMEs, code."""

from __future__ import annotations

from django.utils.translation import get_language
from markdown_it import MarkdownIt
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import TextLexer, get_lexer_for_filename
from pygments.util import ClassNotFound

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
    # Code may be wider than the page: it scrolls, and the keyboard must reach what scrolls.
    return str(MARKDOWN.renderer.render(tokens, MARKDOWN.options, {})).replace("<pre>", '<pre tabindex="0">')


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
