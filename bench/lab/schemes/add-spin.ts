/**
 * (b) `add` in a loop: what most answers, gems and recipes come to (evan/interlock,
 * smira/memcache-lock, Doist/memcached_lock, and memcached's own wiki).
 */
import { withAddLock } from '../../competitors/add-lock.ts';
import { type DirectUpdate, lockOf } from '../scheme.ts';

export const addSpin: DirectUpdate = ({ values, lockSeconds, pause }, work) =>
  withAddLock(values.client, lockOf(work.key), lockSeconds, () => values.update(work), pause);
