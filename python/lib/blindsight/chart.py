"""A picture of a plan: where the time goes, layer by layer."""

from __future__ import annotations

from typing import Any
from xml.sax.saxutils import escape

ROW, LEFT, WIDTH = 22, 190, 430


def svg(document: dict[str, Any]) -> str:
    """Bars of the layers' predicted times, with a label each."""
    layers = document["layers"]
    most = max((layer["predicted_ms"] for layer in layers), default=0) or 1
    height = ROW * (len(layers) + 2)
    title = f"{document['model']}: {document['predicted_ms']:.1f} ms predicted on one core"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 100} {height}" '
        f'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>',
        f'<text x="10" y="{ROW - 6}" font-weight="bold">{escape(title)}</text>',
    ]
    for row, layer in enumerate(layers, start=1):
        y, width = ROW * row + 4, max(1.0, WIDTH * layer["predicted_ms"] / most)
        label = f"{layer['name'][:26]}"
        parts.append(f'<text x="{LEFT - 8}" y="{y + 12}" text-anchor="end">{escape(label)}</text>')
        parts.append(f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="{ROW - 6}" fill="#4477aa"/>')
        figure = f"{layer['predicted_ms']:.2f} ms, {escape(layer['kind'])}"
        parts.append(f'<text x="{LEFT + width + 6:.1f}" y="{y + 12}">{figure}</text>')
    return "\n".join(parts + ["</svg>", ""])
