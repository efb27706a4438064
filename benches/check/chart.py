"""Charts: horizontal bars as SVG, readable in light and dark mode, with their numbers."""

import dataclasses
import html

WIDTH, LABEL, ROW, TOP, NUMBER = 760, 290, 26, 44, 90

STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-size: 15px; font-weight: 600 }
.bar0 { fill: #8c959f }
.bar1 { fill: #0969da }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .bar0 { fill: #768390 }
  .bar1 { fill: #539bf5 }
}
"""


@dataclasses.dataclass
class Bar:
    label: str
    value: float
    number: str
    # 0: what is compared with; 1: what is looked at.
    kind: int


def draw(title, bars):
    height = TOP + ROW * len(bars) + 8
    scale = (WIDTH - LABEL - NUMBER) / (max((bar.value for bar in bars), default=1) or 1)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'role="img">',
        f"<title>{html.escape(title)}</title>",
        f"<desc>{html.escape(describe(bars))}</desc>",
        f"<style>{STYLE}</style>",
        f'<text class="title" x="8" y="24">{html.escape(title)}</text>',
    ]
    for index, bar in enumerate(bars):
        top, width = TOP + ROW * index, max(1, bar.value * scale)
        lines += [
            f'<text x="{LABEL - 8}" y="{top + 15}" text-anchor="end">{html.escape(bar.label)}</text>',
            f'<rect class="bar{min(bar.kind, 1)}" x="{LABEL}" y="{top + 2}" width="{width:.1f}" height="{ROW - 8}" rx="2"/>',
            f'<text x="{LABEL + width + 6:.1f}" y="{top + 15}">{html.escape(bar.number)}</text>',
        ]
    return "\n".join([*lines, "</svg>", ""])


def describe(bars):
    """Returns the text alternative of a chart."""
    return "; ".join(f"{bar.label} {bar.number}" for bar in bars)
