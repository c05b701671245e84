// Drives pages that are open while things happen.

import { createServer } from 'node:http'
import { button, call, link, look, open, others, press, receiver, receiverURL, run, until, url, wrong } from './common.mjs'

async function prepare() {
  await call('POST', '/app', { name: 'Acme', uid: 'acme' })
  await call('POST', '/event-type', { name: 'invoice.paid', description: 'An invoice was paid' })
  await call('POST', '/app/acme/endpoint', { url: receiverURL, uid: 'first' })
}

const send = (invoice) => call('POST', '/app/acme/msg', { eventType: 'invoice.paid', payload: { invoice } })

// watch keeps the requests for streams of a page that are open.
function watch(page, streams) {
  const isStream = (r) => new URL(r.url()).pathname === '/api/v1/tail'
  page.on('request', (r) => isStream(r) && streams.set(r, page))
  for (const end of ['requestfailed', 'requestfinished']) page.on(end, (r) => streams.delete(r))
  page.on('close', () => streams.forEach((p, r) => p === page && streams.delete(r)))
}

const rows = (page) => page.locator('tbody tr')
const waitForRows = (page, n) => page.waitForFunction((n) => document.querySelectorAll('tbody tr').length === n, n)

// countRows counts them when all are drawn.
async function countRows(page) {
  await page.locator('table:not([aria-busy])').waitFor()
  return rows(page).count()
}

const isLive = (page) => page.locator('.connection').getByText('Live', { exact: true }).waitFor()

// tabs share one stream. When the tab that reads it is closed, another goes on.
async function tabs(browser) {
  const { url: portal } = await call('POST', '/auth/app-portal-access/acme', {})
  const streams = new Map()
  const first = await open(browser, {})
  const second = await first.context().newPage()
  for (const page of [first, second]) {
    watch(page, streams)
    await page.goto(portal.replace('#', '?next=/deliveries#'))
    await isLive(page)
  }
  if (streams.size !== 1) wrong(`two tabs have ${streams.size} streams`)
  await send(1)
  for (const page of [first, second]) await waitForRows(page, 1)
  await look(first, 'live-deliveries')

  const [next] = await Promise.all([second.waitForRequest((r) => r.url().includes('/tail')), first.close()])
  if (!(await next.headerValue('last-event-id'))) wrong('the next tab does not continue after the last event')
  if (next.url().includes('key')) wrong('the token is in a URL: ' + next.url())
  await send(2)
  await waitForRows(second, 2)

  // Rows stay where they are under the pointer, and while the list is held.
  await rows(second).first().hover()
  const before = await rows(second).allTextContents()
  await send(3)
  await second.getByText('1 new, shown when you leave the list').waitFor()
  if ((await rows(second).allTextContents()).join() !== before.join()) wrong('rows move under the pointer')
  await second.getByRole('heading', { level: 1 }).hover()
  await waitForRows(second, 3)
  await button(second, 'Hold').click()
  await send(4)
  await button(second, 'Continue (1 new)').click()
  await waitForRows(second, 4)

  // When the token ends, the page goes for a new link by itself, but not again and again.
  others.add('http://127.0.0.1:9')
  await second.route('http://127.0.0.1:9/**', (route) => route.fulfill({ body: 'renewal' }))
  await call('POST', '/auth/app/acme/expire-all', {})
  await second.waitForURL('http://127.0.0.1:9/**')
  const asked = new URL(second.url()).searchParams
  if (asked.get('next') !== '/deliveries' || !asked.get('app')?.startsWith('app_') || asked.get('from') !== 'portal') wrong('it went to ' + second.url())
  await second.goto(portal)
  await second.getByRole('heading', { level: 1, name: 'Your session has ended' }).waitFor()
  await link(second, 'Get a new link').waitFor()
  await look(second, 'session-ended')
}

