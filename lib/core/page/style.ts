/** The look of every page: one column, readable on a phone and in print, light or dark as the reader's system is. */
export const style = `
:root { color-scheme: light dark;
  --ink: #16202c; --dim: #5c6b7a; --paper: #f6f7f9; --card: #fff; --line: #dfe4ea;
  --good: #12805c; --good-soft: #def3ea; --bad: #b3261e; --bad-soft: #fbe4e2; --warn: #8a5300; --warn-soft: #fdf0d9;
  --prepare: #8b98a8; --backup: #2f6fde; --restore: #7a4fd0; }
@media (prefers-color-scheme: dark) { :root {
  --ink: #e8edf3; --dim: #9aa8b8; --paper: #10161d; --card: #18202a; --line: #2b3643;
  --good: #4cc596; --good-soft: #143529; --bad: #ff8a80; --bad-soft: #43201e; --warn: #f0b457; --warn-soft: #3d2c10;
  --prepare: #6d7b8c; --backup: #5b94f5; --restore: #a480ee; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .25rem; }
h2 { font-size: 1.1rem; margin: 2.25rem 0 .6rem; }
.verdict { border-left: .4rem solid var(--good); background: var(--good-soft); padding: 1.1rem 1.2rem; border-radius: .5rem; }
.verdict.bad { border-color: var(--bad); background: var(--bad-soft); }
.verdict p { margin: 0; color: var(--dim); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(10.5rem, 1fr)); gap: .75rem; margin-top: 1rem; }
.tile, .card { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .8rem 1rem; }
.tile b { display: block; font-size: 1.35rem; font-variant-numeric: tabular-nums; }
.tile span, .dim { color: var(--dim); font-size: .9rem; }
.timeline { display: grid; gap: .3rem; }
.step { display: grid; grid-template-columns: minmax(9rem, 15rem) 1fr 5.5rem; gap: .75rem; align-items: center; font-size: .9rem; }
.step.inner { opacity: .75; } .step.inner .name { padding-left: 1rem; }
.step .time { text-align: right; font-variant-numeric: tabular-nums; }
.track { position: relative; height: .95rem; background: var(--line); border-radius: .25rem; overflow: hidden; }
.bar { position: absolute; top: 0; bottom: 0; min-width: 2px; border-radius: .25rem; background: var(--prepare); }
.bar.backup-logical { background: var(--backup); } .bar.restore-test { background: var(--restore); }
.bar.failover, .bar.failback { background: var(--warn); } .bar.bad { background: var(--bad); }
.legend { display: flex; flex-wrap: wrap; gap: 1rem; margin-top: .6rem; font-size: .85rem; color: var(--dim); }
.legend i { display: inline-block; width: .8rem; height: .8rem; border-radius: .2rem; margin-right: .35rem; vertical-align: -.08rem; }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: .5rem; background: var(--card); }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; padding: .45rem .8rem; border-bottom: 1px solid var(--line); vertical-align: top; }
tr:last-child td { border-bottom: 0; } th { color: var(--dim); font-weight: 600; white-space: nowrap; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.ok { color: var(--good); font-weight: 600; } .no { color: var(--bad); font-weight: 600; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1.25rem; margin: 0; } dt { color: var(--dim); } dd { margin: 0; overflow-wrap: anywhere; }
code, pre { font: .88em/1.45 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere; white-space: pre-wrap; }
.slack { border-left: .25rem solid var(--line); margin: .6rem 0; } .slack b { display: block; }
footer { margin-top: 3rem; color: var(--dim); font-size: .85rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 .4rem; }
.verdict.warn { border-color: var(--warn); background: var(--warn-soft); }
.warn-text { color: var(--warn); font-weight: 600; }
.scroll code { white-space: nowrap; overflow-wrap: normal; }
.charts { margin-bottom: .75rem; display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); gap: .75rem; }
figure { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .8rem 1rem; break-inside: avoid; }
figcaption { font-size: .9rem; color: var(--dim); margin-bottom: .4rem; } figcaption b { color: var(--ink); }
svg { display: block; width: 100%; height: auto; overflow: visible; }
svg text { fill: var(--dim); font: 15px system-ui, sans-serif; } svg.wide text { font-size: 11px; } time { white-space: nowrap; }
svg .line { fill: none; stroke: var(--backup); stroke-width: 2; } svg .area { fill: var(--backup); opacity: .12; }
svg .dot { fill: var(--backup); } svg .dot.bad { fill: var(--bad); } svg .grid { stroke: var(--line); }
svg .limit { stroke: var(--bad); stroke-dasharray: 4 4; } svg .covered { fill: var(--good); } svg .gap { fill: var(--bad); }
svg .phase0 { fill: var(--backup); } svg .phase1 { fill: var(--restore); } svg .phase2 { fill: var(--prepare); } svg .phase3 { fill: var(--good); } svg .phase4 { fill: var(--warn); }
@media print { :root { color-scheme: light; } body { background: #fff; font-size: 11pt; } main { max-width: none; padding: 0; }
  h2, h3 { break-after: avoid; } tr, .tile, .card { break-inside: avoid; } .scroll { overflow: visible; } }
@media (max-width: 36rem) { .step { grid-template-columns: 1fr 5rem; } .step .track { grid-column: 1 / -1; grid-row: 2; } svg text, svg.wide text { font-size: 18px; } dl { grid-template-columns: 1fr; } dt { margin-top: .4rem; } }
`;
