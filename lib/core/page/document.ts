import { type Html, html } from './html.ts';
import { style } from './style.ts';

/** A page for people: one file, no scripts, nothing fetched, whoever opens it and wherever. */
export interface Page {
  readonly title: string;
  readonly state: 'good' | 'warn' | 'bad';
  readonly subtitle: string | Html;
  readonly body: Html;
  readonly footer: Html;
}

const signs = { good: '✓', warn: '!', bad: '✗' } as const;
const classes = { good: '', warn: ' warn', bad: ' bad' } as const;

export const page = ({ title, state, subtitle, body, footer }: Page): string =>
  html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${title}</title>
<style>${{ html: style }}</style>
</head>
<body><main>
<header class="verdict${classes[state]}">
  <h1>${signs[state]} ${title}</h1>
  <p>${subtitle}</p>
</header>
${body}
<footer>${footer}</footer>
</main></body>
</html>
`.html;
