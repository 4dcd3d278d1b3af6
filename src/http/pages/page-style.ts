// Holds the style sheet of all pages.

// Each pair of text and background has a contrast of at least 4.5:1 in both schemes (WCAG 2.2, 1.4.3).
const COLORS = `
:root {
  color-scheme: light dark;
  --page: #f5f6f8; --card: #fff; --well: #eef0f4; --line: #d9dee6; --track: #dfe4ec;
  --text: #1b2330; --soft: #556072; --accent: #1d5bbf; --on-accent: #fff;
  --good: #17714a; --warn: #8a5300; --bad: #b3261e; --in: #1d6fd6; --out: #b4560b;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #10141a; --card: #181e26; --well: #222a34; --line: #2d3743; --track: #303b48;
    --text: #e5e9ef; --soft: #a2adbb; --accent: #86b6ff; --on-accent: #0d1a2e;
    --good: #63d19b; --warn: #efb759; --bad: #ff958c; --in: #6aa9ff; --out: #f0a35c;
  }
}
`

const TEXT = `
* { box-sizing: border-box }
body { background: var(--page); color: var(--text); font: 1rem/1.55 system-ui, sans-serif; margin: 0 auto; padding: 1rem 1rem 4rem }
body.text { max-width: 58rem }
.text p, .text li { max-width: 42rem }
body.tables { max-width: 84rem }
header { align-items: baseline; display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; justify-content: space-between }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1rem }
header span { color: var(--soft); font-weight: 600; letter-spacing: .01em }
h1 { font-size: 1.75rem; letter-spacing: -.01em; line-height: 1.2; margin: 1rem 0 .5rem; overflow-wrap: anywhere }
h2 { font-size: 1.125rem; line-height: 1.3; margin: 0 0 .75rem }
h3 { font-size: 1rem; margin: 1.5rem 0 .25rem }
p, ul, ol { margin: .5rem 0; overflow-wrap: anywhere }
a { color: var(--accent) }
:focus-visible { border-radius: .25rem; outline: .1875rem solid var(--accent); outline-offset: .125rem }
code, pre { font: .875rem/1.5 ui-monospace, monospace }
code { overflow-wrap: anywhere }
pre { background: var(--well); border-radius: .5rem; margin: .5rem 0; overflow-x: auto; padding: .75rem 1rem }
pre.wrapped { white-space: pre-wrap }
section { background: var(--card); border: 1px solid var(--line); border-radius: .75rem; margin: 1rem 0; min-width: 0; padding: clamp(1rem, 2vw, 1.5rem) }
section > :last-child { margin-bottom: 0 }
.soft { color: var(--soft); font-size: .9rem }
.care { border-left: .25rem solid var(--warn); padding-left: .875rem }
.number { font-variant-numeric: tabular-nums; white-space: nowrap }
.unseen { clip-path: inset(50%); height: 1px; overflow: hidden; position: absolute; white-space: nowrap; width: 1px }
.good { color: var(--good) } .warn { color: var(--warn) } .bad { color: var(--bad) }
.state { font-weight: 600; white-space: nowrap }
@media (prefers-reduced-motion: no-preference) { progress::-webkit-progress-value { transition: inline-size .4s } }
`

const TABLES = `
table { border-collapse: collapse; font-size: .9rem; width: 100% }
caption { font-size: 1.125rem; font-weight: 700; line-height: 1.3; padding: 0 0 .5rem; text-align: left }
th, td { border-bottom: 1px solid var(--line); overflow-wrap: break-word; padding: .5rem 1.25rem .5rem 0; text-align: left; vertical-align: top }
th:last-child, td:last-child { padding-right: 0 }
tbody tr:last-child > * { border-bottom: 0 }
thead th { color: var(--soft); font-size: .8125rem; font-weight: 600; white-space: nowrap }
tbody th { font-weight: 600 }
bdi, .long { overflow-wrap: anywhere }
@media (max-width: 68rem) {
  thead { clip-path: inset(50%); height: 1px; overflow: hidden; position: absolute; width: 1px }
  table, caption, tbody { display: block }
  tbody tr { border-bottom: 1px solid var(--line); display: grid; gap: .375rem .75rem; grid-auto-flow: dense; grid-template-columns: repeat(auto-fill, minmax(5.5rem, 1fr)); padding: .75rem 0 }
  tbody tr:last-child { border-bottom: 0; padding-bottom: 0 }
  tbody th, tbody td { border: 0; display: block; min-width: 0; overflow-wrap: anywhere; padding: 0 }
  tbody th, tbody .long { grid-column: 1 / -1 }
  tbody td:empty { display: none }
  tbody td::before { color: var(--soft); content: attr(data-title); display: block; font-size: .8125rem }
}
`

