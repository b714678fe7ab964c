import { DatabaseSync } from 'node:sqlite';

/** SQLITE_BUSY (sqlite.org/rescode.html): someone else holds it. */
const BUSY = 5;

/**
 * Takes an exclusive lock that the operating system drops when the process ends, however it ends, or returns null if
 * someone holds it, be it this same process. Node.js has no call for file locks; SQLite has, so the lock is an empty
 * database that is held in an exclusive transaction.
 *
 * These are POSIX locks (fcntl(2)): they end when the process closes any descriptor of the file, so nothing else may open
 * the lock's file. On a network file system they are as good as that file system's locks.
 */
export function takeLock(path: string): { release(): void } | null {
  const db = new DatabaseSync(path, { timeout: 0 });
  try {
    // Nothing is ever written: no journal, so that a full disk can be locked, too.
    db.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
  } catch (error) {
    db.close();
    if ((error as { errcode?: number }).errcode === BUSY) return null;
    throw error;
  }
  return { release: () => db.close() };
}