// polling shows what happens without a stream.
async function polling(browser) {
  const { url: portal } = await call('POST', '/auth/app-portal-access/acme', {})
  const page = await open(browser, {})
  await page.route('**/api/v1/tail*', (route) => route.fulfill({ status: 429, headers: { 'Retry-After': '30' }, json: { code: 'too_many', detail: 'This node serves 15 streams of this application.' } }))
  await page.goto(portal.replace('#', '?next=/deliveries#'))
  await page.locator('.connection').getByText('Not live').waitFor()
  const before = await countRows(page)
  await send(5)
  await waitForRows(page, before + 1)
  await look(page, 'live-polling')
  await page.context().close()
}

// silence is a proxy on the way that keeps the stream back: nothing arrives, and nothing fails.
async function silence(browser) {
  const { url: portal } = await call('POST', '/auth/app-portal-access/acme', {})
  const page = await open(browser, {})
  await page.clock.install()
  let asked = 0, kept = true
  await page.route('**/api/v1/tail*', (route) => {
    asked++
    if (!kept) return route.continue()
  })
  await page.goto(portal.replace('#', '?next=/deliveries#'))
  for (let n = 1; n <= 2; n++) {
    await until('a stream', () => asked >= n)
    await page.clock.fastForward(15_000)
  }
  await page.locator('.connection').getByText('Not live').waitFor()
  const isShown = async ({ id }) => page.locator(`tbody a[href$="${id}"]`).waitFor()
  await isShown(await send(6))
  kept = false
  await page.clock.fastForward(60_000) // after which it asks again
  await isLive(page)
  await isShown(await send(7))
}

// states are what pages show when a request fails, and that they go on by themselves.
async function states(browser) {
  const { url: portal } = await call('POST', '/auth/app-portal-access/acme', {})
  const page = await open(browser, { viewport: { width: 360, height: 740 } })
  await page.goto(portal)
  await isLive(page)
  const failures = {
    503: ['unavailable', 'The cluster has no leader at the moment.', 'The server cannot respond at the moment.'],
    429: ['rate', 'Too many requests.', 'There are too many requests'], 403: ['forbidden', 'No.', 'You are not allowed to do this.'],
    500: ['internal', 'An error.', 'An error.'],
  }
  for (const [status, [code, detail, text]] of Object.entries(failures)) {
    let failing = true
    await page.route('**/api/v1/app/*/attempt?*', (route) => failing ? route.fulfill({ status: Number(status), json: { code, detail } }) : route.continue())
    await link(page, 'Endpoints').first().click()
    await link(page, 'Deliveries').first().click()
    await page.getByText(text).first().waitFor()
    await look(page, 'state-' + status)
    failing = false
    if (status !== '403') await rows(page).first().waitFor()
    await page.unroute('**/api/v1/app/*/attempt?*')
  }
  await page.context().setOffline(true)
  await link(page, 'Messages').first().click()
  await page.getByText('There is no connection to the server.').waitFor()
  await look(page, 'state-offline')
  await page.context().setOffline(false)
  await rows(page).first().waitFor()
  await isLive(page)
}

// resend chooses deliveries by keyboard alone, and sends them once more.
async function resend(browser) {
  const { url: portal } = await call('POST', '/auth/app-portal-access/acme', {})
  const before = (await call('GET', '/app/acme/attempt?limit=250')).data.length
  const invoices = [6, 7, 8]
  for (const invoice of invoices) await send(invoice)
  const page = await open(browser, {})
  await page.goto(portal.replace('#', '?next=/deliveries#'))
  const count = before + invoices.length
  await waitForRows(page, count)
  const arrived = receiver.requests.length
  await press(page, 'Choose all')
  await press(page, `Resend chosen (${count})`)
  await page.getByRole('dialog').getByText(`${count} messages will be sent once more to one endpoint.`).waitFor()
  await look(page, 'resend')
  await page.keyboard.press('Escape')
  await button(page, `Resend chosen (${count})`).and(page.locator(':focus')).waitFor()
  await page.keyboard.press('Enter')
  await page.getByRole('dialog').waitFor() // else Tab goes into the list, and so does the focus afterwards
  let refused = 0
  await page.route('**/resend', (route) => refused++ === 1 ? route.fulfill({ status: 429, headers: { 'Retry-After': '7' }, json: { code: 'rate', detail: 'Slowly.' } }) : route.continue())
  await press(page, 'Resend')
  await page.getByRole('dialog').getByText('There are too many requests at the moment.').waitFor()
  await look(page, 'resend-refused')
  await press(page, 'Try again')
  await page.getByText(`${count} will be sent once more.`).waitFor()
  await button(page, 'Resend chosen (0)').waitFor()
  await page.getByText('manual 1').nth(count - 1).waitFor()
  if (receiver.requests.length - arrived !== count) wrong(`${receiver.requests.length - arrived} requests arrived, not ${count}`)
}

