/** Style of the home page. Both colour schemes keep a contrast of at least 4.5 to 1 (WCAG 2.2, AA). */
export const HOME_STYLE = `
:root {
  color-scheme: light dark;
  --ground: #fbfaf8; --card: #ffffff; --line: #ddd8cf; --text: #23211d; --soft: #5f5a50; --accent: #a8321f; --well: #1d6b3c;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #171614; --card: #211f1c; --line: #3a3732; --text: #edeae4; --soft: #b0a99d; --accent: #ff9b82; --well: #7fd3a0;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text); font: 1rem/1.6 system-ui, sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: clamp(1.25rem, 5vw, 4rem) clamp(1rem, 4vw, 2rem); }
h1 { font-size: clamp(1.7rem, 4.5vw, 2.6rem); line-height: 1.15; letter-spacing: -0.02em; margin: 0 0 1rem; max-width: 20ch; }
h2 { font-size: 1.3rem; margin: 3rem 0 1rem; }
h3 { font-size: 1rem; margin: 0 0 0.5rem; }
p { max-width: 66ch; }
.lead { font-size: 1.1rem; color: var(--soft); }
.label { display: block; font-size: 0.85rem; color: var(--soft); }
.address code { font-size: 1.25rem; color: var(--accent); background: none; padding: 0; overflow-wrap: anywhere; user-select: all; }
code, pre { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; font-size: 0.88rem; }
p code, td code, dd code { overflow-wrap: anywhere; }
pre { margin: 0; padding: 0.6rem 0.75rem; background: var(--ground); border: 1px solid var(--line); border-radius: 6px; white-space: pre-wrap; overflow-wrap: anywhere; user-select: all; }
.line { display: block; padding-left: 1.5em; text-indent: -1.5em; }
.clients { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 27rem), 1fr)); gap: 1rem; }
article { min-width: 0; background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1rem; }
article p { margin: 0 0 0.5rem; }
summary { margin: 0.6rem 0 0.4rem; color: var(--soft); cursor: pointer; width: fit-content; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: 0.5rem 1rem 0.5rem 0; border-bottom: 1px solid var(--line); }
th { font-size: 0.85rem; font-weight: 600; color: var(--soft); }
.state::before { content: ""; display: inline-block; width: 0.6em; height: 0.6em; border-radius: 50%; margin-right: 0.5em; background: var(--soft); }
.serving::before { background: var(--well); }
.unwell::before { background: var(--accent); }
dl { margin: 1rem 0; }
dl div { display: grid; grid-template-columns: minmax(7rem, auto) 1fr; gap: 0 1rem; padding: 0.4rem 0; border-bottom: 1px solid var(--line); }
dt { font-size: 0.85rem; font-weight: 600; color: var(--soft); line-height: 1.9; }
dd { margin: 0; min-width: 0; }
.alarm { border-left: 4px solid var(--accent); padding: 0.5rem 1rem; background: var(--card); overflow-wrap: anywhere; }
.alarm strong { color: var(--accent); }
footer { margin-top: 4rem; padding-top: 1rem; border-top: 1px solid var(--line); color: var(--soft); font-size: 0.9rem; }
nav { display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; }
a { color: inherit; text-underline-offset: 0.2em; }
a:hover { color: var(--accent); }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 4px; }
`;
