/** Colours are chosen for a contrast of at least 4.5 : 1 in both schemes (WCAG 2.2, level AA). */
export const STYLE = `
:root {
  color-scheme: light dark;
  --page: #fbfbfa; --raised: #fff; --ink: #1c1d1f; --soft: #5b5f66; --line: #d9dbde;
  --link: #0b57b7; --good: #14683a; --warn: #8a5200; --bad: #b3161b;
  --good-page: #e4f4ea; --warn-page: #fdf0d9; --bad-page: #fde6e6; --added: #d9f2e1; --removed: #fbdcdc;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #16181b; --raised: #1e2125; --ink: #e7e9ec; --soft: #a3a9b2; --line: #363b42;
    --link: #86b7ff; --good: #7bd69f; --warn: #f0b95c; --bad: #ff9a96;
    --good-page: #16321f; --warn-page: #3a2b10; --bad-page: #431d1e; --added: #17401f; --removed: #4c1f20;
  }
}
* { box-sizing: border-box; }
[hidden] { display: none !important; }
body { margin: 0; background: var(--page); color: var(--ink); }
a { color: var(--link); text-underline-offset: .15em; }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; border-radius: 3px; }
main:focus-visible { outline: none; }
.skip { position: absolute; left: -999px; padding: .5rem 1rem; background: var(--raised); }
.skip:focus { left: .5rem; top: .5rem; z-index: 2; }
header { display: flex; flex-wrap: wrap; align-items: center; gap: .25rem 1.5rem; padding: .6rem 1.25rem; background: var(--raised); border-bottom: 1px solid var(--line); }
.brand { margin: 0; font-weight: 700; font-size: 1.1rem; }
.brand a { color: inherit; text-decoration: none; }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1rem; margin: 0; padding: 0; list-style: none; }
nav a { text-decoration: none; padding: .2rem 0; }
nav a[aria-current] { color: var(--ink); font-weight: 600; border-bottom: 2px solid var(--link); }
.visitor { margin-left: auto; display: flex; align-items: center; gap: .75rem; color: var(--soft); }
.visitor form { margin: 0; }
main { max-width: 78rem; margin: 0 auto; padding: 1.25rem; }
h1 { font-size: 1.4rem; line-height: 1.3; margin: 0 0 1rem; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 1.75rem 0 .5rem; }
.top { display: flex; flex-wrap: wrap; align-items: baseline; gap: .5rem 1rem; justify-content: space-between; }
.live { display: flex; align-items: baseline; gap: .6rem; color: var(--soft); font-size: .9rem; }
.counts { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: .6rem; margin: 0 0 1rem; }
.counts div { background: var(--raised); border: 1px solid var(--line); border-radius: 6px; padding: .5rem .75rem; }
.counts dt { color: var(--soft); font-size: .85rem; }
.counts dd { margin: 0; font-size: 1.25rem; font-variant-numeric: tabular-nums; }
.counts .bad dd { color: var(--bad); font-weight: 600; }
form.filter { display: flex; flex-wrap: wrap; gap: .6rem 1rem; align-items: end; margin: 0 0 1rem; }
label { display: grid; gap: .15rem; font-size: .85rem; color: var(--soft); }
input, select, button, .button { font: inherit; color: var(--ink); background: var(--raised); border: 1px solid #7d838c; border-radius: 5px; padding: .35rem .6rem; min-height: 2.1rem; }
input[type=search] { min-width: 16rem; }
button, .button { cursor: pointer; text-decoration: none; display: inline-block; }
button:hover, .button:hover { border-color: var(--link); }
.quiet { border: none; background: none; color: var(--link); padding: 0; min-height: 1.5rem; text-decoration: underline; }
.main-button { background: var(--link); color: var(--page); border-color: var(--link); font-weight: 600; }
.danger { background: var(--bad); color: var(--page); border-color: var(--bad); font-weight: 600; }
.table { overflow-x: auto; background: var(--raised); border: 1px solid var(--line); border-radius: 6px; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .45rem .75rem; border-bottom: 1px solid var(--line); vertical-align: top; overflow-wrap: anywhere; }
thead th { font-size: .85rem; color: var(--soft); font-weight: 600; white-space: nowrap; }
tbody tr:last-child > * { border-bottom: none; }
tbody th { font-weight: 500; min-width: 10rem; max-width: 26rem; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.soft, .empty { color: var(--soft); }
.empty { padding: 1.5rem; text-align: center; }
.state { display: inline-block; border-radius: 4px; padding: 0 .4rem; font-size: .85rem; font-weight: 600; white-space: nowrap; }
.good { color: var(--good); background: var(--good-page); }
.warn { color: var(--warn); background: var(--warn-page); }
.bad { color: var(--bad); background: var(--bad-page); }
.counts .bad { background: var(--bad-page); border-color: var(--bad); }
.why { border: 1px solid var(--line); border-left: 5px solid var(--soft); border-radius: 6px; background: var(--raised); padding: .75rem 1rem; overflow-wrap: anywhere; }
.why.tone-bad { border-left-color: var(--bad); } .why.tone-warn { border-left-color: var(--warn); } .why.tone-good { border-left-color: var(--good); }
.why p { margin: .15rem 0; }
.why .sentence { font-size: 1.05rem; }
.actions { display: flex; flex-wrap: wrap; gap: .6rem; margin: .75rem 0 0; padding: 0; list-style: none; }
.facts { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.25rem; margin: 1rem 0 0; }
.facts dt { color: var(--soft); } .facts dd { margin: 0; overflow-wrap: anywhere; }
pre { font: 13px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; margin: 0; padding: .75rem 1rem; overflow: auto; max-height: 32rem; background: var(--raised); border: 1px solid var(--line); border-radius: 6px; white-space: pre-wrap; overflow-wrap: anywhere; }
.code-point { font: .8em ui-monospace, monospace; color: var(--bad); border: 1px dotted var(--bad); border-radius: 3px; padding: 0 .15em; margin: 0 .1em; }
ins, del { text-decoration: none; display: block; }
ins { background: var(--added); } del { background: var(--removed); }
.timeline { width: 100%; height: 3.2rem; display: block; }
.timeline line { stroke: var(--line); stroke-width: 2; }
.timeline circle { fill: var(--link); } .timeline .failed { fill: var(--bad); }
.timeline text { fill: var(--soft); font-size: 12px; }
ol.commits { list-style: none; margin: 0; padding: 0; }
ol.commits > li { border-left: 2px solid var(--line); padding: 0 0 .9rem 1rem; }
ol.commits > li:target { border-left-color: var(--link); }
.notice { border-radius: 6px; padding: .6rem 1rem; margin: 0 0 1rem; overflow-wrap: anywhere; }
.card { max-width: 34rem; background: var(--raised); border: 1px solid var(--line); border-radius: 8px; padding: 1.25rem 1.5rem; margin: 2rem auto; overflow-wrap: anywhere; }
.card form { display: grid; gap: .9rem; }
.card .row { display: flex; gap: .75rem; align-items: center; }
.more { margin: 1rem 0; }
@media (prefers-reduced-motion: no-preference) { a, button { transition: border-color .1s; } }
@media (forced-colors: active) { .state, .why, .notice { border: 1px solid; } }
`;
