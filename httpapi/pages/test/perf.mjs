// Measures the pages and prints what they take; it judges nothing, for times depend on the machine.
// BenchmarkPages in systemtest runs it. Usage: node perf.mjs URL TOKEN CHROMIUM '' MEASUREMENT
//
// Tasks are those of the page's main thread in a trace of the browser: whatever runs between two
// chances to respond to the reader, be it script, layout or paint. Their time is by the clock, and
// of the CPU, which other programs do not prolong. "Until drawn" is from what the reader does until
// the last row, line or block is there. Everything is repeated, and the median comes first.

import { createInterface } from 'node:readline'
import { chromium } from 'playwright-core'
import { call, executablePath, only, receiverURL, token, url } from './common.mjs'
import { longLists } from './perf-lists.mjs'

const slow = 4 // times slower than this machine
const times = 5
const minutes = 10 // that a page is left open
const portals = 20

await call('POST', '/app?get_if_exists=true', { name: 'Measured', uid: 'measured' })
await call('POST', '/event-type', { name: 'measured', description: '' })
const endpoint = await call('POST', '/app/measured/endpoint', { url: receiverURL, uid: 'one' })
const send = () => call('POST', '/app/measured/msg', { eventType: 'measured', payload: { a: 1 } })
const portal = async (path, app = 'measured') => (await call('POST', `/auth/app-portal-access/${app}`, {})).url.replace(/^[^#]*/, `${url}/portal?next=${path}`)

const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--enable-precise-memory-info'] })

async function open() {
  const page = await (await browser.newContext({ viewport: { width: 1280, height: 800 } })).newPage()
  page.setDefaultTimeout(60_000)
  const cdp = await page.context().newCDPSession(page)
  await cdp.send('Performance.enable')
  const metrics = async () => Object.fromEntries((await cdp.send('Performance.getMetrics')).metrics.map((m) => [m.name, m.value]))
  const throttle = (rate) => cdp.send('Emulation.setCPUThrottlingRate', { rate })
  return { page, cdp, metrics, throttle }
}

// trace returns the tasks of the main thread of a page, in ms, while something is done.
async function trace(page, action) {
  await browser.startTracing(page, { categories: ['toplevel', '__metadata'] })
  await action()
  const { traceEvents } = JSON.parse(await browser.stopTracing())
  const mains = traceEvents.filter((e) => e.name === 'thread_name' && e.args.name === 'CrRendererMain')
  const lists = mains.map(({ pid, tid }) => traceEvents.filter((e) => e.pid === pid && e.tid === tid && e.ph === 'X' && e.name.endsWith('RunTask')))
  const total = (list) => list.reduce((sum, e) => sum + e.dur, 0)
  const busiest = lists.sort((a, b) => total(b) - total(a))[0]
  return busiest.map((e) => ({ wall: e.dur / 1000, cpu: (e.tdur ?? e.dur) / 1000 }))
}

const longest = (tasks, key) => tasks.reduce((most, task) => Math.max(most, task[key]), 0)

const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)]

// print writes a line of a table: a name, and under each heading the median and all values, in ms.
function print(name, columns) {
  console.log(name)
  for (const [heading, list] of Object.entries(columns)) console.log(`  ${heading.padEnd(24)} ${median(list).toFixed(0).padStart(6)}   of ${list.map((n) => n.toFixed(0)).join(' ')}`)
}

// report repeats a measurement that returns tasks and how long it took until all was drawn.
async function report(name, measure) {
  const all = []
  for (let i = 0; i < times; i++) all.push(await measure())
  print(name + ', ms', {
    'longest task': all.map(({ tasks }) => longest(tasks, 'wall')), 'its CPU': all.map(({ tasks }) => longest(tasks, 'cpu')),
    'all tasks': all.map(({ tasks }) => tasks.reduce((sum, k) => sum + k.wall, 0)), 'until drawn': all.map(({ until }) => until),
  })
}

