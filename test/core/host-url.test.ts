import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { BadRequestError, FederationError } from '../../src/core/errors.ts';
import { checkHostUrl } from '../../src/core/host-url.ts';

describe('checkHostUrl', () => {
  const rules = { doorHostnames: ['registry.example', '[2001:db8::1]'], allowPrivate: false };

  it('takes scheme, host name and port of a public place', () => {
    for (const url of [
      'https://mirror.example',
      'http://mirror.example:8080',
      'https://8.8.8.8',
      'https://[2600::1]:1',
    ]) {
      checkHostUrl(url, rules);
    }
  });

  it('takes private places only where they are allowed', () => {
    const places = [
      'http://127.0.0.1:1',
      'http://10.1.2.3',
      'http://[fd00::1]',
      'http://169.254.1.1',
      'http://a.localhost',
    ];
    for (const url of places) {
      assert.throws(() => checkHostUrl(url, rules), /--allow-private/, url);
      checkHostUrl(url, { ...rules, allowPrivate: true });
    }
  });

  it('keeps the host names of doors for doors', () => {
    for (const url of ['https://registry.example', 'http://registry.example:81', 'https://[2001:db8::1]:8443']) {
      assert.throws(() => checkHostUrl(url, { ...rules, allowPrivate: true }), /host name of a door/, url);
    }
    checkHostUrl('https://mirror.registry.example', rules);
  });

  it('refuses what only URL.canParse takes for a URL', () => {
    assert.throws(() => checkHostUrl(`https://${'A'.repeat(40_000)}`, rules), BadRequestError);
  });

  it('throws nothing but named errors for any text', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.webUrl()), (url) => {
        try {
          checkHostUrl(url, rules);
          assert.equal(new URL(url).origin, url);
        } catch (error) {
          assert.ok(error instanceof FederationError, String(error));
        }
      }),
    );
  });
});
