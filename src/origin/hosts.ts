/**
 * The hosts of this origin: who applied, who is admitted, who is there and well. The procedures that change it run one
 * after the other; each names its commit point.
 */
import { randomBytes } from 'node:crypto';
import type { HostView } from '../core/selection.ts';
import { fromBase64 } from '../core/bytes.ts';
import type { Door } from '../core/door.ts';
import { ConflictError, ForbiddenError, NotFoundError, TooManyRequestsError } from '../core/errors.ts';
import { asReason } from '../core/fields.ts';
import { APPLICATION_AGE_MS_MAX, APPLICATIONS_MAX, APPLICATIONS_PER_NETWORK_MAX } from '../core/limits.ts';
import { markKey } from '../core/mark.ts';
import {
  type Application,
  type ApplyAnswer,
  checkHostUrl,
  checkIdentity,
  type Heartbeat,
  parseHostKey,
} from '../core/membership.ts';
import { evictionOf, type HostRows, isInLog, type Standing, standingOf } from '../core/standing.ts';
import { type ApplicationRow, type Change, change, type SuspensionRow } from '../core/tables.ts';
import type { OriginKeys } from '../io/key-file.ts';
import type { Logger } from '../io/logger.ts';
import type { MetadataStore } from '../io/metadata-store.ts';
import { Serial } from '../io/serial.ts';
import { type HealthRecord, createHealthRecord } from './host-health.ts';
import { createHostListPublisher, type PublishedList } from './host-list-publisher.ts';
import type { Journal } from './journal.ts';
import { createPresence, type Presence } from './presence.ts';