// conflict has two readers who save the settings of the same endpoint, and one who deletes it.
async function conflict(browser) {
  const { url: portal } = await call('POST', '/auth/app-portal-access/acme', {})
  const { id } = await call('POST', '/app/acme/endpoint', { url: receiverURL, uid: 'shared' })
  const page = await open(browser, {})
  await page.goto(portal.replace('#', `?next=/endpoints/${id}/settings#`))
  await page.getByLabel('Description').fill('mine')
  await call('PATCH', '/app/acme/endpoint/shared', { description: 'theirs', channels: ['news'] })
  await button(page, 'Save').click()
  const choice = page.getByRole('group', { name: 'Somebody else has changed these settings.' })
  await choice.getByText('theirs').waitFor()
  await choice.getByText('news').waitFor()
  await look(page, 'conflict')
  await button(page, 'Save mine').click()
  await page.getByText('Saved.').waitFor()
  await page.locator('[type=submit]:focus').waitFor()
  const saved = await call('GET', '/app/acme/endpoint/shared')
  if (saved.description !== 'mine' || saved.channels) wrong('the reader chose, and saved is ' + JSON.stringify(saved))

  // What others change elsewhere is no conflict: the signing key, or the name of the application.
  await page.getByLabel('Description').fill('mine after a rotation')
  await call('POST', '/app/acme/endpoint/shared/secret/rotate', {})
  await Promise.all([page.waitForResponse((r) => r.request().method() === 'PATCH' && r.ok()), button(page, 'Save').click()]) // the words of before may still be there
  await button(page, 'Save').and(page.locator('[aria-busy=false]')).waitFor()
  if ((await choice.count()) > 0) wrong('a rotated key is a conflict')

  await page.getByLabel('Description').fill('mine again')
  await call('PATCH', '/app/acme/endpoint/shared', { description: 'theirs again' })
  await button(page, 'Save').click()
  await button(page, 'Discard mine').click()
  await choice.waitFor({ state: 'detached' })
  if ((await page.getByLabel('Description').inputValue()) !== 'theirs again') wrong('discarding keeps the old value')
  await page.locator('[type=submit]:focus').waitFor()
  await call('DELETE', '/app/acme/endpoint/shared')
  await page.getByRole('heading', { level: 1, name: 'Deleted meanwhile' }).waitFor()
  await look(page, 'gone-meanwhile')
}

const markup = '<img src=x onerror="window.ran=1"><script>window.ran=1</script><b>bold</b>'
const evil = `${markup}\u202e\u2066gnol\u0007\u001b[31m\u009b2J\u061c\u{e0041} 😀 ${'W'.repeat(10_000)}`

// answers are what receivers write that is meant to run, to hide or to break the layout.
const answers = {
  markup: evil,
  frames: `<iframe srcdoc="${'<iframe srcdoc=&quot;'.repeat(20)}<script>top.ran=1</script>"></iframe>`.repeat(20),
  binary: Buffer.from([0xff, 0xc3, 0x28, 0, 0x1b, 0x5b, 0x32, 0x4a, 0x9b, 0xed, 0xa0, 0x80, 0x0d]), // no UTF-8
  nested: '['.repeat(9000) + ']'.repeat(9000),
  large: Buffer.alloc(1 << 20, markup + '\u202e'),
}

