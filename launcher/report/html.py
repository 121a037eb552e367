"""A smoke run as one self-contained HTML page: verdicts first, the transcript behind each.

No script, no address outside the page; everything that came from a server is escaped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from launcher.probe.bounded_json import loads
from launcher.report.escape import html as escape
from launcher.report.smoke_text import summary
from launcher.result import Result

STYLE = """
:root { --line: #d0d7de; --soft: #f6f8fa; --text: #1f2328; --dim: #59636e; --page: #fff;
  --pass: #1a7f37; --fail: #cf222e; --doubt: #9a6700; --known: #8250df; --none: #6e7781; }
@media (prefers-color-scheme: dark) { :root { --line: #3d444d; --soft: #151b23; --text: #f0f6fc;
  --dim: #9198a1; --page: #0d1117; --pass: #3fb950; --fail: #f85149; --doubt: #d29922;
  --known: #ab7df8; --none: #9198a1; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--page);
  max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0 0 .2rem; }
.dim { color: var(--dim); }
.counts { display: flex; flex-wrap: wrap; gap: .6rem; margin: 1.2rem 0; padding: 0; }
.counts li { list-style: none; border: 1px solid var(--line); border-radius: .5rem;
  padding: .4rem .9rem; background: var(--soft); }
.counts b { font-size: 1.3rem; margin-right: .4rem; }
details { border: 1px solid var(--line); border-radius: .5rem; margin: .4rem 0; }
details > summary { display: grid; grid-template-columns: 7rem 15rem 6rem 5rem 1fr; gap: .7rem;
  padding: .45rem .8rem; cursor: pointer; align-items: baseline; }
summary .said { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
summary .time { text-align: right; color: var(--dim); font-variant-numeric: tabular-nums; }
details .inside { padding: .2rem .8rem .8rem; border-top: 1px solid var(--line); }
.inside details > summary { display: block; }
.mark { white-space: nowrap; font-weight: 600; font-size: .8rem; letter-spacing: .03em; }
.pass { color: var(--pass); } .fail { color: var(--fail); } .doubt { color: var(--doubt); }
.known { color: var(--known); } .none { color: var(--none); }
pre { background: var(--soft); border-radius: .4rem; padding: .6rem; margin: .3rem 0;
  white-space: pre-wrap; word-break: break-word; max-height: 24rem; overflow: auto;
  font: 12.5px/1.45 ui-monospace, monospace; }
table { border-collapse: collapse; } td, th { text-align: left; padding: .15rem .9rem .15rem 0;
  vertical-align: top; }
@media (max-width: 50rem) { details > summary { grid-template-columns: 6rem 1fr; }
  summary .said { grid-column: 1 / -1; white-space: normal; } }
"""

MARKS = {
    "pass": ("pass", "PASS"),
    "fail": ("fail", "FAIL"),
    "inconclusive": ("doubt", "IN DOUBT"),
    "could not check": ("none", "NOT CHECKED"),
    "known deviation": ("known", "KNOWN"),
}


def render(result: Result) -> str:
    """The whole page."""
    data = result.data
    target = data["target"]
    engine = " ".join(w for w in (target["engine"], target["release"]) if w) or "unknown engine"
    rows = "\n".join(_check(one) for one in data["checks"])
    notes = "".join(f"<p class=dim>{escape(n)}</p>" for n in target["notes"])
    differences = "".join(
        f"<li><b>{escape(d['check'])}</b>: "
        + ", ".join(f"{escape(c)} {escape(v)}" for c, v in d["verdicts"].items())
        + "</li>"
        for d in data["differences"]
    )
    seen = f"<h2>What the clients see differently</h2><ul>{differences}</ul>" if differences else ""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Smoke: {escape(target["name"])}</title><style>{STYLE}</style></head><body>
<h1>Smoke: {escape(target["name"])}</h1>
<div class=dim>{escape(target["model"])} at {escape(target["url"])} &middot; {escape(engine)}
&middot; clients {escape(", ".join(data["clients"]))} &middot; {escape(data["started"])}
&middot; ernie-deploy {escape(data["version"])}</div>
{_counts(data)}<p><b>{escape(summary(data))}</b></p>{notes}{seen}
<h2>Checks</h2>
{rows}
</body></html>
"""


def _counts(data: Mapping[str, Any]) -> str:
    counts = dict(data["counts"])
    counts["fail"] -= counts["known deviation"]
    items = "".join(
        f"<li><b class={MARKS[v][0]}>{n}</b>{escape(v)}</li>" for v, n in counts.items() if n
    )
    return f"<ul class=counts>{items}</ul>"


def _check(one: Mapping[str, Any]) -> str:
    style, mark = MARKS["known deviation" if one["deviations"] else one["verdict"]]
    opened = " open" if style in ("fail", "doubt") else ""
    rate = one["rate"]
    drawn = f"{rate['passes']}/{rate['draws']} " if rate["draws"] > 1 else ""
    return (
        f"<details{opened}><summary><span class='mark {style}'>{mark}</span>"
        f"<b>{escape(one['name'])}</b><span class=dim>{escape(one['client'])}</span>"
        f"<span class=time>{one['seconds']:.2f} s</span>"
        f"<span class=said>{escape(drawn + one['message'])}</span></summary>"
        f"<div class=inside><p class=dim>{escape(one['purpose'])} &middot; {escape(one['kind'])} "
        f"&middot; needs {escape(', '.join(one['needs']) or 'nothing')}</p>"
        f"{_findings(one)}{_measures(one)}{''.join(map(_exchange, one['evidence']))}"
        "</div></details>"
    )


def _findings(one: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><th>expected</th><td>{escape(f['expected'])}</td></tr>"
        f"<tr><th>got</th><td>{escape(f['got'])} "
        f"<span class=dim>[{escape(f['code'])}]</span></td></tr>"
        for f in one["findings"]
    )
    known = "".join(
        f"<p class=known>Known deviation {escape(d['id'])} ({escape(d['releases'])}): "
        f"{escape(d['title'])}. <span class=dim>{escape(d['source'])}</span></p>"
        for d in one["deviations"]
    )
    return (f"<table>{rows}</table>" if rows else "") + known


def _measures(one: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><th>{escape(k.replace('_', ' '))}</th><td>{v:g}</td></tr>"
        for k, v in one["measures"].items()
    )
    return f"<table>{rows}</table>" if rows else ""


def _exchange(exchange: Mapping[str, Any]) -> str:
    status = exchange["status"] if exchange["status"] is not None else exchange["error"]
    seconds = "" if exchange["seconds"] is None else f" in {exchange['seconds']:.3f} s"
    head = f"{escape(exchange['method'])} {escape(exchange['url'])} &rarr; "
    events = "\n".join(f"{e['at']:8.3f} s  {e['data']}" for e in exchange["events"])
    more = exchange["events_total"] - len(exchange["events"])
    events += f"\n... and {more} more events" if more > 0 else ""
    answer = exchange["response"] or events or exchange["error"] or ""
    return (
        f"<details><summary>{head}{escape(str(status))}{seconds}</summary><div class=inside>"
        f"<pre>{escape(_lines(exchange['headers']))}\n\n{escape(_pretty(exchange['request']))}</pre>"
        f"<pre>{escape(_lines(exchange['response_headers']))}\n\n{escape(_pretty(answer))}</pre>"
        "</div></details>"
    )


def _lines(headers: Mapping[str, str]) -> str:
    return "\n".join(f"{k}: {v}" for k, v in headers.items())


def _pretty(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        try:
            value = loads(value, strict=False)
        except ValueError:
            return str(value)
    text: str = json.dumps(value, ensure_ascii=False, indent=1)
    return text
