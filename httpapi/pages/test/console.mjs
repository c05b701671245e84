// Drives the pages of the console by which operators run a cluster, and the look of the portal.

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { button, call, folder, hostile, isSignedIn, link, look, open, run, sizes, token, url, wrong } from './common.mjs'
import { refusedForms } from './forms.mjs'

// firstRun pastes what the overview of an empty cluster says, and sees the first event arrive.
async function firstRun(browser) {
  const page = await open(browser, {})
  await page.goto(`${url}/console#key=${token}`)
  await page.getByText('Waiting for your first event').waitFor()
  await sizes(page, 'console-first-run')
  for (const title of ['Create an application', 'Add an endpoint', 'Send a message']) {
    const command = await page.locator('.steps li', { hasText: title }).locator('pre').textContent()
    execFileSync('bash', ['-ec', command.replace('curl', 'curl --fail-with-body -sS')], { env: { ...process.env, TOKEN: token } })
    if (title === 'Create an application') await page.locator('.steps li', { hasText: title }).getByText('Done').waitFor()
  }
  await page.getByText('Your first event has arrived').waitFor()
  await look(page, 'console-first-event')
  await call('DELETE', '/app/acme')
  await page.context().close()
}

// eventTypes creates one, mends its schema, archives, restores and deletes it.
async function eventTypes(browser) {
  const page = await open(browser, {})
  await page.goto(`${url}/console#key=${token}`)
  await link(page, 'Event types').click()
  await sizes(page, 'console-types')
  await button(page, 'Import from OpenAPI').click()
  const document = page.getByLabel('Or the document')
  await document.fill('{"openapi": "3.1.0", "webhooks": {"a b": {"post": {}}}}')
  await button(page, 'Show what would change').click()
  await page.locator('[aria-invalid=true]:focus').waitFor()
  await look(page, 'console-import-wrong')
  await document.fill(`{"openapi": "3.1.0", "webhooks": {"imported.one": {"post": {"description": ${JSON.stringify(hostile)}}}}}`)
  await button(page, 'Show what would change').click()
  await page.getByText('Created', { exact: true }).waitFor()
  await sizes(page, 'console-import')
  await button(page, 'Import (1)').click()
  await page.getByText('1 imported, 0 archived.').waitFor()
  await link(page, 'imported.one').waitFor()
  await button(page, 'Create event type').click()
  await page.getByLabel('Name').fill('no such/name')
  await page.getByLabel('Description').fill(hostile)
  const schema = page.getByLabel('Schema, version 1')
  await schema.last().fill('{"type": "object",')
  await page.getByText('This is not JSON').waitFor()
  if (await button(page, 'Create event type').isEnabled()) wrong('a schema that is no JSON can be saved')
  await schema.last().fill('{"type": "nothing", "maximum": 12345678901234567890}')
  await button(page, 'Create event type').click()
  await page.locator('[aria-invalid=true]').first().waitFor()
  await look(page, 'console-type-wrong')
  await page.getByLabel('Name').fill('order.created')
  await schema.last().fill('{"type": "object", "properties": {"n": {"type": "integer", "maximum": 12345678901234567890}}, "examples": [{"n": 12345678901234567890}]}')
  await button(page, 'Create event type').click()
  await page.getByRole('heading', { level: 1, name: 'order.created' }).waitFor()
  await page.getByText('12345678901234567890').first().waitFor()
  await sizes(page, 'console-type')
  await button(page, 'Edit').click()
  await page.getByLabel('Group').fill('orders')
  await button(page, 'Add a schema').click()
  await sizes(page, 'console-type-edit')
  await button(page, 'Save').click()
  await button(page, 'Archive').waitFor()
  await page.getByRole('heading', { level: 2, name: 'Schema, version 2' }).waitFor()
  const response = await fetch(url + '/api/v1/event-type/order.created', { headers: { Authorization: 'Bearer ' + token } })
  const text = await response.text()
  if (text.split('"maximum":12345678901234567890').length !== 3 || !text.includes('"groupName":"orders"')) wrong('saved: ' + text)
  await button(page, 'Archive').click()
  await look(page, 'console-type-archive')
  await page.getByRole('dialog').getByRole('button', { name: 'Archive' }).click()
  await page.locator('main').getByText('Archived', { exact: true }).first().waitFor()
  await button(page, 'Restore').click()
  await page.getByText('In use').waitFor()
  await button(page, 'Delete for good').click()
  await page.getByRole('dialog').getByRole('button', { name: 'Delete for good' }).click()
  await link(page, 'imported.one').waitFor()
  if ((await page.getByText('order.created').count()) > 0) wrong('a deleted event type is listed')
  await page.context().close()
}

