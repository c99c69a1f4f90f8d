import t from 'tap';
import { compileNative, readBomb } from '../children/bombs/compile-native.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { readFault } from '../support/kill-steps.ts';
import { openWorkshop } from '../support/real-runtime.ts';

const workshop = await openWorkshop();
const native = compileNative();
const hint = /print to stderr instead/;

t.test(
  'given a JS plugin, when it uses console.log and process.stdout, then its log has the lines and the protocol sees none',
  async (t) => {
    const real = workshop.open(t, { artifact: readBomb('prints.js'), clock: createFakeClock() });
    await real.arm();

    t.equal(await real.invoke('log', 150), 150);
    t.equal(await real.invoke('write', 150), 150);
    await real.heard('logged 150');
    await real.heard('written 150');

    t.same([...new Set(real.outputs.map(({ source }) => source))], ['stderr']);
    t.match(real.runtime.why().counters, { stray_lines: 0 });
    t.equal(await real.invoke('echo', 'well'), 'well');
  },
);

t.test(
  'given a JS plugin that writes to descriptor 1, when 99 lines are strays, then each is logged with a hint; the next is its end',
  async (t) => {
    const clock = createFakeClock();
    const real = workshop.open(t, { artifact: readBomb('prints.js'), clock });
    await real.arm();
    t.equal(await real.invoke('stray', 99), 99);
    const strays = real.outputs.filter(({ source }) => source === 'stray');
    t.equal(strays.length, 99);
    t.match(strays[98], { generation: 1, text: /^stray 99 / });
    for (const { text } of strays) if (!hint.test(text)) t.fail(`no hint in: ${text}`);
    t.match(real.runtime.view(), { state: 'armed', generation: 1 });

    const fatal = real.invoke('stray', 1);
    await t.rejects(fatal, { code: 'plugin-crashed' });
    await real.reached('backoff', 0);

    t.match(real.lastExit(), { cause: 'protocol-violation', signal: 'SIGKILL', detail: /^stray-output: 100 lines/ });
    t.match(real.runtime.view(), { state: 'restarting', pid: null, message: /protocol-violation/ });

    // Each generation begins with none.
    await clock.advance(1_200);
    await real.until(() => real.runtime.state() === 'ready');
    t.equal(await real.invoke('stray', 99), 99);
    t.match(real.runtime.view(), { state: 'armed', generation: 2 });
  },
);

t.test('given a stray print without an end of line, when an answer follows on the same line, then that call alone is lost', async (t) => {
  const real = workshop.open(t, { artifact: readBomb('prints.js'), clock: createFakeClock() });
  await real.arm();

  await t.rejects(real.invoke('glue', null, 500), { code: 'deadline-exceeded' });
  await real.heard('no end of line');

  t.match(
    real.outputs.filter(({ source }) => source === 'stray'),
    [{ text: /^no end of line \{"jsonrpc".*print to stderr instead/ }],
  );
  t.equal(await real.invoke('echo', 'well'), 'well');
});

const skip =
  native === null ? 'there is no C compiler with a static libc' : workshop.level === 'isolated' ? false : 'native code needs bwrap';
t.test('given a native plugin, when it prints to stdout, then it is logged with a hint and fatal at the hundredth', { skip }, async (t) => {
  const real = workshop.open(t, { artifact: native ?? '', clock: createFakeClock() });
  await real.arm();
  for (let count = 1; count <= 99; count++) await real.invoke('stray');
  const strays = real.outputs.filter(({ source }) => source === 'stray');
  t.equal(strays.length, 99);
  t.match(strays[0], { text: /^hello from C .*print to stderr instead/ });
  t.equal(real.runtime.state(), 'ready');

  await t.rejects(real.invoke('stray'), { code: 'plugin-crashed' });
  await real.reached('backoff', 0);

  t.match(real.lastExit(), { cause: 'protocol-violation', detail: /^stray-output/ });
});

t.test('given a flood on stderr, when the child then names its fault and ends, then that line is the last that why shows', async (t) => {
  const real = workshop.open(t, { artifact: readFault('raw.js'), clock: createFakeClock() });
  await real.arm();
  await real.invoke('flood', { fd: 2, text: 'a line of the log, quite an ordinary one\n', total: 16 * 1024 * 1024 });
  await real.invoke('write', { fd: 2, base64: Buffer.from('Error: the database is gone\n').toString('base64') });
  process.kill(real.pid(), 'SIGKILL');
  await real.reached('backoff', 0);

  const tail = real.lastExit()?.stderr_tail ?? [];
  t.equal(tail.length, 20);
  t.match(tail.slice(-2), [/^Error: the database is gone$/, /^\(\d{7,} bytes printed to stderr were dropped/]);
});
