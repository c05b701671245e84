// Drives the pages in Chromium as their readers do, and checks the accessibility of each page that
// it comes by. It prints what is wrong.

import { createServer } from 'node:http'
import { button, call, folder, hostile, link, look, open, others, receiver, receiverURL, run, token, until, url, wrong } from './common.mjs'
import { keyboardInConsole, keyboardInPortal } from './keyboard.mjs'
import { rights } from './rights.mjs'
import { everyRoute } from './routes.mjs'

// host is a page of another origin that shows the portal in a frame.
const host = createServer((request, response) => {
  response.writeHead(200, { 'Content-Type': 'text/html' })
  response.end('<!doctype html><script>addEventListener("message", (e) => (window.height = e.data?.payload?.height))</script><iframe style="width:100%"></iframe>')
})
await new Promise((ready) => host.listen(0, '127.0.0.1', ready))
const hostURL = `http://127.0.0.1:${host.address().port}`
others.add(hostURL)

async function prepare() {
  await call('POST', '/app', { name: hostile, uid: 'acme' })
  const schema = { type: 'object', properties: { invoice: { type: 'integer', description: hostile } }, required: ['invoice'], examples: [{ invoice: 7 }] }
  for (const name of ['invoice.paid', 'user.created']) await call('POST', '/event-type', { name, description: hostile, schemas: { 1: schema } })
}

// customer goes through everything that a token with all capabilities may do.
async function customer(browser) {
  const { url: portal } = await call('POST', '/auth/app-portal-access/acme', {})
  const page = await open(browser, {})
  await page.goto(portal)
  await look(page, 'portal-empty')
  if (page.url().includes('key=')) wrong('the token stays in the address bar')

  await button(page, 'Add endpoint').click()
  const dialog = page.getByRole('dialog')
  await dialog.getByLabel('URL').fill('no url')
  await dialog.getByRole('button', { name: 'Add endpoint' }).click()
  await dialog.locator('[aria-invalid=true]:focus').waitFor()
  await look(page, 'portal-add-wrong')
  await dialog.getByLabel('URL').fill(receiverURL)
  await dialog.getByLabel('Description').fill(hostile)
  await dialog.getByRole('button', { name: 'Test this URL' }).click()
  await dialog.getByText('Delivered', { exact: true }).waitFor()
  await dialog.getByRole('button', { name: 'Add endpoint' }).click()
  await page.getByRole('heading', { level: 1, name: receiverURL }).waitFor()
  await look(page, 'portal-endpoint')

  await button(page, 'Send an example').click()
  await page.getByRole('dialog').getByRole('button', { name: 'Send an example' }).click()
  await page.getByRole('heading', { level: 1, name: 'invoice.paid' }).waitFor()
  await page.getByText('Delivered').first().waitFor()
  await page.locator('summary', { hasText: 'attempt 1' }).click()
  await page.getByText('Webhook-Id', { exact: false }).first().waitFor()
  await look(page, 'portal-message')
  await button(page, 'Resend').or(page.getByRole('button', { name: 'Resend to ' + receiverURL })).first().click()
  await page.locator('summary', { hasText: 'manual 1' }).waitFor()
  if (receiver.requests.length !== 3) wrong(`${receiver.requests.length} requests arrived, not 3`)

  receiver.status = 500
  const text = '{"invoice": 12345678901234567890, "amount": 1.10, "note": "\u202ehidden"}'
  await call('POST', '/app/acme/msg', { eventType: 'user.created', eventId: 'big', payload: { rawPayload: text } }).catch(() => undefined)
  await call('POST', '/app/acme/msg', { eventType: 'user.created', eventId: 'failing', payload: { invoice: 3 } })
  await link(page, 'Messages').first().click()
  await page.getByText(/^1 (pending|failed)$/).first().waitFor()
  await look(page, 'portal-messages')
  await page.getByLabel('Search').first().fill('failing')
  await button(page, 'Search').click()
  await page.getByText('failing').first().waitFor()
  if (!page.url().includes('search=failing')) wrong('the filter is not in the address')
  await page.goBack()
  await until('the filter of before', async () => (await page.getByLabel('Search').first().inputValue()) === '')
  await page.goForward()
  await until('the filter again', async () => (await page.getByLabel('Search').first().inputValue()) === 'failing')
  await link(page, 'Deliveries').first().click()
  await page.getByRole('table').getByText('Failed').first().waitFor()
  await look(page, 'portal-deliveries')

  await link(page, 'Endpoints').first().click()
  await link(page, receiverURL).click()
  await button(page, 'Replay messages').click()
  await button(page, 'Count messages').click()
  await page.getByRole('dialog').getByText(/will be sent/).waitFor()
  await look(page, 'portal-replay')
  receiver.status = 200
  await button(page, 'Start replay').click()
  await page.getByRole('progressbar').waitFor()
  await page.getByText('Finished').waitFor()
  await look(page, 'portal-task')
  await settings(page)
  for (const [path, name] of [['/event-types', 'portal-types'], ['/event-types/invoice.paid', 'portal-type'], ['/tasks', 'portal-tasks'], ['/endpoints/ep_none', 'portal-gone'], ['/nothing', 'portal-nothing']]) {
    await page.goto(url + '/portal' + path)
    await look(page, name)
  }
  await page.context().close()
}