// columns checks that a table that was loaded on a phone has columns on a wide screen, and that one
// that is too narrow can be scrolled with the keyboard.
async function columns(page) {
  await page.setViewportSize({ width: 360, height: 800 })
  await page.reload()
  await page.locator('.long').first().waitFor()
  await page.setViewportSize({ width: 1280, height: 800 })
  const widths = await page.locator('.long th').evaluateAll((list) => list.map((e) => e.offsetWidth))
  if (widths.length === 0 || widths.some((n) => n < 80)) wrong('columns are as wide as ' + widths)
  const area = page.locator('.table').first()
  if ((await area.getAttribute('tabindex')) !== null) wrong('a table takes the focus for nothing')
  await area.locator('table').evaluate((e) => (e.style.minWidth = '3000px'))
  await page.locator('.table[tabindex="0"][role=group][aria-label]').first().waitFor()
  await look(page, 'console-scrolled')
}

// cluster looks at the node, tries to add one that does not exist, and takes a backup both ways.
async function cluster(browser) {
  const page = await open(browser, {})
  await page.addInitScript(() => delete window.showSaveFilePicker)
  await page.goto(`${url}/console#key=${token}`)
  await link(page, 'Cluster').click()
  await page.getByText('up to date').waitFor()
  await sizes(page, 'console-nodes')
  await button(page, 'Add a node').click()
  const dialog = page.getByRole('dialog')
  await dialog.getByRole('button', { name: 'Admit the node' }).click()
  await dialog.locator('[aria-invalid=true]').waitFor()
  await dialog.getByLabel('Address of the new node').fill('127.0.0.1:1')
  await dialog.getByText('address = "127.0.0.1:1"').waitFor()
  await dialog.getByRole('button', { name: 'Admit the node' }).click()
  await dialog.getByRole('alert').waitFor()
  await sizes(page, 'console-join')
  await dialog.getByRole('button', { name: 'Cancel' }).click()
  await page.goto(`${url}/console/cluster/configuration`)
  await page.getByText('api.token').waitFor()
  if ((await page.locator('body').innerText()).includes(token)) wrong('the configuration shows the token')
  await page.getByLabel('Only what differs').check()
  await page.getByText('delivery.timeout').waitFor({ state: 'detached' })
  await page.getByLabel('Only what differs').uncheck()
  await sizes(page, 'console-configuration')
  await columns(page)
  await page.goBack()
  const [download] = await Promise.all([page.waitForEvent('download'), button(page, 'Download a backup').click()])
  const size = readFileSync(await download.path()).length
  await page.evaluate(() => {
    window.written = 0
    window.showSaveFilePicker = async () => ({ createWritable: async () => new WritableStream({ write: (chunk) => void (window.written += chunk.length) }) })
  })
  await button(page, 'Download a backup').click()
  await page.getByText('The backup is complete.').waitFor()
  await page.waitForFunction((n) => window.written > n / 2, size)
  await page.context().close()
}

