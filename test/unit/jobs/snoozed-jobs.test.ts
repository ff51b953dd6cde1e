import { expect, it } from 'vitest';
import { SnoozedJobs } from '../../../src/jobs/bullmq/snoozed-jobs.ts';

it('counts in calls of which none fails unseen when Redis refuses them all', async () => {
  const refusal = new Error('BUSY Redis is busy running a script.');
  const client = { runCommand: () => Promise.reject(refusal) };
  const nobody = { promote: () => Promise.resolve(), remove: () => Promise.resolve(0) };
  const jobs = new SnoozedJobs(() => Promise.resolve(client), 'bull:orders:', nobody);
  // A rejection that nobody awaits would end the process, and fails this file.
  await expect(jobs.counts()).rejects.toBe(refusal);
});
