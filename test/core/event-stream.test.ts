import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { concat, text, utf8 } from '../../src/core/bytes.ts';
import { MalformedError } from '../../src/core/errors.ts';
import { type FeedEvent, FeedParser, formatFeedEvent, formatFeedPing } from '../../src/core/event-stream.ts';

const line = fc.string({ unit: 'grapheme' }).map((value) => value.replaceAll(/[\r\n]/g, ' '));
const event: fc.Arbitrary<FeedEvent> = fc.record(
  {
    event: fc.constantFrom('hosts', 'checkpoint'),
    id: fc.option(fc.nat().map(String)),
    data: fc.array(line, { minLength: 1 }).map((lines) => lines.join('\n')),
  },
  { noNullPrototype: true },
);

describe('the change feed as bytes', () => {
  it('is written as browsers read it', () => {
    const one = { event: 'checkpoint', id: '12', data: 'a\nb' };
    assert.equal(text(formatFeedEvent(one)), 'event: checkpoint\nid: 12\ndata: a\ndata: b\n\n');
    assert.equal(text(formatFeedPing()), ': ping\n\n');
  });

  it('gives the same events however the bytes are cut', () => {
    fc.assert(
      fc.property(fc.array(event), fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }), (events, sizes) => {
        const bytes = concat(events.flatMap((one) => [formatFeedEvent(one), formatFeedPing()]));
        const parser = new FeedParser();
        const seen: FeedEvent[] = [];
        for (let at = 0, turn = 0; at < bytes.length; turn++) {
          const size = sizes[turn % sizes.length] as number;
          seen.push(...parser.push(bytes.subarray(at, at + size)));
          at += size;
        }
        assert.deepEqual(seen, events);
      }),
    );
  });

  it('passes over comments, unknown fields and events without data, and takes other line ends', () => {
    const parser = new FeedParser();
    assert.deepEqual(parser.push(utf8(':x\n\nretry: 5\n\nevent: a\n\n')), []);
    assert.deepEqual(
      [...parser.push(utf8('data:x\r')), ...parser.push(utf8('\n\r\n'))],
      [{ event: 'message', id: null, data: 'x' }],
    );
  });

  it('bounds one event, and refuses what is no text', () => {
    assert.throws(() => new FeedParser().push(utf8(`data: ${'x'.repeat(20_000)}`)), MalformedError);
    assert.throws(() => new FeedParser().push(Uint8Array.of(0xff, 0xfe)), MalformedError);
  });
});
