// Measures the pages and prints what they take; it judges nothing, for times depend on the machine.
// Usage: node perf.mjs URL TOKEN CHROMIUM [SECONDS of live traffic]

import { createServer } from 'node:http'
import { chromium } from 'playwright-core'

const [url, token, executablePath, seconds = '60'] = process.argv.slice(2)
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
  await page.addInitScript(() => {
    window.tasks = []
    new PerformanceObserver((list) => window.tasks.push(...list.getEntries().map((e) => Math.round(e.duration)))).observe({ type: 'longtask', buffered: true })
  })
  const metrics = async () => Object.fromEntries((await cdp.send('Performance.getMetrics')).metrics.map((m) => [m.name, m.value]))
  return { page, cdp, metrics }
}

// busy returns how long the main thread of a slow machine works after a choice in a select, until an
// element with a selector is there, so many times. Only the page works meanwhile.
async function busy({ page, cdp, metrics }, label, value, selector, count = 1) {
  const select = await page.getByLabel(label).elementHandle()
  await cdp.send('Emulation.setCPUThrottlingRate', { rate: slow })
  const before = await metrics()
  await select.evaluate(async (select, { value, selector, count }) => {
    window.tasks.length = 0
    select.value = value
    select.dispatchEvent(new Event('change', { bubbles: true }))
    while (document.querySelectorAll(selector).length !== count) await new Promise((done) => setTimeout(done, 100))
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done, 100)))
  }, { value, selector, count })
  const after = await metrics()
  await cdp.send('Emulation.setCPUThrottlingRate', { rate: 1 })
  const ms = (name) => ((after[name] - before[name]) * 1000).toFixed(0)
  return `script ${ms('ScriptDuration')} ms, style ${ms('RecalcStyleDuration')} ms, layout ${ms('LayoutDuration')} ms, all tasks ${ms('TaskDuration')} ms (${slow} x slower)`
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
  const tab = await open()
  const sample = { id: 'atmpt_x', url: endpoint.url, response: '', responseStatusCode: 200, responseDurationMs: 12, status: 0, statusText: 'success', triggerType: 0, timestamp: new Date().toISOString(),
    endpointId: endpoint.id, msgId: made.id, number: 1, nextAttempt: null, msg: { eventType: 'measured', id: made.id } }
  const rows = Array.from({ length: 250 }, (_, i) => ({ ...sample, id: 'atmpt_' + i }))
  await tab.page.goto(await portal('/deliveries'))
  await tab.page.getByLabel('Result').waitFor()
  await new Promise((done) => setTimeout(done, 1500))
  await tab.page.route('**/api/v1/app/*/attempt?*', (route) => route.fulfill({ json: { data: rows, iterator: null, prevIterator: null, done: true } }))
  console.log('a list of 250 rows: ' + await busy(tab, 'Result', '0', 'tbody tr', 250))
  console.log('tasks over 50 ms: ' + JSON.stringify(await tab.page.evaluate(() => window.tasks)))
  await tab.page.context().close()
}

async function plot() {
  const tab = await open()
  const n = 28 * 24 * 12
  const wave = (scale) => Array.from({ length: n }, (_, i) => Math.round(scale * (1 + Math.sin(i / 40) + (i * 7919 % 97) / 97)))
  const latency = { p50: wave(20), p95: wave(80), p99: wave(200) }
  const body = { startDate: new Date(Date.now() - 28 * 86400_000).toISOString(), endDate: new Date().toISOString(), period: 'FiveMinutes',
    data: { successCount: wave(1000), failureCount: wave(20), canceledCount: wave(2), attemptLatency: latency },
    total: { success: 1, failure: 1, canceled: 1, attemptLatency: { p50: 20, p95: 80, p99: 200 } } }
  await tab.page.goto(await portal('/endpoints/' + endpoint.id))
  await tab.page.getByLabel('Period').waitFor()
  await new Promise((done) => setTimeout(done, 1500))
  await tab.page.route('**/api/v1/stats/**', (route) => route.fulfill({ json: body }))
  console.log(`a plot of ${n} points: ` + await busy(tab, 'Period', '28d', `.plot:not(.low) svg[viewBox="0 0 ${n} 100"]`))
  console.log('tasks over 50 ms: ' + JSON.stringify(await tab.page.evaluate(() => window.tasks)))
  await tab.page.context().close()
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
  await page.evaluate(() => (window.tasks.length = 0))
  const before = await metrics()
  for (let i = 0; !over; i++) {
    await new Promise((done) => setTimeout(done, Math.min(20_000, 1000 * Number(seconds) / 4)))
    await cdp.send('HeapProfiler.collectGarbage')
    const m = await metrics()
    console.log(`live, ${sent} messages sent: heap ${(m.JSHeapUsedSize / 1048576).toFixed(2)} MiB, ${m.Nodes} nodes, ${m.JSEventListeners} listeners`)
  }
  await traffic
  const after = await metrics()
  console.log(`live: the main thread was busy ${(100 * (after.TaskDuration - before.TaskDuration) / (Number(seconds) - 5)).toFixed(1)} % of the time`)
  console.log('tasks over 50 ms: ' + JSON.stringify(await page.evaluate(() => window.tasks)))
  await page.context().close()
}

await firstLoad('portal', await portal('/endpoints'))
await firstLoad('console', `${url}/console#key=${token}`)
await list()
await plot()
await live()
await browser.close()
receiver.close()
