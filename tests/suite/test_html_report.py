"""The HTML report: everything escaped, nothing loaded from elsewhere, figures in the page's colours."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from kfp_sagemaker.html_report import INK, HtmlReport, figure_svg, format_number, new_figure

HOSTILE = '<script>alert("1")</script>&'


class Tags(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += attrs


def full_report() -> HtmlReport:
    figure, axes = new_figure()
    axes.plot([0, 1], [2, 3], label=HOSTILE)
    axes.set_title(HOSTILE)
    axes.legend()
    report = HtmlReport(HOSTILE, HOSTILE)
    report.add_text(HOSTILE, [HOSTILE, "plain"])
    report.add_table(HOSTILE, [HOSTILE, "n"], [[HOSTILE, 1]])
    return report.add_figure(HOSTILE, figure, HOSTILE)


def test_everything_that_is_added_is_escaped() -> None:
    page = full_report().to_html()
    assert "script" not in Tags(page).names
    assert page.count("&lt;script&gt;") >= 10


def test_the_page_needs_nothing_but_itself() -> None:
    tags = Tags(full_report().to_html())
    assert not {"script", "link", "img", "iframe"} & set(tags.names)
    loaded = [value for name, value in tags.attributes if name in ("src", "href", "xlink:href") and value]
    assert all(value.startswith("#") for value in loaded)
    assert "@import" not in full_report().to_html()


def test_it_follows_the_colour_scheme_of_the_reader() -> None:
    page = full_report().to_html()
    assert "prefers-color-scheme: dark" in page
    assert "var(--ink)" in page[page.index("<svg") :]
    assert INK not in page


def test_two_figures_of_a_page_share_no_id() -> None:
    report = HtmlReport("Two figures")
    for heading in ("first", "second"):
        figure, axes = new_figure()
        axes.plot([0, 1], [2, 3], marker="o")
        report.add_figure(heading, figure)
    page = report.to_html()
    first, second = page.split("<svg")[1:]
    ids = [set(re.findall(r'\bid="([^"]+)"', part)) for part in (first, second)]
    assert ids[0]
    assert not ids[0] & ids[1]
    for part, own in zip((first, second), ids, strict=True):
        assert set(re.findall(r"url\(#([^)]+)\)", part)) <= own
        assert set(re.findall(r'xlink:href="#([^"]+)"', part)) <= own


def test_a_figure_is_well_formed_and_the_same_every_time() -> None:
    def draw() -> str:
        figure, axes = new_figure(2, 1)
        axes[0].bar(["a", "b"], [1, 2])
        axes[1].set_title("Latency")
        return figure_svg(figure)

    assert draw() == draw()
    root = ElementTree.fromstring(draw())  # noqa: S314  our own output
    assert root.tag.endswith("svg")
    assert "Latency" in draw(), "text stays text"


def test_a_table_sets_numbers_right_and_tells_yes_from_no() -> None:
    page = HtmlReport("t").add_table("h", ["a", "b"], [[1234567, True], [None, False]]).to_html()
    assert '<th class="number">a</th><th>b</th>' in page
    assert '<td class="number">1,234,567</td><td class="yes">yes</td>' in page
    assert '<td></td><td class="no">no</td>' in page


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="a row has 1 values for 2 columns"):
        HtmlReport("t").add_table("h", ["a", "b"], [["only"]])


def test_an_empty_table_says_so() -> None:
    assert "Nothing to show." in HtmlReport("t").add_table("h", ["a"], []).to_html()


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (1234, "1,234"), (12.0, "12"), (0.1234567, "0.12346"), (98765.4321, "98,765.43"), (float("nan"), "nan")],
)
def test_numbers_are_written_for_people(value: float, shown: str) -> None:
    assert format_number(value) == shown


def test_write_makes_the_folder(tmp_path: Path) -> None:
    path = HtmlReport("Title").add_text("", "one").write(tmp_path / "new" / "report.html")
    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
