// Runs client_test.mjs against the fixture:  node run.mjs FIXTURE_BINARY
// Installs the client with `npm ci` when it is not there yet. Exit status: the test's; 2 for a broken set-up.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const [fixture] = process.argv.slice(2);
if (!fixture) {
    console.error('usage: node run.mjs FIXTURE_BINARY');
    process.exit(2);
}
if (!existsSync(join(here, 'node_modules', 'openai'))) {
    const installed = spawnSync('npm', ['ci', '--no-audit', '--no-fund'], { cwd: here, stdio: 'inherit' });
    if (installed.status !== 0) process.exit(2);
}

// The fixture ends when its standard input does, so also when this process dies.
const server = spawn(fixture, [], { stdio: ['pipe', 'pipe', 'inherit'] });
const [line] = await new Promise((resolve, reject) => {
    createInterface({ input: server.stdout }).once('line', (text) => resolve([text]));
    server.once('exit', (code) => reject(new Error(`the fixture ended with ${code}`)));
});
const { base_url, key, model } = JSON.parse(line);
const test = spawnSync(process.execPath, ['client_test.mjs'], {
    cwd: here,
    stdio: 'inherit',
    env: { ...process.env, BASE_URL: base_url, KEY: key, MODEL: model, FIXTURE: '1' },
});
const ended = new Promise((resolve) => server.once('exit', resolve));
server.stdin.end();
const code = await ended;
if (code !== 0) console.error(`the fixture ended with ${code}`);
process.exit(test.status !== 0 ? (test.status ?? 1) : code === 0 ? 0 : 1);