const hiding = /[\0-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/u

// strings has receivers who answer so, and a sender who is no better.
async function strings(browser) {
  const server = createServer((request, response) => request.resume().on('end', () => {
    const body = answers[new URL(request.url, url).pathname.slice(1)]
    const head = `HTTP/1.1 500 ${'W'.repeat(500)}\r\nX-Evil: ${markup}\u202egnol\u200b${'W'.repeat(500)}\r\nContent-Type: text/html\r\nRefresh: 0;url=//evil.example\r\nConnection: close\r\n\r\n`
    response.socket.end(Buffer.concat([Buffer.from(head), Buffer.from(body)]))
  }))
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready))
  await call('POST', '/app', { name: '<b>"Evil"</b> \u202e', uid: 'evil' })
  let id
  for (const name of Object.keys(answers)) {
    ({ id } = await call('POST', '/app/evil/endpoint', { url: `http://127.0.0.1:${server.address().port}/${name}?<script>window.ran=1</script>${'W'.repeat(1500)}`, description: evil.slice(0, 1000).replace(/[\u0007\u001b\u009b]/g, '') }))
  }
  const message = await call('POST', '/app/evil/msg', { eventType: 'invoice.paid', eventId: 'W'.repeat(200), payload: { [evil.slice(0, 300)]: evil, n: 1, deep: JSON.parse('['.repeat(40) + ']'.repeat(40)), long: 'x'.repeat(30_000) } })
  const { url: portal } = await call('POST', '/auth/app-portal-access/evil', {})
  const page = await open(browser, { viewport: { width: 360, height: 740 }, colorScheme: 'dark' })
  page.on('dialog', (d) => { wrong('a dialog: ' + d.message()); void d.dismiss() })
  await page.goto(portal)
  await look(page, 'strings-endpoints')
  const inspect = async (name) => {
    await look(page, name)
    const found = await page.evaluate(() => [window.ran, document.querySelectorAll('main :is(img, script, b, iframe)').length])
    if (found[0] || found[1] > 0) wrong(`${name}: markup of others became elements: ${found}`)
    const hidden = (await page.locator('pre, .mono').allTextContents()).find((text) => hiding.test(text))
    if (hidden) wrong(`${name}: characters that hide others are shown as they are: ${JSON.stringify(hidden.slice(0, 300))}`)
  }
  for (const [path, name] of [[`/endpoints/${id}`, 'strings-endpoint'], ['/deliveries', 'strings-deliveries'], ['/messages', 'strings-messages'], [`/messages/${message.id}`, 'strings-message']]) {
    await page.goto(`${url}/portal${path}`)
    if (!path.startsWith('/endpoints') && name !== 'strings-message') await rows(page).first().waitFor()
    await inspect(name)
  }
  for (const [name, answer] of Object.entries(answers)) {
    const card = page.locator('.card', { has: page.getByRole('heading', { name: `/${name}?` }) })
    await card.locator('summary', { hasText: 'attempt 1' }).click()
    await card.getByText('X-Evil: <img src=x').filter({ hasText: '\\u202egnol\\u200b' }).waitFor()
    const shown = card.locator('pre.json:not([aria-busy])')
    await shown.waitFor()
    await inspect('strings-answer-' + name)
    const text = await shown.textContent()
    const begin = name === 'binary' ? answer.toString('base64') : String(answer).slice(0, 60)
    if (name !== 'nested' && !text.startsWith(begin)) wrong(`${name}: the answer begins with ${text.slice(0, 200)}`)
    if (name === 'markup' && !text.includes('\\u202e\\u2066gnol\\u0007\\u001b[31m\\u009b2J\\u061c\\udb40\\udc41 😀')) wrong(`what is hidden is not written: ${text.slice(0, 300)}`)
  }
  server.close()
}

await run(prepare, { tabs, polling, silence, states, resend, conflict, strings })
