"""The site that `make docs` builds of these pages, with Sphinx: everything under docs/, and the specification.

The pages are plain Markdown, so that they read as well where they lie. What the site has beyond that is made here:

- the contents at the side come from the headings and links of docs/README.md;
- each clause of spec/room.md and spec/sip.md is a place to link to (``spec/room.html#r-invite-3``), and wherever a page
  names one, it is a link.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from docutils import nodes
from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx
from sphinx.util.nodes import make_refnode

ROOT = Path(__file__).parents[1]

project = "imc"
html_title = "imc"
extensions = ["myst_parser"]
root_doc = "docs/README"
include_patterns = ["docs/**", "spec/*.md", "spec/traces/README.md", "conformance/**/README.md"]
exclude_patterns = [
    "docs/package.md",
    ".*",
    "build",
    "dist",
    "imc",
    "run",
    "site",
    "tests",
    "**/node_modules",
    "**/__pycache__",
]
source_suffix = {".md": "markdown"}
nitpicky = True

myst_heading_anchors = 6
myst_enable_extensions = ["deflist"]
highlight_language = "text"

html_theme = "furo"
html_show_copyright = False
html_show_sphinx = False
html_show_sourcelink = False
html_copy_source = False
html_baseurl = ""
html_last_updated_fmt = None

_CLAUSE = re.compile(r"^\*\*([RS]-[A-Z]+-\d+)\*\*", re.MULTILINE)
_ID = re.compile(r"\b[RS]-[A-Z]+-\d+\b")
_HEADING_OR_LINK = re.compile(r"^([A-Z][^\n\[\]]*)$|\]\(([^)#]+\.md)[^)]*\)", re.MULTILINE)
_UNTOUCHED = (nodes.reference, nodes.literal, nodes.literal_block, nodes.title, nodes.target)


def _clauses() -> dict[str, str]:
    """Each clause, with the page that has it."""
    pages = ("spec/room", "spec/sip")
    return {one: page for page in pages for one in _CLAUSE.findall((ROOT / f"{page}.md").read_text(encoding="utf-8"))}


CLAUSES = _clauses()


def _contents(text: str) -> str:
    """Hidden tables of contents for the side, one for each heading of docs/README.md."""
    parts, seen = [], set()
    for heading, link in _HEADING_OR_LINK.findall(text):
        page = (ROOT / "docs" / link).resolve().relative_to(ROOT).with_suffix("").as_posix() if link else ""
        if heading:
            parts.append((heading, []))
        elif parts and page not in seen:
            seen.add(page)
            parts[-1][1].append(f"/{page}")
    return "".join(
        f"\n```{{toctree}}\n:hidden:\n:caption: {heading}\n\n" + "\n".join(pages) + "\n```\n"
        for heading, pages in parts
        if pages
    )


def _prepare(app: Sphinx, page: str, source: list[str]) -> None:
    if page == root_doc:
        source[0] += _contents(source[0])
    elif page in CLAUSES.values():
        source[0] = _CLAUSE.sub(lambda match: f"({match[1].lower()})=\n{match[0]}", source[0])


def _link_clauses(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Each mention of a clause leads to it."""
    for text in list(doctree.findall(nodes.Text)):
        if any(isinstance(node, _UNTOUCHED) for node in _ancestors(text)) or not _ID.search(text):
            continue
        parts: list[nodes.Node] = []
        end = 0
        for match in _ID.finditer(text):
            if match[0] not in CLAUSES:
                continue
            link = make_refnode(
                app.builder, page, CLAUSES[match[0]], match[0].lower(), nodes.Text(match[0]), f"The clause {match[0]}"
            )
            parts += [nodes.Text(text[end : match.start()]), link]
            end = match.end()
        text.parent.replace(text, [*parts, nodes.Text(text[end:])])


def _ancestors(node: Any) -> list[Any]:
    found = []
    while node.parent is not None:
        node = node.parent
        found.append(node)
    return found


def _begin_here(app: Sphinx, error: Exception | None) -> None:
    """A file index.html, which leads to the first page."""
    if error is None and app.builder.name == "html":
        target = app.builder.get_target_uri(root_doc)
        text = '<!doctype html><meta charset="utf-8"><title>imc</title>'
        text += f'<meta http-equiv="refresh" content="0; url={target}">'
        (Path(app.outdir) / "index.html").write_text(f'{text}<a href="{target}">Documentation of imc</a>\n')


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_lexer("mermaid", TextLexer)
    app.connect("source-read", _prepare)
    app.connect("doctree-resolved", _link_clauses)
    app.connect("build-finished", _begin_here)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