// chosen traces a slow machine after a choice in a select, until there are so many elements with a
// selector. Only the page works meanwhile.
async function chosen({ page, throttle }, label, value, selector, count = 1) {
  const select = await page.getByLabel(label).elementHandle()
  await throttle(slow)
  let until
  const tasks = await trace(page, async () => {
    until = await select.evaluate(async (select, { value, selector, count }) => {
      const began = performance.now()
      select.value = value
      select.dispatchEvent(new Event('change', { bubbles: true }))
      while (document.querySelectorAll(selector).length !== count) await new Promise((done) => requestAnimationFrame(done))
      const until = performance.now() - began
      await new Promise((done) => requestAnimationFrame(() => setTimeout(done, 100)))
      return until
    }, { value, selector, count })
  })
  await throttle(1)
  return { tasks, until }
}

// list shows 250 rows that arrive in one response.
async function list() {
  const made = await send()
  const sample = { id: 'atmpt_x', url: endpoint.url, response: '', responseStatusCode: 200, responseDurationMs: 12, status: 0, statusText: 'success', triggerType: 0, timestamp: new Date().toISOString(),
    endpointId: endpoint.id, msgId: made.id, number: 1, nextAttempt: null, msg: { eventType: 'measured', id: made.id } }
  const rows = Array.from({ length: 250 }, (_, i) => ({ ...sample, id: 'atmpt_' + i }))
  await report(`a list of 250 rows, ${slow} x slower`, async () => {
    const tab = await open()
    await tab.page.goto(await portal('/deliveries'))
    await tab.page.getByLabel('Result').waitFor()
    await new Promise((done) => setTimeout(done, 1500)) // until the page is at rest
    await tab.page.route('**/api/v1/app/*/attempt?*', (route) => route.fulfill({ json: { data: rows, iterator: null, prevIterator: null, done: true } }))
    const found = await chosen(tab, 'Result', '0', 'tbody tr', rows.length)
    await tab.page.context().close()
    return found
  })
}

// plot draws 28 days of periods of five minutes, which is more than the server returns at once.
async function plot() {
  const n = 28 * 24 * 12
  const wave = (scale) => Array.from({ length: n }, (_, i) => Math.round(scale * (1 + Math.sin(i / 40) + (i * 7919 % 97) / 97)))
  const latency = { p50: wave(20), p95: wave(80), p99: wave(200) }
  const body = { startDate: new Date(Date.now() - 28 * 86400_000).toISOString(), endDate: new Date().toISOString(), period: 'FiveMinutes',
    data: { successCount: wave(1000), failureCount: wave(20), canceledCount: wave(2), attemptLatency: latency },
    total: { success: 1, failure: 1, canceled: 1, attemptLatency: { p50: 20, p95: 80, p99: 200 } } }
  for (const rate of [1, slow]) {
    await report(`a plot of ${n} points, ${rate} x slower`, async () => {
      const tab = await open()
      await tab.page.goto(await portal('/endpoints/' + endpoint.id))
      await tab.page.getByLabel('Period').waitFor()
      await new Promise((done) => setTimeout(done, 1500)) // until the page is at rest
      await tab.page.route('**/api/v1/stats/**', (route) => route.fulfill({ json: body }))
      const found = await chosen({ ...tab, throttle: (to) => tab.throttle(to === 1 ? 1 : rate) }, 'Period', '28d', `.plot:not(.low) svg[viewBox="0 0 ${n} 100"]`)
      await tab.page.context().close()
      return found
    })
  }
}

// payload opens a message of 1 MiB from the list, until all of it that is shown at first is drawn.
async function payload() {
  const list = Array.from({ length: 9_900 }, (_, i) => ({ id: 'in_' + i, amount: i / 8, customer: { name: 'Ada Lovelace', country: 'GB', tags: ['a', 'b', 'c'] } }))
  const { id } = await call('POST', '/app/measured/msg', { eventType: 'measured', payload: { list } })
  for (const rate of [1, slow]) {
    await report(`a payload of ${(JSON.stringify({ list }).length / 1048576).toFixed(2)} MiB, ${rate} x slower`, async () => {
      const tab = await open()
      await tab.page.goto(await portal('/messages'))
      const row = tab.page.locator(`tbody a[href$="${id}"]`)
      await row.waitFor()
      await tab.throttle(rate)
      let until
      const tasks = await trace(tab.page, async () => {
        until = await row.evaluate(async (link) => {
          const began = performance.now()
          link.click()
          const end = () => [...document.querySelectorAll('main pre:not([aria-busy])')].some((e) => e.lastChild)
          while (!end()) await new Promise((done) => setTimeout(done, 50))
          const until = performance.now() - began
          await new Promise((done) => requestAnimationFrame(() => setTimeout(done, 100)))
          return until
        })
      })
      await tab.page.context().close()
      return { tasks, until }
    })
  }
}

