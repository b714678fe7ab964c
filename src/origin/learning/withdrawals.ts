/**
 * Follows what the upstream withdraws, until too much of it is gone at once. Then it halts: what is known is served on,
 * marked stale, an incident alarms, and an admin decides. The halt is kept over restarts; what was counted is not.
 */
import { UpstreamError } from '../../core/errors.ts';
import { change } from '../../core/tables.ts';
import { type Look, WITHDRAWAL_LIMITS, type WithdrawalLimits, WithdrawalWindow } from '../../core/withdrawals.ts';
import type { MetadataStore } from '../../io/metadata-store.ts';
import type { Incidents } from './incidents.ts';

/** Since when withdrawing has been halted (unix ms), and why. */
export type Halt = { readonly since: number; readonly reason: string };

export type Withdrawals = {
  /**
   * Counts a look at a known package.
   * @throws UpstreamError if something is gone of it that must not be withdrawn, because withdrawing is halted
   */
  admit(name: string, look: Look): Promise<void>;
  halted(): Halt | null;
  /** Goes on withdrawing; for the length of one window nothing is too much. Answers whether there was a halt. */
  resume(): Promise<boolean>;
};

const SETTING = 'withdrawals-halted';
/** What the incident is about; there is one upstream. */
const SUBJECT = 'upstream';

export async function openWithdrawals(deps: {
  metadata: MetadataStore;
  incidents: Incidents;
  now: () => number;
  limits?: WithdrawalLimits;
}): Promise<Withdrawals> {
  const { metadata, incidents, now, limits = WITHDRAWAL_LIMITS } = deps;
  let halt = await storedHalt(metadata);
  let window = new WithdrawalWindow(limits);
  let trustedUntil = 0;

  /** Persisted before anything is refused, so that a restart knows of every refusal. */
  async function stop(reason: string): Promise<void> {
    halt = { since: now(), reason };
    await metadata.write([change('setting', SETTING, { value: JSON.stringify(halt) })]);
    const detail = `${reason}: nothing more is withdrawn, and what is known is served on, until an admin decides`;
    await incidents.report([{ kind: 'mass-disappearance', subject: SUBJECT, detail }]);
  }

  return {
    halted: () => halt,

    async admit(name, look) {
      if (!halt && now() >= trustedUntil) {
        const tooMuch = window.look(look, now());
        if (tooMuch !== null) await stop(tooMuch);
      }
      if (!halt || look.gone === 0) return;
      const reason =
        'the upstream no longer shows all of it, and withdrawing is halted because too much is gone at once';
      throw new UpstreamError({ what: name, reason });
    },

    async resume() {
      if (!halt) return false;
      await metadata.write([change('setting', SETTING, null)]);
      halt = null;
      window = new WithdrawalWindow(limits);
      trustedUntil = now() + limits.windowMs;
      await incidents.settle('mass-disappearance', SUBJECT);
      return true;
    },
  };
}

async function storedHalt(metadata: MetadataStore): Promise<Halt | null> {
  const row = await metadata.get('setting', SETTING);
  return row ? (JSON.parse(row.value) as Halt) : null;
}
