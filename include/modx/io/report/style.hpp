// The style sheet of a report page.
#pragma once
#include <string_view>

namespace modx::io::page {

/// Light and dark, narrow and wide, screen and paper.
inline constexpr std::string_view style = R"css(
:root { color-scheme: light dark; --page: #fff; --text: #1f2328; --faint: #59636e; --line: #d8dee4; --band: #f6f8fa;
  --good: #116329; --bad: #b3261e; --link: #0550ae; }
@media (prefers-color-scheme: dark) { :root { --page: #0f1318; --text: #e6e9ed; --faint: #9aa4af; --line: #30363d;
  --band: #171c23; --good: #57d27a; --bad: #ff8a80; --link: #79b8ff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 80rem; background: var(--page); color: var(--text);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .75rem; padding-bottom: .25rem; border-bottom: 1px solid var(--line); }
p, ul { max-width: 50rem; }
a { color: var(--link); }
.under, .sd, figcaption, .detail { color: var(--faint); }
.under { margin: .25rem 0 0; }
nav { margin: 1rem 0 0; display: flex; flex-wrap: wrap; gap: .25rem 1rem; font-size: .9rem; }
.notice { border-left: 4px solid var(--bad); background: var(--band); padding: .6rem 1rem; max-width: 50rem; }
.checks { list-style: none; padding: 0; margin: .5rem 0; }
.checks li { padding: .2rem 0 .2rem 4.2rem; position: relative; }
.checks b { position: absolute; left: 0; }
.pass b { color: var(--good); } .fail b { color: var(--bad); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
th, td { padding: .35rem .5rem; text-align: left; border-bottom: 1px solid var(--line); vertical-align: baseline; }
th { font-weight: 500; } thead th { color: var(--faint); vertical-align: bottom; }
tbody tr { background: var(--page); }
tbody th { max-width: 22rem; min-width: 6.5rem; position: sticky; left: 0; background: inherit; }
tbody td { min-width: 3rem; }
tbody tr:nth-child(even) { background: var(--band); }
th.num, td.num { text-align: right; white-space: nowrap; } thead th.num { white-space: normal; }
.sd { font-size: .85em; } strong { font-weight: 700; }
figure { margin: 1rem 0; min-width: 0; }
figcaption { font-size: .85rem; margin-top: .4rem; max-width: 50rem; }
figcaption label { white-space: nowrap; margin-left: .5rem; }
.panels { display: grid; gap: 1rem; grid-template-columns: minmax(0, 1fr); }
@media (min-width: 40rem) { .across-2, .across-3, .across-4 { grid-template-columns: repeat(2, minmax(0, 1fr)); } }
@media (min-width: 64rem) { .across-3 { grid-template-columns: repeat(3, minmax(0, 1fr)); }
  .across-4 { grid-template-columns: repeat(4, minmax(0, 1fr)); } }
details { margin: 1rem 0; } summary { cursor: pointer; color: var(--faint); font-size: .9rem; }
.chart { width: 100%; min-width: 0; overflow: hidden; }
pre { overflow-x: auto; background: var(--band); padding: .75rem; font-size: .85rem; }
@media print {
  :root { color-scheme: light; --page: #fff; --text: #000; --faint: #444; --line: #bbb; --band: #f4f4f4;
    --good: #116329; --bad: #b3261e; }
  body { font-size: 10pt; max-width: none; padding: 0; } nav, figcaption label { display: none; }
  h2 { break-after: avoid; } tr, .panels > div { break-inside: avoid; } figcaption { break-before: avoid; }
  .wide { overflow: visible; } table { font-size: 8pt; }
  th, td { padding: .2rem .35rem; }
}
)css";

}  // namespace modx::io::page
