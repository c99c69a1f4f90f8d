import { existsSync } from 'node:fs';
import puppeteer from 'puppeteer-core';
import type { Test } from 'tap';
import { openWorkshop } from '../../supervisor/dev/harness/workshop.ts';
import { type Inspector, openInspector } from '../../supervisor/dev/inspector/inspector.ts';
import { openTestHarness, type PluginText, pluginFolder } from './plugin-folder.ts';
import { testFolder } from './test-folder.ts';

const workshop = await openWorkshop();
const browserPath = '/usr/bin/chromium';
export const needsBrowser = existsSync(browserPath) ? {} : { skip: 'chromium is not installed' };
const code = `{ services: { tool: {
  async put(value, { host }) { await host.kv.put({ key: '<b>k<b>', value }); return 'stored'; },
} } }`;

/** A harness that runs this plugin, with its inspector. */
export async function openPage(t: Test, plugin: PluginText = { code, manifest: { name: 'Stores things', capabilities: ['kv:write'] } }) {
  const folder = pluginFolder(t, plugin);
  let inspector: Inspector | null = null;
  const { harness } = await openTestHarness(t, workshop, { folder, messages: true, onEvent: (event) => inspector?.show(event) });
  inspector = await openInspector(harness, () => {});
  t.teardown(() => inspector?.close());
  await harness.start();
  inspector.status('ready');
  const url = new URL(inspector.url);
  return { harness, inspector, url, token: url.hash.slice(1) };
}

/** A page of a browser of its own; `outside` are the requests that left the inspector. */
export async function browse(t: Test, url: URL) {
  const profile = testFolder(t, {});
  const args = ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run'];
  const browser = await puppeteer.launch({ executablePath: browserPath, headless: true, userDataDir: profile, args });
  t.teardown(() => browser.close());
  const page = await browser.newPage();
  const problems: string[] = [];
  const outside: string[] = [];
  page.on('pageerror', (error) => problems.push(String(error)));
  page.on('console', (message) => message.type() === 'error' && !message.text().includes('status of 400') && problems.push(message.text()));
  page.on('request', (each) => each.url().startsWith(url.origin) || outside.push(each.url()));
  const shows = (selector: string, text: string) =>
    page.waitForFunction(`document.querySelector(${JSON.stringify(selector)}).textContent.includes(${JSON.stringify(text)})`);
  return { page, shows, problems, outside };
}