// settings changes an endpoint, its headers and its key, verifies with that key, and deletes it.
async function settings(page) {
  await page.goto(url + '/portal/endpoints')
  await link(page, receiverURL).click()
  await button(page, 'Pause').click()
  await page.getByText('Paused', { exact: true }).waitFor()
  await button(page, 'Resume').click()
  await page.getByText('Healthy', { exact: true }).waitFor()
  await page.getByRole('navigation', { name: 'Parts' }).getByRole('link', { name: 'Settings' }).click()
  await look(page, 'portal-settings')
  await page.getByLabel('Description').fill('Production')
  await button(page, 'Save').click()
  await page.getByText('Saved.').waitFor()
  await page.getByLabel('Name').fill('X-Tenant')
  await page.getByLabel('Value').fill('acme')
  await button(page, 'Set header').click()
  await page.getByText('X-Tenant').first().waitFor()
  await button(page, 'Reveal').click()
  const secret = await page.locator('code', { hasText: 'whsec_' }).textContent()
  await button(page, 'Rotate').click()
  await page.getByRole('dialog').getByRole('button', { name: 'Rotate' }).click()
  await page.getByText('The new key signs from now on.').waitFor()

  const last = receiver.requests.at(-1)
  await link(page, 'Verify').click()
  await page.getByLabel('Headers').fill(['id', 'timestamp', 'signature'].map((n) => `webhook-${n}: ${last.headers['webhook-' + n]}`).join('\n'))
  await page.getByLabel('Body').fill(last.body)
  await page.getByLabel('Signing key').fill(secret)
  await button(page, 'Check').click()
  await page.getByText('The signature is valid.').waitFor()
  await page.getByLabel('Body').fill(last.body + ' ')
  await button(page, 'Check').click()
  await page.getByText('No signature matches.').waitFor()
  await look(page, 'portal-verify')

  await page.goto(url + '/portal/endpoints')
  await link(page, receiverURL).click()
  await page.getByRole('navigation', { name: 'Parts' }).getByRole('link', { name: 'Settings' }).click()
  await button(page, 'Delete endpoint').click()
  await page.getByRole('dialog').waitFor()
  await page.keyboard.press('Escape')
  await page.getByRole('dialog').waitFor({ state: 'detached' })
  await button(page, 'Delete endpoint').click()
  await look(page, 'portal-delete')
  await page.getByRole('dialog').getByRole('button', { name: 'Delete endpoint' }).click()
  await page.getByText('There are no endpoints yet.').waitFor()
}

