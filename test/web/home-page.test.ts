import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HOME_HEADERS, renderHomePage } from '../../src/web/home-page.ts';
import { escapeHtml, html } from '../../src/web/html.ts';

const facts = {
  registry: 'https://registry.example/',
  redirects: true,
  mirrors: [
    { url: 'https://one.example', state: 'serving' },
    { url: 'https://two.example', state: 'unwell' },
    { url: 'https://three.example', state: 'away' },
    { url: 'https://four.example', state: 'behind' },
  ],
  log: {
    checkpoint: { size: 212_000, root: 'CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=' },
    vkey: 'log.example+00000000+AAAA',
    confirmed: { by: 'cosigned by this server and 2 others', at: Date.UTC(2026, 0, 2, 3, 4, 5) },
    halted: null,
  },
  version: '0.1.0',
} as const;

test('the page names the registry, a line for each client, and each mirror with its state', () => {
  const page = renderHomePage(facts);
  assert.match(page, /^<!doctype html>\n<html lang="en">/);
  for (const line of [
    'npm config set registry https://registry.example/',
    'pnpm config set registry https://registry.example/',
    'yarn config set --home npmRegistryServer https://registry.example/',
    'registry = &#34;https://registry.example/&#34;',
  ]) {
    assert.ok(page.includes(line), line);
  }
  const states = [...page.matchAll(/<tr><td><code>([^<]+)<\/code><\/td><td><span[^>]*>([^<]+)/g)].map(
    ([, url, state]) => [url, state],
  );
  assert.deepEqual(states, [
    ['https://one.example', 'serving'],
    ['https://two.example', 'resting after errors'],
    ['https://three.example', 'away'],
    ['https://four.example', 'catching up with the log'],
  ]);
  for (const path of ['/-/healthz', '/-/metrics', '/-/federation/keys'])
    assert.ok(page.includes(`href="${path}"`), path);
});

test('without mirrors the page says who serves', () => {
  assert.match(renderHomePage({ ...facts, mirrors: [] }), /this server sends everything itself/);
});

test('a server that has nothing to do with mirrors names none', () => {
  const page = renderHomePage({ ...facts, redirects: false, mirrors: null, version: null });
  assert.doesNotMatch(page, /<h2[^>]*>Mirrors/);
  assert.match(page, /tarballs come from this server/);
});

test('the page shows the log: how large, its root, who said so when, and how to check it', () => {
  const page = renderHomePage(facts);
  const shown = [...page.matchAll(/<dt>([^<]+)<\/dt><dd>(.*)<\/dd>/g)].map(([, term, text = '']) => [
    term,
    text.replace(/<[^>]+>/g, ''),
  ]);
  assert.deepEqual(shown, [
    ['Entries', '212,000'],
    ['Root hash', 'CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I='],
    ['Confirmed', '2026-01-02 03:04:05 UTC, cosigned by this server and 2 others'],
    ['Verifier key', 'log.example+00000000+AAAA'],
  ]);
  assert.ok(page.includes('href="/-/federation/checkpoint"'));
  assert.ok(page.includes('open-registry verify https://registry.example/ --key log.example+00000000+AAAA'));
  assert.doesNotMatch(page, /Halted/);
});

test('a log that is halted, and one that nobody knows yet, are told as such', () => {
  const unknown = { checkpoint: null, vkey: null, confirmed: null, halted: 'two <histories>' };
  const page = renderHomePage({ ...facts, log: unknown });
  assert.match(page, /<strong>Halted\.<\/strong>.*: two &#60;histories&#62;/);
  assert.doesNotMatch(page, /<dl>|--key/);
  assert.match(renderHomePage({ ...facts, log: { ...facts.log, confirmed: null } }), /<dd>not yet<\/dd>/);
});

test('whatever stands in a fact is text on the page', () => {
  const evil = '"><script>alert(1)</script>&\'';
  const page = renderHomePage({ ...facts, version: evil, mirrors: [{ url: evil, state: 'serving' }] });
  assert.doesNotMatch(page, /<script/);
  assert.equal(page.split(escapeHtml(evil)).length, 3);
  assert.equal(String(html`<b>${'<'}${html`<i>`}</b>`), '<b>&#60;<i></b>');
});

test('the page loads nothing, and its headers forbid that it ever does', () => {
  const page = renderHomePage(facts);
  assert.doesNotMatch(page, /\b(?:src|@import|url\()/);
  assert.doesNotMatch(page, /<(?:script|link|img|iframe)/);
  assert.match(HOME_HEADERS['content-security-policy'] ?? '', /default-src 'none'/);
});

test('the headings form an outline, and every table head says what it heads', () => {
  const page = renderHomePage(facts);
  const levels = [...page.matchAll(/<h([1-6])/g)].map(([, level]) => Number(level));
  assert.equal(levels[0], 1);
  for (const [at, level] of levels.entries()) assert.ok(at === 0 || level <= (levels[at - 1] ?? 0) + 1);
  assert.equal(page.match(/<th /g)?.length, page.match(/<th scope="col"/g)?.length);
});
