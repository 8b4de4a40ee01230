"""One self-contained HTML page: headings, paragraphs, tables and pictures."""

import base64
import html
from pathlib import Path

from aezoo.files import write_text

_STYLE = """
body{margin:0;background:#f6f7f8;color:#1f2933;font:16px/1.55 system-ui,sans-serif}
main{max-width:60rem;margin:0 auto;padding:2.5rem 1.25rem 4rem}
h1{font-size:1.9rem;line-height:1.2;margin:0 0 .4rem}
h2{font-size:1.15rem;margin:2.4rem 0 .6rem}
p{max-width:44rem}
.lead{color:#52606d;font-size:1.05rem}
figure{margin:1rem 0;background:#fff;border:1px solid #e4e7eb;border-radius:10px;padding:1rem}
figure img{display:block;max-width:100%;height:auto;margin:0 auto}
figcaption{color:#52606d;font-size:.9rem;margin-top:.6rem}
.scroll{overflow-x:auto}
table{border-collapse:collapse;background:#fff;border:1px solid #e4e7eb;border-radius:10px}
th,td{padding:.5rem 1rem;text-align:right;font-variant-numeric:tabular-nums}
th:first-child,td:first-child{text-align:left}
thead th{border-bottom:1px solid #e4e7eb;font-weight:600}
tbody tr.ours{color:#0f766e;font-weight:600}
pre{background:#1f2933;color:#f6f7f8;padding:1rem;border-radius:10px;overflow-x:auto}
"""


def paragraph(text: str, lead: bool = False) -> str:
    """Return a paragraph of plain text."""
    return f"<p{' class=lead' if lead else ''}>{html.escape(text)}</p>"


def commands(lines: list[str]) -> str:
    """Return a block of shell commands."""
    return f"<pre>{html.escape(chr(10).join(lines))}</pre>"


def table(header: list[str], rows: list[list[str]], ours: int | None = None) -> str:
    """Return a table; `ours` is the number of the row to set off."""
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in header)
    body = ""
    for number, row in enumerate(rows):
        cells = "".join(f"<td>{html.escape(cell)}</td>" for cell in row)
        body += f"<tr{' class=ours' if number == ours else ''}>{cells}</tr>"
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def measured(rows: str, found: dict[str, dict[str, float]], form: str = ".3f") -> str:
    """Return the table of methods and their figures, ours, the first, set off.

    Args:
        rows: What was measured on.
        found: Method -> figure -> value.
        form: Of a value.

    Example:
        >>> "<th>9 rows</th><th>R2</th>" in measured("9 rows", {"ours": {"R2": 0.5}})
        True
    """
    lines = [[method, *(f"{v:{form}}" for v in row.values())] for method, row in found.items()]
    return table([rows, *next(iter(found.values()))], lines, ours=0)


def picture(path: Path, caption: str) -> str:
    """Return a PNG, embedded, with a caption that is its alternative text too."""
    data = base64.b64encode(Path(path).read_bytes()).decode()
    text = html.escape(caption)
    return (
        f'<figure><img alt="{text}" src="data:image/png;base64,{data}">'
        f"<figcaption>{text}</figcaption></figure>"
    )


def write(path: Path, title: str, sections: list[tuple[str, list[str]]]) -> Path:
    """Write the page.

    Args:
        path: The HTML file.
        title: Its heading.
        sections: Headings, each with parts made by the functions above; an empty heading is left
            out.
    """
    body = "".join(
        (f"<h2>{html.escape(heading)}</h2>" if heading else "") + "".join(parts)
        for heading, parts in sections
    )
    write_text(
        Path(path),
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><main><h1>{html.escape(title)}</h1>{body}</main></body></html>\n",
    )
    return Path(path)
