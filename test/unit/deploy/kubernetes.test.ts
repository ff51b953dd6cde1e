/** The Kubernetes manifests: by the published schemas, without a field that these do not know, and true to the worker's options. */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ScaledObject } from '@kubernetes-models/keda/keda.sh/v1alpha1/ScaledObject';
import { Deployment } from 'kubernetes-models/apps/v1/Deployment';
import { NetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1/NetworkPolicy';
import { PodDisruptionBudget } from 'kubernetes-models/policy/v1/PodDisruptionBudget';
import { ConfigMap } from 'kubernetes-models/v1/ConfigMap';
import { Secret } from 'kubernetes-models/v1/Secret';
import { describe, expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { WORKER_DEFAULTS } from '../../../src/options.ts';

const FOLDER = new URL('../../../deploy/kubernetes/', import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, FOLDER), 'utf8');

interface Model {
  validate(): void;
}
type ModelOf = new (data: never) => Model;

const MODELS: Readonly<Record<string, ModelOf>> = {
  'apps/v1 Deployment': Deployment,
  'keda.sh/v1alpha1 ScaledObject': ScaledObject,
  'networking.k8s.io/v1 NetworkPolicy': NetworkPolicy,
  'policy/v1 PodDisruptionBudget': PodDisruptionBudget,
  'v1 ConfigMap': ConfigMap,
  'v1 Secret': Secret,
};

interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
}

/** The schemas let unknown fields pass, and a misspelt one would be silently ignored: nobody ever asks for it. */
function asked<T extends object>(value: T, path: string, paths: Set<string>): T {
  return new Proxy(value, {
    get(target, name, receiver) {
      const found: unknown = Reflect.get(target, name, receiver);
      if (typeof name === 'symbol' || !Object.hasOwn(target, name)) return found;
      const below = `${path}/${name}`;
      paths.add(below);
      return typeof found === 'object' && found !== null ? asked(found, below, paths) : found;
    },
  });
}

function pathsIn(value: unknown, path = ''): string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, below]) => [
    `${path}/${name}`,
    ...pathsIn(below, `${path}/${name}`),
  ]);
}

/** What is wrong with a manifest. */
function problemsOf(manifest: Manifest): string[] {
  const { apiVersion, kind } = manifest;
  const Model = MODELS[`${apiVersion} ${kind}`];
  if (Model === undefined) return [`no schema for ${apiVersion} ${kind}`];
  const paths = new Set<string>();
  const model = new Model(asked(manifest, '', paths) as never);
  paths.clear(); // of what the constructor read
  for (const [name, value] of Object.entries(manifest))
    (model as unknown as Record<string, unknown>)[name] =
      typeof value === 'object' ? asked(value as object, `/${name}`, paths) : value;
  try {
    model.validate();
  } catch (thrown) {
    return [(thrown as Error).message];
  }
  return pathsIn(manifest).filter(
    (path) => !paths.has(path) && path.lastIndexOf('/') > 0 && !FREE.test(path),
  );
}

/** Names of the user's own; `\d`: an element that is no object. */
const FREE = /\/(labels|annotations|matchLabels|data|metadata)\/[^/]+$/;

const resources = (folder: string): Manifest[] =>
  readdirSync(new URL(folder, FOLDER))
    .filter((name) => name.endsWith('.yaml') && name !== 'kustomization.yaml')
    .map((name) => parse(read(`${folder}/${name}`)) as Manifest);

interface DeploymentManifest {
  readonly spec: {
    readonly template: {
      readonly metadata: { readonly annotations: Readonly<Record<string, string>> };
      readonly spec: {
        readonly terminationGracePeriodSeconds: number;
        readonly containers: readonly {
          readonly args: readonly string[];
          readonly ports: readonly { readonly containerPort: number }[];
          readonly livenessProbe: Probe;
          readonly readinessProbe: Probe;
        }[];
      };
    };
  };
}

interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string };
  readonly timeoutSeconds: number;
}