const STATUS = `
.sections { display: grid; gap: 1rem; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr) }
.sections section { grid-column: 1 / -1; margin: 0 }
.sections .half { grid-column: auto }
@media (max-width: 68rem) { .sections .half { grid-column: 1 / -1 } }
#connection { font-weight: 600 }
.figures { display: grid; gap: .75rem 1.5rem; grid-template-columns: repeat(auto-fit, minmax(8rem, 1fr)); margin: 0 0 .75rem }
.figures + p { margin-bottom: 0 }
.figures dt { color: var(--soft); font-size: .8125rem }
.figures dd { font-size: 1.375rem; font-variant-numeric: tabular-nums; font-weight: 600; line-height: 1.3; margin: 0 }
.overall { font-size: 1.375rem; line-height: 1.3; margin: 0 0 .75rem }
progress { appearance: none; background: var(--track); border: 0; border-radius: .25rem; display: block; height: .5rem; inline-size: 100%; margin: .375rem 0 .25rem; min-width: 8rem; overflow: hidden }
progress::-webkit-progress-bar { background: var(--track) }
progress::-webkit-progress-value { background: var(--accent) }
progress::-moz-progress-bar { background: var(--accent) }
[type=radio] { accent-color: var(--accent); margin: 0 .375rem 0 0 }
label { font-size: .9rem; margin-right: 1.25rem }
.charts { display: none; gap: 1.5rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 17rem), 1fr)); margin-top: 1rem }
#minutes:checked ~ .charts.minutes, #day:checked ~ .charts.day { display: grid }
figure { margin: 0; min-width: 0 }
figcaption { font-weight: 600; margin-bottom: .25rem }
svg { background: var(--well); border-radius: .375rem; display: block; height: 7rem; padding: .5rem 0; width: 100% }
svg path { fill: none; stroke-linecap: round; stroke-linejoin: round; stroke-width: 2; vector-effect: non-scaling-stroke }
svg .grid { stroke: var(--line); stroke-width: 1 }
svg .first { stroke: var(--in) }
svg .second { stroke: var(--out); stroke-dasharray: 5 4 }
.axis { color: var(--soft); display: flex; font-size: .8125rem; justify-content: space-between; margin: .125rem 0 .375rem }
.legend { font-size: .875rem; list-style: none; margin: 0; padding: 0 }
.legend svg { background: none; display: inline-block; height: .5rem; margin-right: .5rem; padding: 0; vertical-align: middle; width: 1.5rem }
`

const TRUST = `
.commands { align-items: flex-start; background: var(--well); border-radius: .5rem; display: flex; flex-flow: row-reverse wrap; margin: .5rem 0 }
.commands pre { flex: 1 1 18rem; margin: 0; min-width: 0 }
.commands button { background: var(--card); border: 1px solid var(--line); border-radius: .375rem; color: var(--accent); cursor: pointer; font: 600 .8125rem/1 system-ui, sans-serif; margin: .5rem .5rem 0 0; min-width: 5rem; padding: .5rem .625rem }
.commands button:hover { background: var(--accent); color: var(--on-accent) }
details { border-top: 1px solid var(--line); padding: .25rem 0 }
summary { cursor: pointer; font-weight: 600; padding: .5rem 0 }
`

export const STYLE = `${COLORS}${TEXT}${TABLES}${STATUS}${TRUST}`
