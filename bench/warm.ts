// Makes servers hold every tarball, from where they are reached: `node warm.ts origin|mirror <door>`.
import { warmMirror, warmRegistry } from './installs.ts';

const [what, door = ''] = process.argv.slice(2);
await (what === 'mirror' ? warmMirror(door) : warmRegistry(door));