// links creates links to the portal, and ends them one by one and all at once.
async function links(browser) {
  const page = await open(browser, {})
  await page.goto(`${url}/console#key=${token}`)
  await isSignedIn(page)
  const { id } = await call('POST', '/app', { name: 'Linked ' + hostile, uid: 'linked' })
  await page.goto(`${url}/console/apps/${id}/settings`)
  await page.getByText('No link is valid.').waitFor()
  await page.getByLabel('Permits').selectOption('Viewing only')
  await button(page, 'Create a link').click()
  await page.getByRole('table').getByText('Viewing only').waitFor()
  await page.getByLabel('Permits').selectOption('Everything')
  await button(page, 'Create a link').click()
  await page.getByRole('table').getByText('Everything').waitFor()
  await sizes(page, 'console-links')
  await page.getByRole('button', { name: /^Revoke / }).first().click()
  await page.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click()
  await page.getByText('Revoked.').waitFor()
  await button(page, 'Revoke all tokens').click()
  await page.getByText('The one valid token is refused').waitFor()
  await page.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click()
  await page.getByText('No link is valid.').waitFor()
  await call('DELETE', '/app/linked')
  await page.context().close()
}

// branding gives the portal a look whose colours are in part unreadable, and looks at the portal.
async function branding(browser) {
  const page = await open(browser, {})
  await page.goto(`${url}/console#key=${token}`)
  await link(page, 'Portal look').click()
  await page.getByLabel('Name', { exact: true }).fill('Ärger & Söhne 😀')
  await page.getByLabel('Font').fill('Georgia')
  const colors = page.getByRole('region', { name: 'Light colors' })
  const dark = page.getByRole('region', { name: 'Dark colors' })
  await colors.getByLabel('Brand color', { exact: true }).fill('#ffee00')
  await colors.getByText('Not readable as text: contrast 1').waitFor()
  await dark.getByLabel('Background', { exact: true }).fill('#241434')
  await dark.getByLabel('Background of boxes', { exact: true }).fill('#fdfdfd')
  await dark.getByText('#241434 is used instead').waitFor()
  await dark.getByText('More colors').click()
  await dark.getByLabel('Secondary text', { exact: true }).fill('#40305')
  await dark.getByText('Six hexadecimal digits').waitFor()
  if (await button(page, 'Save').isEnabled()) wrong('a colour of five digits can be saved')
  await dark.getByLabel('Secondary text', { exact: true }).fill('#403050')
  await page.getByLabel('Logo', { exact: true }).fill('javascript:alert(1)')
  await button(page, 'Save').click()
  await page.locator('[aria-invalid=true]').getByText('').or(page.locator('.field', { hasText: 'must be an https URL' })).first().waitFor()
  await look(page, 'console-look-wrong')
  await button(page, 'Clear Logo').click()
  const svg = '<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(1)</script></svg>'
  await page.getByLabel('Logo: choose a file').setInputFiles({ name: 'a.png', mimeType: 'image/png', buffer: Buffer.from(svg) })
  await page.getByText('This is not an image that can be used').waitFor()
  await page.getByLabel('Logo: choose a file').setInputFiles({ name: 'logo.png', mimeType: 'image/png', buffer: await page.screenshot() })
  await page.getByText('which is part of the settings').waitFor()
  await button(page, 'Save').click()
  await page.getByText('Saved.').waitFor()
  await sizes(page, 'console-look')

  await call('POST', '/app', { name: 'Acme', uid: 'branded' })
  const { url: portal } = await call('POST', '/auth/app-portal-access/branded', {})
  await page.goto(portal)
  await page.getByText('Ärger & Söhne 😀').waitFor()
  await page.locator('.brand img.on-light').waitFor()
  if (!(await page.title()).endsWith('Ärger & Söhne 😀')) wrong('the title is ' + (await page.title()))
  const font = await page.evaluate(() => getComputedStyle(document.body).fontFamily)
  if (!font.startsWith('Georgia')) wrong('the font is ' + font)
  await sizes(page, 'portal-branded')
  await link(page, 'How it works').click()
  await page.getByText('attempts over about').waitFor()
  await sizes(page, 'portal-about')
  await page.goto(portal.replace('#', '?darkMode=true&primaryColor=ff00ff&fontFamily=Courier&icon=https%3A%2F%2Fexample.com%2Fa.png#'))
  await page.getByText('Ärger & Söhne 😀').waitFor()
  await look(page, 'portal-branded-parameters')
  await call('PUT', '/environment/settings', {})
  await page.context().close()
}

