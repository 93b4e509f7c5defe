"""The site that `make docs` builds: no warning, every link leads somewhere, and nothing is fetched from anywhere."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tests.docs.blocks import ROOT, pages
from tests.rooms.test_clauses import CLAUSES as ROOMS
from tests.spec.test_sip_clauses import CLAUSES as SIP

FETCHED = {"img": "src", "script": "src", "link": "href", "source": "src", "iframe": "src", "object": "data"}
NOT_IN_IT = ("README.md", "docs/package.md")
_IN_STYLE = re.compile(r"url\(\s*['\"]?(?!data:)([^)'\"]+)|@import\s+['\"]([^'\"]+)")


@dataclass
class Page(HTMLParser):
    """``links`` and ``fetched`` as they stand, ``ids`` are what can be linked to."""

    links: list[str] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        has = dict(attrs)
        self.ids |= {value for name, value in attrs if name == "id" and value}
        if tag == "a" and has.get("href"):
            self.links.append(str(has["href"]))
        address = has.get(FETCHED.get(tag, ""))
        if address and has.get("rel") != "canonical":
            self.fetched.append(address)


def build(folder: Path) -> Path:
    """The site. AssertionError where Sphinx warns of anything."""
    command = [
        sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going", "--nitpicky",
        "--conf-dir", "docs", "--doctree-dir", str(folder / "doctrees"), ".", str(folder / "html"),
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return folder / "html"


def read(site: Path) -> dict[Path, Page]:
    found = {}
    for path in site.rglob("*.html"):
        found[path.resolve()] = page = Page()
        page.feed(path.read_text(encoding="utf-8"))
    return found


def test_the_site(tmp_path: Path) -> None:
    """In one, since it is built once."""
    site = build(tmp_path)
    found = read(site)
    for page in pages():
        if page not in NOT_IN_IT:
            assert (site / page).with_suffix(".html").is_file(), page
    assert (site / "index.html").is_file()
    assert (site / "searchindex.js").is_file()
    assert list(_broken(found)) == []
    assert list(_fetched_from_elsewhere(site, found)) == []
    for page, clauses in (("room", ROOMS), ("sip", SIP)):
        ids = found[(site / "spec" / f"{page}.html").resolve()].ids
        assert {clause.lower() for clause in clauses} <= ids


def _broken(read: dict[Path, Page]) -> Iterator[str]:
    """Links that lead nowhere, and what is needed and not there."""
    for path, page in read.items():
        for link in (*page.links, *page.fetched):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.is_file():
                yield f"{path.name}: {link}"
            elif parts.fragment and target in read and unquote(parts.fragment) not in read[target].ids:
                yield f"{path.name}: {link}: no such place"


def _fetched_from_elsewhere(site: Path, read: dict[Path, Page]) -> Iterator[str]:
    yield from (link for page in read.values() for link in page.fetched if urlsplit(link).netloc)
    for path in site.rglob("*.css"):
        found = ("".join(one) for one in _IN_STYLE.findall(path.read_text(encoding="utf-8")))
        yield from (f"{path.name}: {link}" for link in found if urlsplit(link).netloc)


def test_the_index_of_the_clauses_is_not_stale() -> None:
    from conformance.report.clauses import page

    stated = (ROOT / "docs" / "reference" / "clauses.md").read_text(encoding="utf-8")
    assert page(ROOT) == stated, "make reference"
