/** Flows whose jobs are updates: what BullMQ says of parents and children holds, whatever becomes of the updates. */
import { FlowProducer, type Job, type JobNode, type JobsOptions } from 'bullmq';
import { describe, expect, it, onTestFinished } from 'vitest';
import { eventually } from '../support/memcached.ts';
import { stage, type Stage } from '../support/workers.ts';

interface Flow {
  readonly here: Stage;
  readonly parent: Job;
  readonly children: readonly Job[];
}

/** A parent with two children, each on a key of its own. */
async function flow(child: JobsOptions, failures = 0): Promise<Flow> {
  const here = stage();
  const producer = new FlowProducer({ connection: { url: here.redisUrl } });
  onTestFinished(() => producer.close());
  const of = (n: number, opts: JobsOptions, more: object) => {
    const data = { key: here.key(n), n, ...more };
    return { name: 'log', queueName: here.name, data, opts };
  };
  const added: JobNode = await producer.add({
    ...of(0, {}, {}),
    children: [of(1, child, { failures }), of(2, {}, {})],
  });
  const children = (added.children ?? []).map(({ job }) => job);
  const known = async ({ id }: Job): Promise<Job> => (await here.queue.getJob(id as string)) as Job;
  return {
    here,
    parent: await known(added.job),
    children: await Promise.all(children.map(known)),
  };
}

const valueOf = ({ here }: Flow, n: number): Promise<unknown> => here.cells.get(here.key(n));

describe('a parent', () => {
  it('is applied after its children, and sees their results', async () => {
    const made = await flow({});
    expect(await made.parent.getState()).toBe('waiting-children');
    expect((await made.parent.getDependencies()).unprocessed).toHaveLength(2);
    await made.here.worker();
    await made.here.finished([made.parent, ...made.children]);
    expect(Object.values(await made.parent.getChildrenValues())).toEqual([0, 0]);
    expect(await valueOf(made, 0)).toHaveLength(1);
    expect((await made.parent.getDependencies()).processed).toBeDefined();
  });

  it('fails with its child, if the child says so, and is not applied', async () => {
    const made = await flow({ failParentOnFailure: true }, 9);
    await made.here.worker();
    await made.here.finished([made.parent]);
    expect(await made.parent.getState()).toBe('failed');
    expect(await valueOf(made, 0)).toBeUndefined();
    await eventually('nothing of it is in a lane', async () => {
      return (await made.here.queue.lane(made.here.key(0)).report()).length === 0;
    });
  });

  it.each<[string, JobsOptions]>([
    ['ignores', { ignoreDependencyOnFailure: true }],
    ['forgets', { removeDependencyOnFailure: true }],
    ['goes on without', { continueParentOnFailure: true }],
  ])('%s a child that failed, if the child says so, and is applied', async (_, child) => {
    const made = await flow(child, 9);
    await made.here.worker();
    await made.here.finished([made.parent]);
    expect(await made.parent.getState()).toBe('completed');
    expect(await valueOf(made, 0)).toHaveLength(1);
    expect(await valueOf(made, 1)).toBeUndefined();
  });

  it('waits while a child that failed may be retried, and is applied then', async () => {
    const made = await flow({}, 1);
    const [child] = made.children as [Job];
    await made.here.worker();
    await eventually('the child has failed', async () => (await child.getState()) === 'failed');
    expect(await made.parent.getState()).toBe('waiting-children');
    await child.retry('failed');
    await made.here.finished([made.parent]);
    expect(await valueOf(made, 0)).toHaveLength(1);
    expect(await valueOf(made, 1)).toHaveLength(1);
  });

  it('goes with its children when it is removed', async () => {
    const made = await flow({});
    await made.parent.remove();
    await made.here.worker();
    expect(await made.here.queue.count()).toBe(0);
    expect(await valueOf(made, 1)).toBeUndefined();
  });
});
