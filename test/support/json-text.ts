import fc, { type Arbitrary } from 'fast-check';

/** JSON text as strangers print it: white space anywhere, any escape, any member name, any number, members twice. */

/** White space that may stand between two tokens. */
const space = fc.string({ unit: fc.constantFrom(' ', '\t', '\n', '\r'), maxLength: 2 });

const shortEscapes = new Map([...'"\\/\b\f\n\r\t'].map((unit, index) => [unit, `\\${'"\\/bfnrt'[index]}`]));

/** The string as a JSON string in any spelling: each character as it is, as a short escape or as `\u….` */
export function spelled(text: string): Arbitrary<string> {
  const characters = [...text].map((character) => fc.constantFrom(...spellings(character)));
  return fc.tuple(...characters).map((parts) => `"${parts.join('')}"`);
}

const anyString = fc
  .oneof(
    { weight: 4, arbitrary: fc.string({ maxLength: 12 }) },
    { weight: 2, arbitrary: fc.string({ unit: 'binary', maxLength: 6 }) },
    { weight: 2, arbitrary: fc.constantFrom('__proto__', 'constructor', '0', '10', '-1', 'a/b', 'http://a.example/x') },
  )
  .chain(spelled);

const anyNumber = fc.oneof(
  fc.integer().map(String),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
  fc.constantFrom('-0', '0.0', '1E400', '1e-999', '123456789012345678901234567890', '0.1e+2', '-1.5E-3'),
);

const anyScalar = fc.oneof(anyString, anyNumber, fc.constantFrom('true', 'false', 'null'));

/** A list of `separator`-separated parts in brackets, with white space wherever it may stand. */
function listed(open: string, parts: readonly Arbitrary<string>[], close: string): Arbitrary<string> {
  return fc.tuple(space, ...parts.map((part) => spaced(part))).map(([before, ...rest]) => open + before + rest + close);
}

function spaced(part: Arbitrary<string>): Arbitrary<string> {
  return fc.tuple(space, part, space).map((pieces) => pieces.join(''));
}

/** An array of these values. */
export function arrayText(values: readonly Arbitrary<string>[]): Arbitrary<string> {
  return listed('[', values, ']');
}

/** An object of these members in this order; names in any spelling. */
export function objectText(members: readonly (readonly [name: string, value: Arbitrary<string>])[]): Arbitrary<string> {
  const parts = members.map(([name, value]) => {
    return fc.tuple(spelled(name), space, fc.constant(':'), space, value).map((pieces) => pieces.join(''));
  });
  return listed('{', parts, '}');
}

/** Any JSON value as text, a few levels deep. */
export const anyValue: Arbitrary<string> = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    anyScalar,
    fc.array(tie('value'), { maxLength: 4 }).chain((values) => arrayText(values.map((value) => fc.constant(value)))),
    fc
      .array(fc.tuple(fc.string({ maxLength: 4 }), tie('value')), { maxLength: 4 })
      .chain((members) => objectText(members.map(([name, value]) => [name, fc.constant(value)] as const))),
  ),
})).value;

/** A whole JSON document as text. */
export const anyDocument = spaced(anyValue);

/** The plain spelling comes up more often than the others, as it does in life. */
function spellings(character: string): string[] {
  const isPlain = character >= ' ' && character !== '"' && character !== '\\' && character.isWellFormed();
  const plain = isPlain ? [character, character, character] : [];
  const short = shortEscapes.get(character);
  const hex = character.split('').map((unit) => unit.charCodeAt(0).toString(16).padStart(4, '0'));
  const long = hex.map((digits) => `\\u${digits}`).join('');
  return [...plain, ...(short === undefined ? [] : [short]), long, long.toUpperCase().replaceAll('\\U', '\\u')];
}
