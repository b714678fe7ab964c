import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HOME_HEADERS, renderHomePage } from '../../src/web/home-page.ts';
import { escapeHtml, html } from '../../src/web/html.ts';

const facts = {
  registry: 'https://registry.example/',
  mirrors: [
    { url: 'https://one.example', present: true, healthy: true },
    { url: 'https://two.example', present: true, healthy: false },
    { url: 'https://three.example', present: false, healthy: true },
  ],
  version: '0.1.0',
};

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
  ]);
  for (const path of ['/-/healthz', '/-/metrics', '/-/federation/keys'])
    assert.ok(page.includes(`href="${path}"`), path);
});

test('without mirrors the page says who serves', () => {
  assert.match(renderHomePage({ ...facts, mirrors: [] }), /this server sends everything itself/);
});

test('whatever stands in a fact is text on the page', () => {
  const evil = '"><script>alert(1)</script>&\'';
  const page = renderHomePage({ ...facts, version: evil, mirrors: [{ url: evil, present: true, healthy: true }] });
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