// removedChanges is what the audit list says about changes that had to make room for others.
async function removedChanges(browser) {
  const page = await open(browser, { viewport: { width: 360, height: 740 } })
  await page.route('**/api/v1/audit?*', async (route) => {
    const response = await route.fetch()
    await route.fulfill({ response, json: { ...(await response.json()), removed: { count: 1234, before: '2026-11-28T10:00:00Z' } } })
  })
  await page.goto(`${url}/console#key=${token}`)
  await link(page, 'Changes').click()
  await page.getByText('1,234 older changes were removed').waitFor()
  await look(page, 'console-audit-removed')
  await page.context().close()
}

// conflicts has somebody else save the same application, event type and look, while a form is open.
async function conflicts(browser) {
  const page = await open(browser, {})
  await page.goto(`${url}/console#key=${token}`)
  await isSignedIn(page)
  const { id } = await call('POST', '/app', { name: 'Shared', uid: 'shared' })
  await call('POST', '/event-type', { name: 'shared', description: 'Shared', schemas: { 1: { type: 'object', maximum: 1 } } })
  const forms = [
    [`/apps/${id}/settings`, 'Name', 'name', 'PATCH', '/app/shared', {}],
    ['/event-types/shared/edit', 'Description', 'description', 'PATCH', '/event-type/shared', { schemas: { 1: { type: 'object', maximum: 2 } } }],
    ['/look', 'Name', 'displayName', 'PUT', '/environment/settings', { colorPaletteLight: { primary: '#123456' } }],
  ]
  for (const [path, label, field, method, object, rest] of forms) {
    await page.goto(url + '/console' + path)
    const input = page.getByLabel(label, { exact: true })
    const choice = page.getByRole('group', { name: 'Somebody else has changed these settings.' })
    await input.fill('Mine')
    await call(method, object, { [field]: 'Theirs', ...rest })
    await button(page, 'Save').click()
    await choice.getByText('Theirs', { exact: true }).waitFor()
    await look(page, 'conflict-' + field)
    await button(page, 'Discard mine').click()
    await choice.waitFor({ state: 'detached' })
    if ((await input.inputValue()) !== 'Theirs') wrong(path + ': discarding keeps ' + (await input.inputValue()))
    await page.locator('[type=submit]:focus').waitFor()
    await input.fill('Mine again')
    await call(method, object, { [field]: 'Others' })
    await button(page, 'Save').click()
    await choice.getByText('Others', { exact: true }).waitFor()
    await button(page, 'Save mine').click()
    await page.getByText('Saved.').waitFor()
    const saved = await call('GET', object)
    if (saved[field] !== 'Mine again') wrong(path + ': the reader chose, and saved is ' + JSON.stringify(saved))
  }
  await call('PUT', '/environment/settings', {})
  await call('DELETE', '/app/shared')
  await call('DELETE', '/event-type/shared?expunge=true')
  await page.context().close()
}

