/**
 * `npm run release -- --dry-run` rehearses everything but the publishing; `npm run release` publishes, from a CI that npm trusts (provenance
 * needs its identity). Each step says what is missing. Exit code 1 if there is anything.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { PUBLISH, stageForJsr } from './jsr.ts';
import { type Manifest, stage } from './stage.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const FOLDER = join(ROOT, '.toril', 'release');
/** Bytes that users fetch. */
const SIZE_MAX = 1_000_000;

const { values } = parseArgs({
  options: {
    'dry-run': { type: 'boolean', default: false },
    /** As `git+https://github.com/OWNER/toril.git`; default: that of this clone, or of the CI. */
    repository: { type: 'string' },
    /** The name at JSR, `@scope/toril`; without it, only npm is thought of. */
    jsr: { type: 'string' },
    /** `npm run check` has been done. */
    checked: { type: 'boolean', default: false },
  },
});
const isRehearsal = values['dry-run'];
const missing: string[] = [];
const say = (what: string): void => console.log(what);
const miss = (what: string): void => {
  missing.push(what);
  say(`  missing: ${what}`);
};

const repository = values.repository ?? repositoryHere();
const more = {
  ...(repository !== undefined && {
    repository: { type: 'git', url: repository },
    bugs: `${webOf(repository)}/issues`,
    homepage: `${webOf(repository)}#readme`,
  }),
  publishConfig: { access: 'public', provenance: true },
};

say('the tree');
if (run('git', ['status', '--porcelain']).stdout !== '') miss('uncommitted changes: commit them');
if (repository === undefined)
  miss('a repository, which provenance names: add a remote "origin", or --repository URL');
const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Manifest;
const { name, version } = manifest;
const changes = readFileSync(join(ROOT, 'CHANGELOG.md'), 'utf8');
if (!new RegExp(`^## ${version.replaceAll('.', '\\.')}\\b`, 'm').test(changes))
  miss(`a section "## ${version}" in CHANGELOG.md: name the unreleased one so`);
if (run('git', ['tag', '--list', `v${version}`]).stdout !== '')
  miss(`a version: v${version} is a tag already`);
if (run('npm', ['view', `${name}@${version}`, 'version']).stdout !== '')
  miss(`a version: ${name}@${version} is published already`);

if (!values.checked) {
  say('npm run check');
  if (run('npm', ['run', 'check']).status !== 0) miss('a tree that passes npm run check');
}

say(`${name} ${version}, staged in .toril/release`);
await stage(ROOT, FOLDER, more);
const { messages, pkg } = await publint({ pkgDir: FOLDER, strict: true });
for (const message of messages) miss(`publint: ${formatMessage(message, pkg, { color: false })}`);
const packing = run(
  'npm',
  ['pack', '--json', '--ignore-scripts', '--pack-destination', '..'],
  FOLDER,
);
const [packed] = JSON.parse(packing.stdout) as [
  { filename: string; size: number; entryCount: number },
];
const tarball = join(FOLDER, '..', packed.filename);
say(`  ${packed.entryCount} files, ${Math.round(packed.size / 1000)} kB`);
if (packed.size > SIZE_MAX) miss(`a package of at most ${SIZE_MAX} bytes`);
// That a CommonJS file gets a module works from Node 20.19 on (docs/frameworks.md).
const attw = run(join(ROOT, 'node_modules', '.bin', 'attw'), [
  ...[tarball, '--ignore-rules', 'cjs-resolves-to-esm', '--format', 'ascii'],
]);
if (attw.status !== 0) miss(`types for everybody: ${attw.stdout}`);
rmSync(tarball);

if (values.jsr !== undefined) {
  const folder = join(ROOT, '.toril', 'release-jsr');
  stageForJsr(ROOT, folder, values.jsr);
  const rehearsal = isRehearsal || missing.length > 0 ? ['--dry-run'] : [];
  say(`JSR: npx ${[...PUBLISH, ...rehearsal].join(' ')}`);
  const { status, stderr } = run('npx', [...PUBLISH, ...rehearsal], folder);
  if (status !== 0) miss(`what JSR wants: ${stderr.trim().split('\n').slice(-8).join('\n')}`);
}

const publish = [
  'publish',
  '--ignore-scripts',
  ...(isRehearsal ? ['--dry-run', '--provenance=false'] : []),
];
say(`npm ${publish.join(' ')}`);
if (isRehearsal || missing.length === 0) {
  const { status, stderr } = run('npm', publish, FOLDER);
  if (status !== 0) miss(`what npm wants: ${stderr.trim()}`);
  else if (!isRehearsal)
    run('git', ['tag', '--annotate', `v${version}`, '--message', `${name} ${version}`]);
}
say(
  missing.length === 0
    ? isRehearsal
      ? 'ready'
      : 'published'
    : `${missing.length} missing, see above`,
);
if (missing.length > 0) process.exitCode = 1;

function run(
  program: string,
  args: readonly string[],
  cwd = ROOT,
): { status: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(program, args, { cwd, encoding: 'utf8' });
  return { status, stdout: stdout ?? '', stderr: stderr ?? '' };
}

/** As npm wants it. */
function repositoryHere(): string | undefined {
  const { GITHUB_SERVER_URL: server, GITHUB_REPOSITORY: path } = process.env;
  if (server !== undefined && path !== undefined) return `git+${server}/${path}.git`;
  const url = run('git', ['remote', 'get-url', 'origin']).stdout.trim();
  return url === '' ? undefined : `git+${url.replace(/^git@([^:]+):/, 'https://$1/')}`;
}

function webOf(url: string): string {
  return url.replace(/^git\+/, '').replace(/\.git$/, '');
}
