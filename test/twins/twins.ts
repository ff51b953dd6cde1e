/** All broken twins. */
import { ADDING_TWINS } from './adding-twins.ts';
import { BULLMQ_TWINS } from './bullmq-twins.ts';
import { CALL_TWINS } from './call-twins.ts';
import { COMMIT_TWINS } from './commit-twins.ts';
import { FAST_PATH_TWINS } from './fast-path-twins.ts';
import { HISTORY_TWINS } from './history-twins.ts';
import { JOB_TWINS } from './job-twins.ts';
import { JOINT_TWINS } from './joint-twins.ts';
import { LEASE_TWINS } from './lease-twins.ts';
import { LOCK_FORM_TWINS } from './lock-form-twins.ts';
import { MASKING_TWINS } from './masking-twins.ts';
import { MEMCACHED_TWINS } from './memcached-twins.ts';
import { REDIS_TWINS } from './redis-twins.ts';
import type { Twin } from './twin.ts';

export const TWINS: readonly Twin[] = [
  ...COMMIT_TWINS,
  ...LEASE_TWINS,
  ...LOCK_FORM_TWINS,
  ...MEMCACHED_TWINS,
  ...JOB_TWINS,
  ...JOINT_TWINS,
  ...HISTORY_TWINS,
  ...MASKING_TWINS,
  ...ADDING_TWINS,
  ...BULLMQ_TWINS,
  ...REDIS_TWINS,
  ...FAST_PATH_TWINS,
  ...CALL_TWINS,
];