// hostileTexts fills every field with what should be text only, as long as it may be, and looks at
// all pages that show it.
async function hostileTexts(browser) {
  const run = '<img src=x onerror="window.ran=1"><script>window.ran=1</script>{{7*7}}${7*7}javascript:window.ran=1 \u202e\u2066 عربي 😀'
  const long = (n) => run + 'W'.repeat(n - new TextEncoder().encode(run).length)
  const name = 'W'.repeat(256)
  const { id } = await call('POST', '/app', { name: long(4096), uid: name, metadata: { [run]: run } })
  const schema = `{"type": "object", "title": ${JSON.stringify(run)}, "properties": {"__proto__": {"type": "string", "description": ${JSON.stringify(long(2000))}},
    ${JSON.stringify(long(600))}: {"type": ["string", "null"]}, "constructor": true, "n": {"const": 1e300}}, "required": ["__proto__"], "examples": [{"__proto__": ${JSON.stringify(run)}}]}`
  const response = await fetch(url + '/api/v1/event-type', {
    method: 'POST', headers: { Authorization: 'Bearer ' + token },
    body: JSON.stringify({ name, description: long(4096), groupName: name }).slice(0, -1) + `,"schemas":{"1":${schema}}}`,
  })
  if (!response.ok) throw new Error(await response.text())
  const target = 'http://127.0.0.1:9/' + encodeURIComponent(run) + 'w'.repeat(3000)
  const endpoint = await call('POST', `/app/${id}/endpoint`, { url: target, description: long(4096), uid: name, channels: [name], headers: { 'X-A': '<b>"&' }, disabled: true })
  const message = await call('POST', `/app/${id}/msg`, { eventType: name, eventId: name, channels: [name], tags: ['w'.repeat(128)], payload: { [run]: long(5000) } })
  await call('POST', '/key', { name: long(4096), role: 'reader' })
  await call('PUT', '/environment/settings', { displayName: 'W'.repeat(100) + ' عربي \u{1f600}', customFontFamily: 'W'.repeat(64), customLogoUrl: 'data:image/png;base64,PHN2Zz4=' })
  const { url: portal } = await call('POST', `/auth/app-portal-access/${id}`, { sessionId: name })

  const page = await open(browser, {})
  page.on('dialog', (d) => { wrong('a dialog: ' + d.message()); void d.dismiss() })
  await page.addInitScript(() => addEventListener('securitypolicyviolation', (e) => (window.violated = e.violatedDirective + ' ' + e.blockedURI)))
  await page.goto(`${url}/console#key=${token}`)
  await isSignedIn(page)
  const own = ['/endpoints', `/endpoints/${endpoint.id}`, `/endpoints/${endpoint.id}/settings`, '/messages', `/messages/${message.id}`, '/deliveries']
  const visit = async (door, paths) => {
    for (const path of paths) {
      await page.goto(url + door + path)
      await page.locator('main h1').first().waitFor()
      await page.locator('.loading').first().waitFor({ state: 'detached' })
      const found = await page.evaluate(() => [window.ran, window.violated, document.querySelectorAll('main :not(.brand) > img, main script').length])
      for (const width of [360, 1280]) {
        await page.setViewportSize({ width, height: 800 })
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
        if (wide > 0) wrong(`${door}${path}: ${wide} px wider than a window of ${width} px`)
        if (folder) await page.screenshot({ path: `${folder}/hostile${(door + path).replaceAll(/[^a-z]+/g, '-').slice(0, 90)}-${width}.png` })
      }
      if (found[0] || found[1] || found[2] > 0) wrong(`${door}${path}: ${found}`)
    }
  }
  await visit('/console', ['/apps', `/event-types`, `/event-types/${name}`, `/event-types/${name}/edit`, '/keys', '/look', ...[...own, '/settings'].map((p) => `/apps/${id}${p}`)])
  await page.goto(portal)
  await page.getByText('عربي').first().waitFor()
  await look(page, 'hostile-portal')
  await visit('/portal', [own[2], own[4], `/event-types/${name}`])
  await page.goto(`${portal.replace('#', '?icon=javascript%3Awindow.ran%3D1&fontFamily=%22%3Bx&primaryColor=red%3B&next=%2F%2Fexample.com&darkMode=%3Cb%3E#')}`)
  await look(page, 'hostile-parameters')
  await call('PUT', '/environment/settings', {})
  await call('DELETE', `/app/${id}`)
  await call('DELETE', `/event-type/${name}?expunge=true`)
  await page.context().close()
}

await run(async () => undefined, { firstRun, eventTypes, cluster, links, branding, removedChanges, conflicts, refusedForms, hostileTexts })
