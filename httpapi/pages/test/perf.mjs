// Measures the pages and prints what they take; it judges nothing, for times depend on the machine.
// Usage: node perf.mjs URL TOKEN CHROMIUM [SECONDS of live traffic [TIMES that the others are
// repeated [MEASUREMENT]]]
//
// Tasks are those of the page's main thread in a trace of the browser: whatever runs between two
// chances to respond. Their time is by the clock, and of the CPU, which other programs do not
// prolong.

import { createServer } from 'node:http'
import { chromium } from 'playwright-core'

const [url, token, executablePath, seconds = '60', times = '5', only] = process.argv.slice(2)
const slow = 4 // times slower than this machine

async function call(method, path, body) {
  const response = await fetch(url + '/api/v1' + path, { method, headers: { Authorization: 'Bearer ' + token }, body: body && JSON.stringify(body) })
  const text = await response.text()
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`)
  return text === '' ? undefined : JSON.parse(text)
}

const receiver = createServer((request, response) => request.resume().on('end', () => response.end('ok')))
await new Promise((ready) => receiver.listen(0, '127.0.0.1', ready))
await call('POST', '/app?get_if_exists=true', { name: 'Measured', uid: 'measured' })
await call('DELETE', '/app/measured/endpoint/one').catch(() => undefined)
await call('POST', '/event-type', { name: 'measured', description: '' }).catch(() => undefined)
const endpoint = await call('POST', '/app/measured/endpoint', { url: `http://127.0.0.1:${receiver.address().port}/`, uid: 'one' })
const send = () => call('POST', '/app/measured/msg', { eventType: 'measured', payload: { a: 1 } })
const portal = async (path) => (await call('POST', '/auth/app-portal-access/measured', {})).url.replace(/^[^#]*/, `${url}/portal?next=${path}`)

const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--enable-precise-memory-info'] })

async function open() {
  const page = await (await browser.newContext({ viewport: { width: 1280, height: 800 } })).newPage()
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

const median = (list) => list.sort((a, b) => a - b)[Math.floor(list.length / 2)]

// report repeats a measurement and prints the median, and all values, of the longest task and the
// sum.
async function report(name, measure) {
  const all = []
  for (let i = 0; i < Number(times); i++) all.push(await measure())
  const of = (title, value) => {
    const list = all.map(value)
    return `${title} ${median([...list]).toFixed(0)} (${list.map((n) => n.toFixed(0)).join(' ')})`
  }
  console.log(`${name}, ms: ` + [
    of('longest task', (tasks) => Math.max(...tasks.map((k) => k.wall))), of('its CPU', (tasks) => Math.max(...tasks.map((k) => k.cpu))),
    of('CPU of all', (tasks) => tasks.reduce((sum, k) => sum + k.cpu, 0)), of('until it is there', (tasks) => tasks.until),
  ].join(', '))
}

// chosen traces a slow machine after a choice in a select, until an element with a selector is
// there, so many times. Only the page works meanwhile.
async function chosen({ page, throttle }, label, value, selector, count = 1) {
  const select = await page.getByLabel(label).elementHandle()
  await throttle(slow)
  let until
  const tasks = await trace(page, async () => {
    until = await select.evaluate(async (select, { value, selector, count }) => {
      const began = performance.now()
      let until
      select.value = value
      select.dispatchEvent(new Event('change', { bubbles: true }))
      while (document.querySelectorAll(selector).length !== count) await new Promise((done) => requestAnimationFrame(done))
      until = performance.now() - began
      await new Promise((done) => requestAnimationFrame(() => setTimeout(done, 100)))
      return until
    }, { value, selector, count })
  })
  await throttle(1)
  return Object.assign(tasks, { until })
}

async function firstLoad(name, address) {
  const { page, cdp } = await open()
  let bytes = 0
  const api = new Set()
  await cdp.send('Network.enable')
  cdp.on('Network.requestWillBeSent', (e) => e.request.url.includes('/api/') && api.add(e.requestId))
  cdp.on('Network.loadingFinished', (e) => { if (!api.has(e.requestId)) bytes += e.encodedDataLength })
  await page.goto(address)
  await page.locator('main h1').waitFor()
  await page.waitForLoadState('load')
  console.log(`first load of the ${name}: ${(bytes / 1024).toFixed(1)} KiB as sent`)
  await page.context().close()
}

async function list() {
  const made = await send()
  const sample = { id: 'atmpt_x', url: endpoint.url, response: '', responseStatusCode: 200, responseDurationMs: 12, status: 0, statusText: 'success', triggerType: 0, timestamp: new Date().toISOString(),
    endpointId: endpoint.id, msgId: made.id, number: 1, nextAttempt: null, msg: { eventType: 'measured', id: made.id } }
  const rows = Array.from({ length: 250 }, (_, i) => ({ ...sample, id: 'atmpt_' + i }))
  await report(`a list of 250 rows, ${slow} x slower`, async () => {
    const tab = await open()
    await tab.page.goto(await portal('/deliveries'))
    await tab.page.getByLabel('Result').waitFor()
    await new Promise((done) => setTimeout(done, 1500))
    await tab.page.route('**/api/v1/app/*/attempt?*', (route) => route.fulfill({ json: { data: rows, iterator: null, prevIterator: null, done: true } }))
    const tasks = await chosen(tab, 'Result', '0', 'tbody tr', 250)
    await tab.page.context().close()
    return tasks
  })
}

async function plot() {
  const n = 28 * 24 * 12
  const wave = (scale) => Array.from({ length: n }, (_, i) => Math.round(scale * (1 + Math.sin(i / 40) + (i * 7919 % 97) / 97)))
  const latency = { p50: wave(20), p95: wave(80), p99: wave(200) }
  const body = { startDate: new Date(Date.now() - 28 * 86400_000).toISOString(), endDate: new Date().toISOString(), period: 'FiveMinutes',
    data: { successCount: wave(1000), failureCount: wave(20), canceledCount: wave(2), attemptLatency: latency },
    total: { success: 1, failure: 1, canceled: 1, attemptLatency: { p50: 20, p95: 80, p99: 200 } } }
  await report(`a plot of ${n} points, ${slow} x slower`, async () => {
    const tab = await open()
    await tab.page.goto(await portal('/endpoints/' + endpoint.id))
    await tab.page.getByLabel('Period').waitFor()
    await new Promise((done) => setTimeout(done, 1500))
    await tab.page.route('**/api/v1/stats/**', (route) => route.fulfill({ json: body }))
    const tasks = await chosen(tab, 'Period', '28d', `.plot:not(.low) svg[viewBox="0 0 ${n} 100"]`)
    await tab.page.context().close()
    return tasks
  })
}

// payload opens a message of 1 MiB, until all of it is drawn.
async function payload() {
  const list = Array.from({ length: 10_000 }, (_, i) => ({ id: 'in_' + i, amount: i / 8, customer: { name: 'Ada Lovelace', country: 'GB', tags: ['a', 'b'] } }))
  const { id } = await call('POST', '/app/measured/msg', { eventType: 'measured', payload: { list } })
  for (const rate of [1, slow]) {
    await report(`a payload of 1 MiB, ${rate} x slower`, async () => {
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
      return Object.assign(tasks, { until })
    })
  }
}

async function live() {
  const { page, cdp, metrics } = await open()
  await page.goto(`${url}/console#key=${token}`)
  await page.getByRole('link', { name: 'Live' }).click()
  await page.locator('.connection').getByText('Live', { exact: true }).waitFor()
  const end = Date.now() + 1000 * Number(seconds)
  let sent = 0, over = false
  const traffic = (async () => {
    for (let next = Date.now(); Date.now() < end; next += 20) {
      void send().then(() => sent++, () => undefined)
      await new Promise((done) => setTimeout(done, Math.max(0, next - Date.now())))
    }
    over = true
  })()
  await new Promise((done) => setTimeout(done, 5000))
  const before = await metrics()
  const tasks = await trace(page, () => new Promise((done) => setTimeout(done, 10_000)))
  console.log(`live, 50 messages a second, for 10 s, ms: longest task ${Math.max(...tasks.map((k) => k.wall)).toFixed(0)}, its CPU ${Math.max(...tasks.map((k) => k.cpu)).toFixed(0)}, tasks over 50: ${tasks.filter((k) => k.wall > 50).length}, by CPU: ${tasks.filter((k) => k.cpu > 50).length}`)
  while (!over) {
    await new Promise((done) => setTimeout(done, Math.min(20_000, 1000 * Number(seconds) / 4)))
    await cdp.send('HeapProfiler.collectGarbage')
    const m = await metrics()
    console.log(`live, ${sent} messages sent: heap ${(m.JSHeapUsedSize / 1048576).toFixed(2)} MiB, ${m.Nodes} nodes, ${m.JSEventListeners} listeners`)
  }
  await traffic
  const after = await metrics()
  console.log(`live: the main thread was busy ${(100 * (after.TaskDuration - before.TaskDuration) / (Number(seconds) - 5)).toFixed(1)} % of the time`)
  await page.context().close()
}

async function loads() {
  await firstLoad('portal', await portal('/endpoints'))
  await firstLoad('console', `${url}/console#key=${token}`)
}

const measurements = { loads, list, plot, payload, live }
for (const measure of only ? [measurements[only]] : Object.values(measurements)) await measure()
await browser.close()
receiver.close()
