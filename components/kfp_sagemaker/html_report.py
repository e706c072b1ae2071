"""Self-contained HTML pages: text, tables and matplotlib figures, in light and dark.

A page needs nothing but itself: the style is inline, figures are inline SVG whose text and lines take the page's
colours, and there is no script, because Kubeflow shows an HTML artifact in a sandboxed frame. Everything that is
added is escaped.

    report = HtmlReport("Endpoint housing", "2 variants, 15 minutes")
    report.add_table("Metrics", ["Metric", "Value"], [["Invocations", 1200]])
    figure, axes = new_figure()
    axes.plot([0, 1, 2], [3, 5, 4])
    report.add_figure("Loaded models", figure, "Counted once a minute.")
    report.write(path)
"""

from __future__ import annotations

import html
import io
import re
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Readable on white and on near-black; told apart by people who see few colours (Okabe and Ito, lightness adjusted).
SERIES_COLORS = ("#3b82d0", "#e0832f", "#2fa37c", "#c7589d", "#8a78d8", "#a3862a", "#4fb3bf", "#d05a5a")

# Colours that stand for the page's own while matplotlib draws; to_html() puts the style sheet's variables in place.
INK, MUTED, GRID = "#010203", "#040506", "#070809"
_PAGE_COLORS = {INK: "var(--ink)", MUTED: "var(--muted)", GRID: "var(--grid)"}
# What they are in a picture by itself: those of the page in light.
_LIGHT_COLORS = {INK: "#1c2024", MUTED: "#626a73", GRID: "#e4e6e9"}

_STYLE = """
:root { color-scheme: light dark; --page: #fbfbfa; --card: #ffffff; --ink: #1c2024; --muted: #626a73;
  --grid: #e4e6e9; --accent: #2f6fbf; --good: #1d7f5c; --bad: #b93a3a; }
@media (prefers-color-scheme: dark) { :root { --page: #14171a; --card: #1c2024; --ink: #e8eaed; --muted: #9aa3ad;
  --grid: #32383f; --accent: #7fb2ee; --good: #5cc29b; --bad: #ee8585; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.55 system-ui, -apple-system, "Segoe UI",
  Roboto, "Helvetica Neue", sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 40px 24px 64px; }
h1 { margin: 0; font-size: 28px; line-height: 1.2; letter-spacing: -0.01em; overflow-wrap: anywhere; }
.subtitle { margin: 8px 0 0; color: var(--muted); overflow-wrap: anywhere; }
section { margin-top: 24px; padding: 20px 24px; background: var(--card); border: 1px solid var(--grid);
  border-radius: 10px; }
h2 { margin: 0 0 12px; font-size: 17px; overflow-wrap: anywhere; }
p { margin: 0 0 10px; max-width: 75ch; overflow-wrap: anywhere; } p:last-child { margin-bottom: 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14px; font-variant-numeric: tabular-nums; }
th { color: var(--muted); font-weight: 600; text-align: left; white-space: nowrap; }
th, td { padding: 7px 28px 7px 0; border-bottom: 1px solid var(--grid); vertical-align: top; }
th:last-child, td:last-child { padding-right: 0; }
tr:last-child td { border-bottom: 0; }
.number { text-align: right; white-space: nowrap; }
td { overflow-wrap: anywhere; } td:first-child { overflow-wrap: normal; }
td.yes { color: var(--good); } td.no { color: var(--bad); }
.empty { color: var(--muted); }
figure { margin: 0; } figure svg { display: block; width: 100%; height: auto; }
figure text { font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif !important; }
figcaption { margin-top: 10px; color: var(--muted); font-size: 14px; max-width: 75ch; }
""".strip()


class Markup(str):
    """HTML or SVG for a cell of a table, put there as it is: whoever makes it escapes what goes into it."""

    __slots__ = ()