// traffic sends 50 messages a second, until the function that it returns is called.
function traffic() {
  const count = { sent: 0, refused: 0 }
  let over = false
  const sending = (async () => {
    for (let next = Date.now(); !over; next += 20) {
      void send().then(() => count.sent++, () => count.refused++)
      await new Promise((done) => setTimeout(done, Math.max(0, next - Date.now())))
    }
  })()
  return { count, stop: () => ((over = true), sending) }
}

// openLive opens the console where each of these messages becomes a row, once there are as many as
// are kept.
async function openLive() {
  const tab = await open(), sending = traffic()
  await tab.page.goto(`${url}/console#key=${token}`)
  await tab.page.getByRole('link', { name: 'Live' }).click()
  await tab.page.waitForFunction((n) => document.querySelectorAll('tbody tr').length >= n, 200)
  return { ...tab, ...sending }
}

// memory says what a page takes without garbage.
async function memory({ cdp, metrics }) {
  await cdp.send('HeapProfiler.collectGarbage')
  const m = await metrics()
  return `heap ${(m.JSHeapUsedSize / 1048576).toFixed(2)} MiB, ${m.Nodes} nodes, ${m.JSEventListeners} listeners`
}

// live shows each of 50 messages a second in the console, without a slower CPU.
async function live() {
  const { page, metrics, count, stop } = await openLive()
  const began = Date.now(), sentBefore = count.sent, busy = (await metrics()).TaskDuration
  const slices = []
  while (Date.now() - began < 60_000) slices.push(await trace(page, () => new Promise((done) => setTimeout(done, 10_000))))
  const elapsed = (Date.now() - began) / 1000, share = ((await metrics()).TaskDuration - busy) / elapsed
  print(`live, ${((count.sent - sentBefore) / elapsed).toFixed(0)} messages a second for ${elapsed.toFixed(0)} s, in slices of 10 s, ms`, {
    'longest task': slices.map((tasks) => longest(tasks, 'wall')), 'its CPU': slices.map((tasks) => longest(tasks, 'cpu')),
    'tasks over 50': slices.map((tasks) => tasks.filter((k) => k.wall > 50).length),
  })
  console.log(`  the main thread was busy ${(100 * share).toFixed(1)} % of the time; refused messages: ${count.refused}`)
  await stop()
  await page.context().close()
}

// leftOpen is what this page and a list in the portal take after each minute.
async function leftOpen() {
  const { count, stop, ...tail } = await openLive()
  const list = await open()
  await list.page.goto(await portal('/deliveries'))
  await list.page.locator('tbody tr').nth(49).waitFor()
  const row = async (when) => console.log(`  ${when.padEnd(12)} live: ${await memory(tail)}; deliveries: ${await memory(list)}`)
  console.log('pages that are left open while there are 50 messages a second')
  await row('at first')
  for (let minute = 1; minute <= minutes; minute++) {
    await new Promise((done) => setTimeout(done, 60_000))
    await row(`${minute} min`)
  }
  console.log(`  messages: ${count.sent}, refused: ${count.refused}`)
  await stop()
  for (const { page } of [tail, list]) await page.context().close()
}

// manyPortals keeps pages of as many customers open and live until the input ends.
async function manyPortals() {
  for (let i = 0; i < portals; i++) {
    const app = `customer-${i}`
    await call('POST', '/app', { name: app, uid: app })
    await call('POST', `/app/${app}/endpoint`, { url: receiverURL })
    await call('POST', `/app/${app}/msg`, { eventType: 'measured', payload: { i } })
    const { page } = await open()
    await page.goto(await portal('/deliveries', app))
    await page.locator('.connection').getByText('Live', { exact: true }).waitFor()
  }
  console.log('OPEN')
  for await (const line of createInterface({ input: process.stdin })) console.log(line)
}

const measurements = { list, plot, payload, live, open: leftOpen, portals: manyPortals, lists: () => longLists({ open, trace, report }) }
await measurements[only]()
await browser.close()
process.exit()
