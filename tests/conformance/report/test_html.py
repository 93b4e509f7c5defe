"""The page, read as a browser would: what is in it, where its links lead, and that nothing hostile got through."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from conformance.report.html import render, safe_link
from conformance.suite.verdict import RunVerdict
from tests.conformance.report.samples import HOSTILE_LINK, HOSTILE_SHOWN, case, every_outcome, hostile, run

VOID = {"meta", "input"}


class Page(HTMLParser):
    """Tags, ids, links and texts; wrong nesting is an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.ids: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self._note(tag, attrs)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._note(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def _note(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        assert len(values) == len(attrs)
        self.tags.append((tag, values))
        if values.get("id"):
            self.ids.append(values["id"] or "")

    @property
    def links(self) -> list[str]:
        return [values["href"] or "" for tag, values in self.tags if tag == "a"]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def _runs() -> list[RunVerdict]:
    return [every_outcome(), run(case("invite/passes", "failed", why="x"), target="kamailio", version="5.6.3")]


def test_summary_matrix_and_cases() -> None:
    text = Page(render([every_outcome()])).text
    assert "3 of 7 cases fail the run." in text
    assert "1 × It has no #modify." in text
    assert "✗ failed 1 ! error 1 ↺ deviation gone 1 △ should: failed 1 ≠ deviates 1 – skipped 1 ✓ passed 1" in text
    assert "R-INVITE-1 ✗ 1 △ 1 ✓ 1" in text
    assert text.index("R-MSG-2 ≠ 1") < text.index("R-MSG-10 ! 1 ↺ 1 – 1")  # in natural order
    assert text.count("An owner invites.") == 3  # once a clause
    assert "alice → room: #invite rita 200 403 status 403, not 200" in text
    assert "7 cases in 12.3 s, profile imc, began 2026-11-23T07:20:00+00:00 on build-7" in text


def test_a_column_for_each_server() -> None:
    text = Page(render(_runs())).text
    assert "Conformance of imc 0.1.0, kamailio 5.6.3" in text
    assert "R-INVITE-1 ✗ 1 △ 1 ✓ 1 ✗ 1" in text
    assert "R-MSG-2 ≠ 1 ·" in text
    assert "invite/passes Title of invite/passes must · invite ✓ imc 0.1.0 ✗ kamailio 5.6.3" in text


def test_cases_stand_by_the_words_that_they_quote() -> None:
    quoting = [case(f"a/{number}", "passed", quotation=("All.", "Some.")[number % 2], tags=[]) for number in range(4)]
    text = Page(render([run(*quoting)])).text
    cases = [f"a/{number} Title of a/{number} must ✓ passed" for number in range(4)]
    assert f"R-INVITE-1 All. {cases[0]} {cases[2]} Some. {cases[1]} {cases[3]}" in text


def test_clauses_stand_by_their_document() -> None:
    names = ["RFC 4475 §3.1.2.10", "RFC 4475 §3.1.2.9", "S-READ-1", "R-MSG-1", "R-MSG-2.1"]
    page = Page(render([run(*(case(f"a/{number}", "passed", clause=name) for number, name in enumerate(names)))]))
    assert [text for text in page.texts if text in names] == [names[place] for place in (3, 4, 1, 0, 2)] * 2
    assert [text for text in page.texts if text in ("RFC 4475", "S-READ", "R-MSG")] == ["R-MSG", "RFC 4475", "S-READ"]


def test_what_passed_or_was_skipped_is_a_line_and_the_rest_has_its_ladder() -> None:
    page = Page(render([every_outcome()]))
    told = [(values["class"], "open" in values) for tag, values in page.tags if tag == "details" and values.get("id")]
    assert told == [
        ("told failed", True),
        ("told should", False),
        ("told deviates", False),
        ("told gone", True),
        ("told error", True),
    ]
    ladders = [values for tag, values in page.tags if tag == "svg" and values.get("role") == "group"]
    assert len(ladders) == 5


def test_a_reason_is_told_once() -> None:
    told = case("a/b", "failed", why="status 403, not 200\nthe server ended")
    text = Page(render([run(told)])).text
    assert text.count("status 403, not 200") == 2  # the headline, and at its step
    assert text.count("the server ended") == 1


def test_arrows_lead_to_their_octets() -> None:
    page = Page(render([run(case("invite/fails", "failed"))]))
    assert [link for link in page.links if "_m" in link] == ["#case-invite-fails_1_m1", "#case-invite-fails_1_m3"]
    assert "1. alice → server MESSAGE #invite rita MESSAGE x #invite" in page.text
    assert "MESSAGE x\n\n#invite" in page.texts


@pytest.mark.parametrize("runs", [_runs(), [hostile()], [hostile(), every_outcome(), hostile()], [run()], []])
def test_each_link_has_its_place_and_each_id_is_one(runs: list[RunVerdict]) -> None:
    page = Page(render(runs))
    assert len(set(page.ids)) == len(page.ids)
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)


def test_nothing_hostile_gets_through() -> None:
    written = render([hostile()])
    written.encode()
    assert re.search(r"[\x00-\x09\x0b-\x1f\x7f\ud800-\udfff\u202e\ufffe\uffff]", written) is None
    page = Page(written)
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "iframe", "img", "object", "link"})
    assert not [name for _, values in page.tags for name in values if name.startswith("on") or name == "style"]
    assert {link for link in page.links if not link.startswith("#")} == {HOSTILE_LINK}
    assert "7 * 7" in page.text
    assert HOSTILE_SHOWN in page.texts
    assert sum(tag == "style" for tag, _ in page.tags) == 1
    assert sum(tag == "title" for tag, _ in page.tags) == 1 + 12 * (3 + 3) + 6  # page, lanes and arrows, bars


def test_the_page_allows_its_own_style_alone() -> None:
    page = Page(render([every_outcome()]))
    (policy,) = [values["content"] for tag, values in page.tags if values.get("http-equiv")]
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert not [values for _, values in page.tags if "src" in values]


@pytest.mark.parametrize(
    ("link", "is_safe"),
    [
        ("https://example.org/a?b#c", True),
        ("http://[::1]:8080/", True),
        ("javascript:alert(1)", False),
        ("JaVaScRiPt:alert(1)", False),
        ("data:text/html,x", False),
        ("//example.org/", False),
        ("docs/how-to.md", False),
        ("https:example.org", False),
        ("https://example.org/\u202e", False),
        ("http://[", False),
        ("", False),
    ],
)
def test_links_that_are_followed(link: str, is_safe: bool) -> None:
    assert safe_link(link) == (link if is_safe else None)


def test_a_link_that_is_not_followed_is_shown() -> None:
    page = Page(render([run(case("a/b", "deviates", link="docs/how-to.md"))]))
    assert "docs/how-to.md" in page.texts
    assert "docs/how-to.md" not in page.links


def test_ids_that_look_alike_have_anchors_of_their_own() -> None:
    page = Page(render([run(case("a/b", "failed"), case("a-b", "failed"), case("a/b--2", "failed"))]))
    assert [name for name in page.ids if re.fullmatch(r"case-[^_]*", name)] == ["case-a-b", "case-a-b--2", "case-a-b-2"]
