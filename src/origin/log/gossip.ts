/** Gossip at the origin: it looks at the checkpoints that others hold, and tells them its own. */
import { CHECKPOINT_HEADER, formatCheckpointHeader, parseCheckpointHeader } from '../../core/checkpoint-header.ts';
import type { Answer, Incoming } from '../../io/http-server.ts';
import type { Logger } from '../../io/logger.ts';
import type { ForkGuard } from './fork-guard.ts';
import type { Log } from './log.ts';

/** The answer with our checkpoint, if the request carried one; that one is judged meanwhile. */
export type Gossip = (request: Pick<Incoming, 'headers'>, answer: Answer) => Answer;

export function createGossip(deps: {
  readonly log: Pick<Log, 'checkpoint'>;
  readonly guard: Pick<ForkGuard, 'seen'>;
  readonly logger: Logger;
}): Gossip {
  const { log, guard, logger } = deps;
  return ({ headers }, answer) => {
    const theirs = parseCheckpointHeader(headers[CHECKPOINT_HEADER]);
    if (theirs === null) return answer;
    guard.seen(theirs).catch((err) => logger.error({ err }, 'a checkpoint that was shown to us could not be judged'));
    const ours = log.checkpoint();
    if (!ours) return answer;
    return { ...answer, headers: { ...answer.headers, [CHECKPOINT_HEADER]: formatCheckpointHeader(ours.note) } };
  };
}
