"""The certificate as an HTML page for people: charts, numbers, what is left to do. It needs no network."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["page_of"]

_COLOURS: Final = {
    "imported": "#1f7a5c",
    "duplicate": "#5b8db8",
    "waiting": "#d99a2b",
    "ignored": "#b6bcc4",
    "failed": "#b8403a",
    "not yet": "#7a6fa8",
}
_STEP: Final = 1000
_MOST_YEARS: Final = 40
_STYLE: Final = """
:root{--ink:#1d2a33;--soft:#5d6b76;--line:#dfe5ea;--paper:#fff;--wash:#f4f7f9;--accent:#1f7a5c;--warn:#b8403a}
*{box-sizing:border-box}
body{margin:0;background:var(--wash);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:60rem;margin:2rem auto;background:var(--paper);padding:3rem 3.5rem;border:1px solid var(--line);
border-radius:10px;box-shadow:0 1px 3px rgb(20 40 60/.06)}
header{display:flex;justify-content:space-between;gap:2rem;align-items:flex-start;
border-bottom:1px solid var(--line);padding-bottom:1.5rem}
h1{font-size:1.9rem;line-height:1.2;margin:0 0 .3rem;letter-spacing:-.01em}
h2{font-size:1.15rem;margin:2.4rem 0 .8rem}
p{margin:.3rem 0}.soft{color:var(--soft)}
.seal{text-align:center;border:2px solid;border-radius:999px;padding:.5rem 1.3rem;font-weight:650;white-space:nowrap}
.good{color:var(--accent)}.bad{color:var(--warn)}
.cards{display:grid;grid-template-columns:repeat(3,1fr);gap:1rem;margin-top:1.6rem}
.card{border:1px solid var(--line);border-radius:8px;padding:.9rem 1.1rem}
.card b{display:block;font-size:1.65rem;line-height:1.2;font-variant-numeric:tabular-nums;white-space:nowrap}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th{text-align:left;font-weight:600;color:var(--soft);font-size:.85rem}
th,td{padding:.45rem .6rem;border-bottom:1px solid var(--line);vertical-align:top}
td.n,th.n{text-align:right;white-space:nowrap}
.dot{display:inline-block;width:.7rem;height:.7rem;border-radius:2px;margin-right:.5rem}
ul.open{border-left:4px solid var(--warn);background:#fbf1f0;margin:1rem 0;padding:.8rem 1rem .8rem 2rem}
svg{display:block;width:100%;height:auto}svg text{font:12px system-ui,sans-serif;fill:var(--soft)}
code{font:.82rem ui-monospace,Consolas,monospace;overflow-wrap:anywhere}
footer{margin-top:2.4rem;border-top:1px solid var(--line);padding-top:1rem;font-size:.88rem;color:var(--soft)}
@media print{body{background:#fff;font-size:11pt}main{margin:0;max-width:none;border:0;box-shadow:none;padding:0}
h2,tr,svg,.card{break-inside:avoid}h2{break-after:avoid}*{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
@media (max-width:40rem){main{padding:1.5rem 1.2rem;margin:0}header{flex-direction:column}}
"""


def page_of(values: Mapping[str, Any]) -> bytes:
    """Return the page of a certificate with these values. All text from the archive and from people is escaped."""
    closes = not values["open_points"]
    seal = "Complete" if closes else "Not complete"
    moved = "moved" if values["mode"] == "move" else "copied"
    what = (
        f"<p>Photos and documents {moved} from <b>{_text(values['archive'] or 'the archive')}</b>"
        f" ({_text(values['location'])}) to the patient records</p>"
    )
    body = [
        "<header><div><h1>Migration certificate</h1>",
        what,
        f'<p class="soft">Planned {_when(values["planned_at"])} · certified {_when(values["certified_at"])}</p>',
        f'</div><div class="seal {"good" if closes else "bad"}">{seal}</div></header>',
        _cards(values),
        _open_points(values["open_points"]),
        "<h2>What became of every file</h2>",
        _bar(values["counts"], values["planned"]),
        _outcomes(values, values["planned"]),
        _years(values["years"]),
        _times(values),
        "<h2>Reasons</h2>",
        _reasons(values["reasons"]),
        _footer(values),
    ]
    page = (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>Migration certificate</title><style>{_STYLE}</style></head><body><main>"
        + "\n".join(body)
        + "</main></body></html>\n"
    )
    return page.encode()


def _cards(values: Mapping[str, Any]) -> str:
    counts = values["counts"]
    confirmed, read = values["confirmed_in_records"], values["read_again"]
    cards = [
        ("Files planned", f"{values['planned']:,}"),
        ("Imported", f"{counts['imported']:,}"),
        ("Data imported", _size(values["bytes"]["imported"])),
        ("Patients", f"{values['patients']:,}"),
        ("For a person to check", f"{counts['waiting'] + counts['failed']:,}"),
    ]
    if confirmed is not None:
        cards.append(("Found in the records again", f"{confirmed:,}"))
        cards.append(("Read again, byte for byte", f"{read:,}"))
    inner = "".join(
        f'<div class="card"><b>{value}</b><span class="soft">{name}</span></div>' for name, value in cards
    )
    return f'<div class="cards">{inner}</div>'


def _open_points(points: Sequence[str]) -> str:
    if not points:
        return (
            '<p style="margin-top:1.4rem">Every planned file has exactly one outcome, and all numbers on this page '
            "add up.</p>"
        )
    inner = "".join(f"<li>{_text(point)}</li>" for point in points)
    return f'<ul class="open" aria-label="Open points">{inner}</ul>'


def _bar(counts: Mapping[str, int], total: int) -> str:
    """Draw all files as one bar."""
    parts, at = [], 0.0
    for name, count in counts.items():
        width = 1000 * count / total if total else 0
        if width:
            parts.append(
                f'<rect x="{at:.2f}" y="0" width="{width:.2f}" height="30" fill="{_COLOURS[name]}">'
                f"<title>{name}: {count:,}</title></rect>"
            )
        at += width
    label = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
    return f'<svg viewBox="0 0 1000 30" role="img" aria-label="{label}" style="border-radius:6px">{"".join(parts)}</svg>'


def _explanations(values: Mapping[str, Any]) -> dict[str, str]:
    """Return what each outcome means. No sentence says more than was found for this certificate."""
    counts, found = values["counts"], values["confirmed_in_records"]
    seen = values["seen_in_archive"]
    left = (
        "Not looked for in the archive."
        if seen is None
        else f"In the archive, with those that failed: {seen:,}."
    )
    if found is None:
        imported = (
            "Imported by the runs of this plan. The records were not asked whether they have these files."
        )
        duplicate = "When the plan was run, the patient's record had the same photo already."
    else:
        bytes_read = (
            f"The stored bytes of {values['read_again']:,} files were read again, duplicates included:"
            f" {values['intact']:,} have the digest in the record."
        )
        imported = f"Found in the records, for the patient of the plan: {found:,}. {bytes_read}"
        originals = values["duplicates_in_records"]
        duplicate = (
            f"Not imported: the patient's record had the same photo. Found there again: {originals:,} of"
            f" {counts['duplicate']:,}."
        )
    return {
        "imported": imported,
        "duplicate": duplicate,
        "waiting": f"Not imported. A person must decide. {left}",
        "ignored": "Hidden files, system files, links, and folders that were not looked into; or left out by a person.",
        "failed": "Could not be imported.",
        "not yet": "Not processed yet. Run the migration again.",
    }


def _outcomes(values: Mapping[str, Any], total: int) -> str:
    explanations = _explanations(values)
    rows = "".join(
        f'<tr><td><span class="dot" style="background:{_COLOURS[name]}"></span>{name.capitalize()}'
        f'<br><span class="soft">{explanations[name]}</span></td><td class="n">{count:,}</td>'
        f'<td class="n">{_share(count, total)}</td><td class="n">{_size(values["bytes"][name])}</td></tr>'
        for name, count in values["counts"].items()
        if count or name in ("imported", "waiting", "failed")
    )
    return (
        '<table><thead><tr><th>Outcome</th><th class="n">Files</th><th class="n">Share</th><th class="n">Data</th>'
        f"</tr></thead><tbody>{rows}</tbody><tfoot><tr><td><b>Planned</b></td>"
        f'<td class="n"><b>{total:,}</b></td><td class="n">{_share(total, total)}</td>'
        f'<td class="n">{_size(values["planned_bytes"])}</td></tr></tfoot></table>'
    )


def _years(years: Mapping[str, int]) -> str:
    """Draw a column for each year."""
    dated = [(year, count) for year, count in years.items() if year.isdigit()][-_MOST_YEARS:]
    if not dated:
        return ""
    most = max(count for _, count in dated)
    step = 1000 / len(dated)
    width = min(step * 0.7, 60)
    columns = []
    for at, (year, count) in enumerate(dated):
        middle = at * step + step / 2
        height = max(1.0, 150 * count / most)
        columns.append(
            f'<rect x="{middle - width / 2:.1f}" y="{170 - height:.1f}" width="{width:.1f}" height="{height:.1f}" '
            f'rx="2" fill="{_COLOURS["imported"]}"><title>{year}: {count:,}</title></rect>'
        )
        if len(dated) <= 20 or at % 5 == 0:  # noqa: PLR2004  # there is room for 20 labels
            columns.append(f'<text x="{middle:.1f}" y="188" text-anchor="middle">{year}</text>')
            columns.append(
                f'<text x="{middle:.1f}" y="{164 - height:.1f}" text-anchor="middle">{count:,}</text>'
            )
    undated = years.get("unknown", 0)
    note = f'<p class="soft">{undated:,} more files have no date in the plan.</p>' if undated else ""
    return (
        "<h2>Imported files by year taken</h2>"
        '<svg viewBox="0 -14 1000 210" role="img" aria-label="Imported files by year">'
        f'<line x1="0" y1="170.5" x2="1000" y2="170.5" stroke="#dfe5ea"/>{"".join(columns)}</svg>{note}'
    )


def _times(values: Mapping[str, Any]) -> str:
    """Tell how many capture times are in doubt, and which clocks were corrected."""
    doubtful, clocks = values["times_in_doubt"], values["clocks"]
    parts = []
    if doubtful:
        parts.append(
            f"<p>{doubtful:,} imported files have a capture time that is in doubt: the names, the folders, the list"
            " and the camera disagree, or the clock of the camera was reset. In <code>files.jsonl</code>, they have"
            " <code>times_disagree</code>.</p>"
        )
    if clocks:
        rows = "".join(
            f"<tr><td>{_text(' '.join(clock.get(name, '') for name in ('make', 'model', 'serial')))}</td>"
            f"<td>{_text(clock.get('since', ''))}</td><td>{_text(clock.get('until', ''))}</td>"
            f'<td class="n">{_text(clock["offset"])}</td></tr>'
            for clock in clocks
        )
        corrected = values["times_corrected"]
        number = "" if corrected is None else f" of {corrected:,} imported files"
        parts.append(
            f"<p>The clocks of these cameras were wrong, and the times{number} were corrected. In the records and in"
            " <code>files.jsonl</code>, <code>taken_written</code> is the time as the camera wrote it.</p>"
            "<table><thead><tr><th>Camera</th><th>Since (by its clock)</th><th>Until</th>"
            f'<th class="n">Added</th></tr></thead><tbody>{rows}</tbody></table>'
        )
    return f"<h2>Capture times</h2>{''.join(parts)}" if parts else ""


def _reasons(reasons: Sequence[Mapping[str, Any]]) -> str:
    rows = "".join(
        f'<tr><td><span class="dot" style="background:{_COLOURS[one["outcome"]]}"></span>'
        f'{one["outcome"].capitalize()}</td><td>{_text(one["text"])}</td><td class="n">{one["files"]:,}</td></tr>'
        for one in reasons
    )
    return (
        '<table><thead><tr><th>Outcome</th><th>Reason</th><th class="n">Files</th></tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )


def _footer(values: Mapping[str, Any]) -> str:
    return (
        "<footer><p><code>files.jsonl</code> has the outcome and the SHA-256 digest of every file"
        f" (its own SHA-256: <code>{_text(values['files_sha256'])}</code>).</p>"
        f"<p>Digest of this certificate: <code>{_text(values['sha256'])}</code>. Keep this number in another place. "
        "With it, every later change to a line can be detected.</p>"
        f"<p>Plan <code>{_text(values['plan'])}</code> · {values['overrides']:,} decisions by people.</p></footer>"
    )


def _share(count: int, total: int) -> str:
    return f"{100 * count / total:.1f} %" if total else "–"  # noqa: RUF001  # a dash


def _size(size_bytes: float) -> str:
    for unit in ("bytes", "KB", "MB", "GB"):
        if size_bytes < _STEP:
            return f"{size_bytes:.0f} {unit}" if unit == "bytes" else f"{size_bytes:.1f} {unit}"
        size_bytes /= _STEP
    return f"{size_bytes:.2f} TB"


def _when(iso: str) -> str:
    return _text(iso[:16].replace("T", " ")) + " UTC"


def _text(value: object) -> str:
    return html.escape(str(value), quote=True)