class HtmlReport:
    """A page built section by section.

    Args:
        title: The page's heading.
        subtitle: A line under it: what, where, when.
    """

    def __init__(self, title: str, subtitle: str = "") -> None:
        self.title = title
        self.subtitle = subtitle
        self._sections: list[str] = []
        self._figures = 0

    def add_text(self, heading: str, paragraphs: str | Iterable[str]) -> HtmlReport:
        """Add paragraphs of plain text; one string is one paragraph."""
        texts = [paragraphs] if isinstance(paragraphs, str) else list(paragraphs)
        return self._add(heading, "".join(f"<p>{html.escape(text)}</p>" for text in texts))

    def add_table(self, heading: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> HtmlReport:
        """Add a table.

        Columns that hold only numbers (or nothing) are set flush right, with thousands separated. ``True`` and
        ``False`` become a coloured yes and no, ``None`` an empty cell, :class:`Markup` is put there as it is.

        Args:
            heading: Above the table.
            columns: The column heads.
            rows: One value a column each.

        Raises:
            ValueError: A row has another number of values than there are columns.
        """
        body = [list(row) for row in rows]
        for row in body:
            if len(row) != len(columns):
                raise ValueError(f"table {heading!r}: a row has {len(row)} values for {len(columns)} columns: {row!r}")
        if not body:
            return self._add(heading, '<p class="empty">Nothing to show.</p>')
        numeric = [all(row[i] is None or _is_number(row[i]) for row in body) for i in range(len(columns))]
        head = "".join(_cell("th", column, "number" if numeric[i] else "") for i, column in enumerate(columns))
        lines = "".join(
            "<tr>" + "".join(_value_cell(value, numeric[i]) for i, value in enumerate(row)) + "</tr>\n" for row in body
        )
        table = f"<table><thead><tr>{head}</tr></thead>\n<tbody>\n{lines}</tbody></table>"
        return self._add(heading, f'<div class="scroll">{table}</div>')

    def add_figure(self, heading: str, figure: Figure, caption: str = "") -> HtmlReport:
        """Add a matplotlib figure as inline SVG; make it with ``new_figure`` so that it follows the page's colours."""
        self._figures += 1
        note = f"<figcaption>{html.escape(caption)}</figcaption>" if caption else ""
        label = html.escape(f"Chart: {heading}", quote=True)
        svg = figure_svg(figure, f"figure{self._figures}").replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
        return self._add(heading, f"<figure>{svg}{note}</figure>")

    def add_report(self, page: str, heading: str) -> HtmlReport:
        """Add another HTML page: the sections of a page of this kind, any other one in a frame.

        Args:
            page: The page.
            heading: Put before the headings of its sections.
        """
        sections = re.findall(r"<section>\n(?:<h2>(.*?)</h2>\n)?(.*?)\n</section>", page, flags=re.DOTALL)
        if not sections:
            frame = f'<iframe sandbox srcdoc="{html.escape(page, quote=True)}" width="100%" height="600"></iframe>'
            return self._add(heading, frame)
        self._figures += 1
        for title, body in sections:
            # Ids inside figures stay different from those of this page's own figures and of other pages'.
            own = re.sub(r'\b(id="|xlink:href="#|url\(#)(figure\d+-)', rf"\g<1>page{self._figures}-\g<2>", body)
            self._add("", f"<h2>{html.escape(heading)}{': ' if title else ''}{title}</h2>\n{own}")
        return self

    def to_html(self) -> str:
        """The whole page."""
        title = html.escape(self.title)
        subtitle = f'<p class="subtitle">{html.escape(self.subtitle)}</p>' if self.subtitle else ""
        return (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{title}</title>\n<style>\n{_STYLE}\n</style>\n</head>\n<body>\n<main>\n"
            f"<header><h1>{title}</h1>{subtitle}</header>\n"
            + "\n".join(self._sections)
            + "\n</main>\n</body>\n</html>\n"
        )

    def write(self, path: str | Path) -> Path:
        """Write the page to a file, making its folder, and return the path."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(self.to_html(), encoding="utf-8")
        return target

    def _add(self, heading: str, body: str) -> HtmlReport:
        title = f"<h2>{html.escape(heading)}</h2>\n" if heading else ""
        self._sections.append(f"<section>\n{title}{body}\n</section>")
        return self


def new_figure(
    rows: int = 1,
    columns: int = 1,
    *,
    width: float = 10.0,
    height: float = 3.2,
    standalone: bool = False,
    **options: Any,
) -> Any:
    """A matplotlib figure in the report's style, and its axes.

    Args:
        rows: Charts below each other.
        columns: Charts beside each other.
        width: Width of the figure in inches; the page scales it to its own.
        height: Height of one row in inches.
        standalone: For ``save_figure``: with colours of its own in place of a page's.
        options: More arguments for ``matplotlib.figure.Figure.subplots``, such as ``sharex=True``.

    Returns:
        ``(figure, axes)``: one Axes, or an array of them when there are several.
    """
    # Figure without pyplot: no global state, no display backend, nothing to close.
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_rc(standalone)):
        figure = Figure(figsize=(width, height * rows), layout="constrained")
        figure.patch.set_alpha(1.0 if standalone else 0.0)
        return figure, figure.subplots(rows, columns, **options)


def figure_svg(figure: Figure, unique: str = "figure") -> str:
    """A figure as an ``<svg>`` element for a page, in the page's colours.

    Args:
        figure: The figure, from ``new_figure``.
        unique: Prefix of the ids inside, different for each figure of a page.
    """
    import matplotlib as mpl

    target = io.StringIO()
    with mpl.rc_context({**_rc(), "svg.hashsalt": unique}):
        for axes in figure.axes:
            _restyle(axes)
        # No date: the same figure gives the same bytes.
        _save_svg(figure, target, {"Date": None, "Creator": None})
    svg = target.getvalue()
    svg = svg[svg.index("<svg") :].strip()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\b(id="|xlink:href="#|url\(#)', rf"\g<1>{unique}-", svg)
    for placeholder, variable in _PAGE_COLORS.items():
        svg = svg.replace(placeholder, variable)
    return svg


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write a figure as a picture by itself, made with ``new_figure(standalone=True)``.

    Args:
        figure: The figure.
        path: Where to; its ending says what: .png, .svg, .pdf.
    """
    import matplotlib as mpl

    with mpl.rc_context({**_rc(standalone=True), "svg.hashsalt": "figure"}):
        for axes in figure.axes:
            _restyle(axes, _LIGHT_COLORS[INK])
        if str(path).lower().endswith(".svg"):
            _save_svg(figure, path, {"Date": None})
        else:
            figure.savefig(path, dpi=150)


def _save_svg(figure: Figure, target: Any, metadata: dict[str, None]) -> None:
    with warnings.catch_warnings():
        # Text stays text in an SVG: whoever shows it has fonts for all languages, matplotlib has one to measure with.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(target, format="svg", metadata=metadata)


def _restyle(axes: Axes, ink: str = INK) -> None:
    """What the caller added after ``new_figure`` got matplotlib's own defaults: put the report's in their place."""
    if title := axes.get_title():
        axes.set_title("", loc="center")
        axes.set_title(title, loc="left")
    if legend := axes.get_legend():
        legend.set_frame_on(False)
        for text in legend.get_texts():
            text.set_color(ink)
    for text in axes.texts:
        if text.get_color() == "black":
            text.set_color(ink)


def _rc(standalone: bool = False) -> Any:
    from cycler import cycler

    ink, muted, grid = (_LIGHT_COLORS[color] if standalone else color for color in (INK, MUTED, GRID))
    return {
        "svg.fonttype": "none",  # text stays text: it takes the page's font and colour, and can be selected
        "font.family": "sans-serif",
        "font.size": 11,
        "text.color": ink,
        "axes.labelcolor": muted,
        "axes.titlecolor": ink,
        "axes.titlesize": 12,
        "axes.titlelocation": "left",
        "axes.titleweight": "bold",
        "axes.edgecolor": grid,
        "axes.facecolor": "none",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.prop_cycle": cycler(color=SERIES_COLORS),
        "grid.color": grid,
        "grid.linewidth": 0.8,
        "xtick.color": grid,
        "ytick.color": grid,
        "xtick.labelcolor": muted,
        "ytick.labelcolor": muted,
        "legend.frameon": False,
        "legend.labelcolor": ink,
        "lines.linewidth": 2.0,
        "lines.markersize": 4.5,
    }


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _value_cell(value: object, numeric: bool) -> str:
    if value is None:
        return "<td></td>"
    if isinstance(value, Markup):
        return f"<td>{value}</td>"
    if isinstance(value, bool):
        return _cell("td", "yes" if value else "no", "yes" if value else "no")
    return _cell("td", format_number(value) if _is_number(value) else str(value), "number" if numeric else "")


def _cell(tag: str, text: str, css_class: str) -> str:
    attribute = f' class="{css_class}"' if css_class else ""
    return f"<{tag}{attribute}>{html.escape(text)}</{tag}>"


def format_number(value: Any) -> str:
    """A number for people: thousands separated, five significant digits below 1,000, two decimals above."""
    number = float(value)
    if number != number or number in (float("inf"), float("-inf")):
        return str(value)
    if number == int(number) and abs(number) < 1e15:
        return f"{int(number):,}"
    if abs(number) >= 1000:
        return f"{number:,.2f}"
    return f"{number:.5g}"