describe('the manifests', () => {
  it.each([...resources('base'), ...resources('keda')].map((one) => [one.kind, one] as const))(
    'are what their schema wants: %s',
    (_, manifest) => {
      expect(problemsOf(manifest)).toEqual([]);
    },
  );

  const { spec } = (parse(read('base/deployment.yaml')) as DeploymentManifest).spec.template;
  const { annotations } = (parse(read('base/deployment.yaml')) as DeploymentManifest).spec.template
    .metadata;
  const [container] = spec.containers;
  const flag = (name: string): string => {
    const { args = [] } = container ?? {};
    return args[args.indexOf(name) + 1] ?? '';
  };

  it('give a worker the time that closing takes', () => {
    const closeMs = Number(flag('--close-ms'));
    expect(closeMs).toBe(WORKER_DEFAULTS.closeMs);
    // As src/cli/commands/worker-command.ts: then the process ends by itself, at the latest.
    const graceMs = 5_000;
    expect(spec.terminationGracePeriodSeconds).toBe((closeMs + graceMs) / 1_000 + 5);
  });

  it('ask the port that the worker answers on, for longer than an answer takes', () => {
    const [, port] = flag('--http').split(':');
    expect(container?.ports[0]?.containerPort).toBe(Number(port));
    expect(annotations['prometheus.io/port']).toBe(port);
    const { livenessProbe, readinessProbe } = container ?? {};
    expect(livenessProbe?.httpGet).toEqual({ path: '/livez', port: 'http' });
    expect(readinessProbe?.httpGet).toEqual({ path: '/readyz', port: 'http' });
    for (const probe of [livenessProbe, readinessProbe])
      expect(probe?.timeoutSeconds).toBeGreaterThanOrEqual(2);
  });

  it('scale to one worker for one hot key, however long its jobs have waited', () => {
    const [trigger] = (
      parse(read('keda/scaled-object.yaml')) as {
        spec: { triggers: { metadata: { query: string } }[] };
      }
    ).spec.triggers;
    const formula = (trigger?.metadata.query ?? '')
      .replace(/max\(toril_queue_keys_runnable\{.*?\}\)/, 'keys')
      .replace(/max\(toril_queue_oldest_runnable_head_age_seconds\{.*?\}\)/, 'age')
      .replace('> bool', '>');
    expect(formula).toMatch(/^[a-z\d\s.*+()>]+$/);
    // What is left reads the same in JavaScript.
    const workers = (keys: number, age: number): number =>
      Math.ceil(
        // oxlint-disable-next-line typescript/no-implied-eval, typescript/no-unsafe-call
        Number(new Function('keys', 'age', `return ${formula}`)(keys, age)),
      );
    expect([workers(0, 0), workers(1, 5), workers(1, 3_600)]).toEqual([0, 1, 1]);
    expect([workers(500, 1), workers(500, 60)]).toEqual([10, 100]);
    expect(workers(3, 60)).toBeLessThanOrEqual(3);
  });

  const hasKubectl = spawnSync('kubectl', ['version', '--client']).status === 0;
  it.skipIf(!hasKubectl)('are built by Kustomize (skipped where kubectl is missing)', () => {
    const folder = fileURLToPath(new URL('example', FOLDER));
    const { stdout, stderr } = spawnSync('kubectl', ['kustomize', folder], { encoding: 'utf8' });
    expect(stderr).toBe('');
    const built = parseAllDocuments(stdout).map((document) => document.toJS() as Manifest);
    expect(built.map(({ kind }) => kind).toSorted()).toEqual(
      [
        ...['ConfigMap', 'Deployment', 'NetworkPolicy'],
        ...['PodDisruptionBudget', 'ScaledObject', 'Secret'],
      ].toSorted(),
    );
    expect(built.flatMap(problemsOf)).toEqual([]);
    const deployment = built.find(({ kind }) => kind === 'Deployment');
    expect(JSON.stringify(deployment)).toContain('registry.example.com/accounts/toril-worker:1');
    expect(deployment).not.toHaveProperty('spec.replicas');
  });
});

describe('the checker', () => {
  const base = (): Record<string, never> =>
    structuredClone(parse(read('base/deployment.yaml'))) as Record<string, never>;

  it('finds a field that does not exist, and one that is missing', () => {
    const misspelt = base() as unknown as { spec: { template: { spec: Record<string, unknown> } } };
    misspelt.spec.template.spec['terminationGraceSeconds'] = 3;
    expect(problemsOf(misspelt as never)).toEqual(['/spec/template/spec/terminationGraceSeconds']);
    const incomplete = base() as unknown as { spec: { selector?: unknown } };
    delete incomplete.spec.selector;
    expect(problemsOf(incomplete as never)).toEqual([expect.stringContaining('selector')]);
  });
});