// viewer has a token that may only read: what it may not do is absent.
async function viewer(browser) {
  await call('POST', '/app/acme/endpoint', { url: receiverURL, uid: 'viewed' })
  const { url: portal } = await call('POST', '/auth/app-portal-access/acme', { readOnly: true })
  const page = await open(browser, { viewport: { width: 360, height: 740 }, colorScheme: 'dark', locale: 'de-DE' })
  await page.goto(portal)
  await look(page, 'viewer-endpoints')
  await link(page, receiverURL).first().click()
  await page.getByText('Zustand').first().waitFor()
  await look(page, 'viewer-endpoint')
  for (const name of ['Endpunkt hinzufügen', 'Anhalten', 'Abschalten', 'Nachrichten wiederholen', 'Beispiel senden']) {
    if ((await button(page, name).count()) > 0) wrong(`a reader sees "${name}"`)
  }
  if ((await link(page, 'Einstellungen').count()) > 0) wrong('a reader sees settings')
  await page.goto(url + '/console')
  await look(page, 'console-sign-in')
  await page.context().close()
}

// operator goes through the console.
async function operator(browser) {
  const page = await open(browser, {})
  for (const part of ['', btoa('{"token":"a\\r\\nb"}'), '%00%ff', 'A'.repeat(20_000)]) { // what can't be a token
    await page.goto('about:blank')
    await page.goto(`${url}/console#key=${part}`)
    await page.getByRole('heading', { level: 1, name: 'Sign in' }).waitFor()
  }
  for (const wrong of ['kein Schlüssel', 'wrong']) {
    await page.getByLabel('Token').fill(wrong)
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { level: 1, name: 'This token does not fit here' }).waitFor()
  }
  await page.getByLabel('Token').fill(token)
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { level: 1, name: 'Overview' }).waitFor()
  await page.getByText('Needs attention').first().waitFor()
  await look(page, 'console-overview')
  await link(page, 'Show all endpoints').click()
  await page.getByRole('table').getByText(receiverURL).first().waitFor()
  await page.getByLabel('State').selectOption('paused')
  await page.getByText('Nothing matches').waitFor()
  if (!page.url().includes('health=paused')) wrong('the filter is not in the address')
  await page.getByLabel('State').selectOption('healthy')
  await page.getByRole('table').getByText(receiverURL).first().waitFor()
  await link(page, 'Live').click()
  await page.locator('h1:focus', { hasText: 'Live' }).waitFor()
  await page.locator('.connection').getByText('Live').waitFor()
  await call('POST', '/app/acme/msg', { eventType: 'user.created', payload: {} })
  await page.getByRole('table').getByText('Delivered').first().waitFor()
  await look(page, 'console-live')
  await link(page, 'Applications').click()
  await button(page, 'Create application').click()
  await page.getByRole('dialog').getByLabel('Name').fill('Second')
  await page.getByRole('dialog').getByRole('button', { name: 'Create application' }).click()
  await page.getByText('There are no endpoints yet.').waitFor()
  await look(page, 'console-app')
  await page.getByRole('navigation', { name: 'Application' }).getByRole('link', { name: 'Settings' }).click()
  await button(page, 'Create a link').click()
  await page.getByText('/portal#key=').waitFor()
  await look(page, 'console-app-settings')
  await button(page, 'Delete application').click()
  await page.getByRole('dialog').getByLabel(/Type the name/).fill('Second')
  await page.getByRole('dialog').getByRole('button', { name: 'Delete application' }).click()
  await page.getByRole('heading', { level: 1, name: 'Applications' }).waitFor()
  await look(page, 'console-apps')
  await link(page, 'API keys').click()
  await button(page, 'Create key').click()
  await page.getByRole('dialog').getByLabel('Name').fill('billing')
  await page.getByRole('dialog').getByRole('button', { name: 'Create key' }).click()
  await page.getByText('Copy the token now.').waitFor()
  await button(page, 'Close').click()
  await page.getByText('billing').first().waitFor()
  await look(page, 'console-keys')
  await page.getByRole('button', { name: 'Revoke billing' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Revoke', exact: true }).click()
  await page.getByText('Revoked.').waitFor()
  await link(page, 'Changes').click()
  await page.getByText('endpoint.created').first().waitFor()
  await look(page, 'console-audit')
  await link(page, 'Cluster').click()
  await page.getByText('Leader').first().waitFor()
  await look(page, 'console-cluster')
  await button(page, 'Sign out').click()
  await page.getByRole('heading', { level: 1, name: 'Sign in' }).waitFor()
  await page.context().close()
}

// embedded shows the portal in a frame of another origin.
async function embedded(browser) {
  const { url: portal } = await call('POST', '/auth/app-portal-access/acme', {})
  const page = await open(browser, {})
  await page.goto(hostURL)
  const framed = portal.replace('#', '?darkMode=true&primaryColor=ffee00&fontFamily=Roboto&hideNavigation=true&next=/messages#')
  await page.locator('iframe').evaluate((frame, src) => (frame.src = src), framed)
  await page.frameLocator('iframe').getByRole('heading', { level: 1, name: 'Messages' }).waitFor()
  await page.waitForFunction(() => window.height > 0)
  if ((await page.frameLocator('iframe').getByRole('navigation', { name: 'Main' }).count()) > 0) wrong('hideNavigation has no effect')
  if (folder) await page.screenshot({ path: `${folder}/embedded.png` })
  await page.context().close()
}

// large shows a long payload a few blocks at a time, and stops when the reader leaves.
async function large(browser) {
  const payload = { list: Array.from({ length: 3000 }, (_, i) => ({ id: 'in_' + i, amount: i / 8, customer: { name: 'Ada Lovelace', tags: ['a', 'b'], none: null } })), last: 'x'.repeat(100_000) + ' end of the payload' }
  await call('POST', '/app', { name: 'Large', uid: 'large' })
  const { id } = await call('POST', '/app/large/msg', { eventType: 'invoice.paid', payload })
  const { url: portal } = await call('POST', '/auth/app-portal-access/large', {})
  const page = await open(browser, { permissions: ['clipboard-read', 'clipboard-write'] })
  await page.addInitScript(() => {
    window.slices = []
    new MutationObserver((list) => {
      const added = list.filter((m) => m.target.matches?.('pre.json')).reduce((sum, m) => sum + m.addedNodes.length, 0)
      if (added > 0) window.slices.push(added)
      if (window.leave && added > 0) {
        window.left = document.querySelector('pre.json')
        document.querySelector('.crumbs a').click()
      }
    }).observe(document, { childList: true, subtree: true })
  })
  await page.goto(portal.replace('#', `?next=/messages/${id}#`))
  await page.locator('pre.json:not([aria-busy])').waitFor()
  const [slices, text] = await page.evaluate(() => [window.slices, [...document.querySelectorAll('pre.json > div')].map((d) => d.textContent)])
  if (Math.max(...slices) > 8 || Math.max(...text.map((block) => block.length)) > 4096) wrong(`blocks that were added at a time: ${slices}`)
  const [list, last] = JSON.stringify(payload, null, 2).split('x'.repeat(100_000))
  if (!text.join('\n').startsWith(list.slice(0, list.lastIndexOf('\n'))) || !text.join('').endsWith(last)) wrong('the payload is another')
  if (!(await page.evaluate(() => window.find('end of the payload')))) wrong('the browser does not find the end')
  await page.locator('.actions button').last().click()
  await page.getByText('Copied').waitFor()
  if ((await page.evaluate(() => navigator.clipboard.readText())) !== JSON.stringify(payload)) wrong('the copy is another')
  await link(page, 'Messages').first().click()
  await page.getByRole('heading', { level: 1, name: 'Messages' }).waitFor()
  await page.evaluate(() => (window.leave = true))
  await page.goBack()
  await page.waitForFunction(() => window.left?.isConnected === false)
  const drawn = await page.evaluate(async () => {
    for (let i = 0; i < 30; i++) await new Promise((done) => setTimeout(done))
    return window.left.children.length
  })
  if (drawn > 8) wrong(`${drawn} blocks were drawn for nobody`)
}

await run(prepare, { customer, viewer, operator, embedded, large, keyboardInPortal, keyboardInConsole, rights, everyRoute })
