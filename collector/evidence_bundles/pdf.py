"""The bundle's report as PDF: the six answers, charts and tables, marked as not authoritative on every page."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Sequence
from html import escape
from zoneinfo import ZoneInfo

from collector.evidence_bundles.charts import coverage_chart, presence_chart, punches_chart
from collector.evidence_bundles.facts import Facts
from collector.evidence_bundles.questions import answers
from collector.evidence_bundles.readme import MAX_HOLES
from collector.timestamps import local_text

MAX_ROWS = 1000  # punches in the table; the CSV has all
MARK = "非权威 NOT AUTHORITATIVE"

_STYLE = f"""
@page {{ size: A4; margin: 20mm 15mm;
  @top-center {{ content: "{MARK}"; font: 9pt 'Noto Sans CJK SC', 'WenQuanYi Zen Hei', sans-serif; color: #b3261e; }}
  @bottom-center {{ content: "{MARK} · " counter(page) " / " counter(pages);
    font: 8pt 'Noto Sans CJK SC', 'WenQuanYi Zen Hei', sans-serif; color: #b3261e; }} }}
body {{ font: 9.5pt/1.45 'Noto Sans CJK SC', 'WenQuanYi Zen Hei', sans-serif; color: #111; }}
h1 {{ font-size: 16pt; margin: 0 0 4mm; }}
h2 {{ font-size: 12pt; margin: 7mm 0 2mm; break-after: avoid; }}
h3 {{ font-size: 10pt; margin: 4mm 0 1mm; break-after: avoid; }}
p {{ margin: 0 0 2mm; }} .en {{ color: #333; }}
table {{ border-collapse: collapse; width: 100%; font-size: 7.5pt; }}
th, td {{ border-bottom: 0.3pt solid #bbb; text-align: left; padding: 0.6mm 1.2mm; vertical-align: top; }}
.bad {{ color: #b3261e; font-weight: bold; }}
"""


def report_pdf(facts: Facts) -> bytes:
    """Return the PDF. Raises ImportError where WeasyPrint or the libraries it links are missing."""
    from weasyprint import HTML

    zone = zone_of(facts)
    # The same facts give the same bytes: the identifier is of the contents, and no time but theirs stands inside.
    page = html(facts, zone)
    identifier = f"{zlib.crc32(page.encode()):08x}".encode()
    data: bytes = HTML(string=page).write_pdf(pdf_identifier=identifier)
    return data


def zone_of(facts: Facts) -> ZoneInfo:
    """The zone most punches are in, for the charts."""
    zones = Counter(one.tz for one in facts.punches)
    for name, _ in zones.most_common():
        try:
            return ZoneInfo(name)
        except (OSError, ValueError, KeyError):
            continue
    return ZoneInfo("UTC")


def html(facts: Facts, zone: ZoneInfo) -> str:
    """The report as one HTML page without anything from outside."""
    about = f"{'员工 worker' if facts.about_worker else '工地 site'} {facts.about}"
    parts = [
        "<h1>在岗 电子证据包报告 · Zaigang evidence report</h1>",
        f"<p class='bad'>{MARK}: 以证据包内的签名字节为准 · authoritative are only the signed bytes in the bundle</p>",
        _table(
            (),
            [
                ("范围 About", about),
                ("期间 Period", f"{facts.since} – {facts.until}"),
                ("制作 Made", facts.made_at),
                ("账本 Ledger", f"{facts.origin}, {facts.tree_size}"),
                ("图中时区 Zone of the charts", str(zone)),
            ],
        ),
    ]
    if facts.problems:
        parts.append("<h2 class='bad'>制作时发现的问题 Problems found when this was made</h2>")
        parts += [f"<p class='bad'>{escape(one)}</p>" for one in facts.problems[:50]]
    parts.append("<h2>民事诉讼证据规定第九十三条 · Civil Evidence Provisions, article 93</h2>")
    for one in answers(facts):
        parts.append(f"<h3>{escape(one.question_zh)}<br>{escape(one.question_en)}</h3>")
        parts.append(f"<p>{escape(one.zh)}</p><p class='en'>{escape(one.en)}</p>")
    parts.append("<h2>打卡时间线 Timeline of punches</h2>")
    parts.append("<p>▲ 上班 IN　▼ 下班 OUT　绿 verified　橙 review　红 refused</p>" + punches_chart(facts, zone))
    if any(one.presence for one in facts.terminals):
        parts.append("<h2>工牌在场轨迹 Presence trail of the badge</h2>")
        parts.append(
            "<p>蓝：收到工牌信号 heard　浅红：未收到 not heard　灰：终端自身缺口 the terminal's own gap。"
            "工牌不等于本人 The badge is not the person.</p>" + presence_chart(facts, zone)
        )
    for number, terminal in enumerate(facts.terminals):
        parts.append(f"<h2>值守声明 Coverage: {escape(terminal.device)} <small>{terminal.chain[:8]}…</small></h2>")
        parts.append(coverage_chart(facts, number, zone))
        parts += [f"<p>{escape(one.zh)}<br>{escape(one.en)}</p>" for one in terminal.given_up[:MAX_HOLES]]
        if len(terminal.given_up) > MAX_HOLES:
            more = len(terminal.given_up) - MAX_HOLES
            parts.append(f"<p>另有 {more} 段缺失，见索引 · {more} more in the index</p>")
    parts.append("<h2>打卡记录 Punches</h2>" + _punches(facts))
    return (
        f"<html><head><title>{escape(about)}</title><style>{_STYLE}</style></head><body>{''.join(parts)}</body></html>"
    )


def _punches(facts: Facts) -> str:
    heads = ("时间 time", "工号 worker", "", "方式 method", "结论 verdict", "终端 device", "序号 seq", "账本 entry")
    rows = [
        (
            local_text(one.time, one.tz) or one.time,
            one.worker or "—",
            one.log_type or "—",
            one.method,
            one.verdict + (f" (late: {one.late})" if one.late else ""),
            one.device,
            str(one.seq),
            str(one.leaf_index),
        )
        for one in facts.punches[:MAX_ROWS]
    ]
    more = len(facts.punches) - len(rows)
    note = f"<p>另有 {more} 条，见 CSV · {more} more in the CSV</p>" if more else ""
    return _table(heads, rows) + note


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    head = f"<tr>{''.join(f'<th>{escape(one)}</th>' for one in heads)}</tr>" if heads else ""
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table>{head}{body}</table>"
