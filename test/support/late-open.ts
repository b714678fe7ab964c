// Loaded into npm (`--import`), on whose disk the first opening of one file for writing takes long: until npm has unpacked the
// same file once more, and closed it. `LATE_FILE` is how the file's path ends.
import fs from 'node:fs';

type Callback = (error: Error | null, fd?: number) => void;

const end = process.env.LATE_FILE ?? '';
const { open, close } = fs;
let openings = 0;
let again: number | undefined;
let atLast: () => void = () => undefined;

function lateOpen(...args: unknown[]): void {
  const [path, flags] = args.map(String);
  const goOn = (): void => Reflect.apply(open, fs, args);
  const isIt = path?.endsWith(end) && flags !== 'r';
  if (isIt) openings += 1;
  if (isIt && openings === 1) atLast = goOn;
  else {
    if (isIt) noteDescriptor(args);
    goOn();
  }
}

function noteDescriptor(args: unknown[]): void {
  const callback = args.pop() as Callback;
  args.push((error: Error | null, fd?: number) => {
    again = fd;
    callback(error, fd);
  });
}

function closeAndRelease(fd: number, callback: Callback): void {
  close(fd, (error) => {
    if (fd === again) {
      again = undefined;
      atLast();
    }
    callback(error);
  });
}

Object.assign(fs, { open: lateOpen, close: closeAndRelease });
