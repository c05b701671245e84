// Every form, and what it does when the server refuses: it says why, at the field if the server
// names one, keeps what was typed, and can be sent again.

import { button, call, folder, isSignedIn, open, receiverURL, token, url, wrong } from './common.mjs'

const refusals = [
  [429, 'There are too many requests at the moment.'],
  [507, 'There is no room for this at the moment.'],
  [503, 'The server cannot respond at the moment.'],
]

let turn = 0

// tried are all refusals with a folder for pictures, else one of them in turn.
const tried = () => (folder ? refusals : [refusals[turn++ % refusals.length]])

const settings = (page) => page.getByRole('region', { name: 'Settings' })

// forms say where each is, how it is opened, what it sends, what to fill in, the button that sends
// it, and the input whose fault the server names.
const formsOf = ({ app, endpoint, message, task }) => [
  { path: `/apps/${app}/endpoints`, opener: 'Add endpoint', sends: 'POST endpoint', fill: { URL: receiverURL, Description: 'mine' }, submit: 'Add endpoint', field: 'description', at: 'Description' },
  { path: `/apps/${app}/endpoints/${endpoint}/settings`, area: settings, sends: `PATCH endpoint/${endpoint}`, fill: { Description: 'mine' }, submit: 'Save', field: 'throttleRate', at: 'Maximum messages per second' },
  { path: `/apps/${app}/endpoints/${endpoint}/settings`, sends: `PATCH endpoint/${endpoint}/headers`, fill: { Name: 'X-A', Value: 'mine' }, submit: 'Set header', field: 'headers/X-A', at: 'Name' },
  { path: `/apps/${app}/endpoints/${endpoint}/settings`, opener: 'Rotate', sends: 'POST secret/rotate', fill: { 'The old key keeps signing for': '3600' }, submit: 'Rotate' },
  { path: `/apps/${app}/endpoints/${endpoint}/settings`, opener: 'Delete endpoint', sends: `DELETE endpoint/${endpoint}`, submit: 'Delete endpoint' },
  { path: `/apps/${app}/endpoints/${endpoint}`, sends: 'POST pause', submit: 'Pause' },
  { path: `/apps/${app}/endpoints/${endpoint}`, opener: 'Replay messages', sends: 'POST bulk-replay', fill: { 'Maximum messages per second': 'many' }, submit: 'Count messages', field: 'rate', at: 'Maximum messages per second' },
  { path: `/apps/${app}/endpoints/${endpoint}`, opener: 'Send an example', sends: 'POST send-example', submit: 'Send an example', field: 'eventType', at: 'Event type' },
  { path: `/apps/${app}/messages/${message}`, sends: 'POST resend', submit: `Resend to ${receiverURL}` },
  { path: `/tasks/${task}`, opener: 'Cancel the replay', sends: 'POST cancel', submit: 'Cancel the replay' },
  { path: '/apps', opener: 'Create application', sends: 'POST app', fill: { Name: 'Mine', uid: 'mine' }, submit: 'Create application', field: 'uid', at: 'uid', taken: true },
  { path: `/apps/${app}/settings`, area: settings, sends: `PATCH app/${app}`, fill: { Name: 'Mine' }, submit: 'Save', field: 'name', at: 'Name' },
  { path: `/apps/${app}/settings`, sends: `POST app-portal-access/${app}`, fill: { Permits: 'view', 'Valid for': '3600' }, submit: 'Create a link' },
  { path: `/apps/${app}/settings`, opener: 'Delete application', sends: `DELETE app/${app}`, fill: { 'Type the name to confirm: Forms': 'Forms' }, submit: 'Delete application' },
  { path: '/keys', opener: 'Create key', sends: 'POST key', fill: { Name: 'mine', Role: 'reader' }, submit: 'Create key', field: 'name', at: 'Name' },
  { path: '/event-types/-/new', sends: 'POST event-type', fill: { Name: 'mine', Group: 'mine' }, submit: 'Create event type', field: 'name', at: 'Name', taken: true },
  { path: '/event-types/form.filled/edit', sends: 'PATCH event-type/form.filled', fill: { Group: 'mine' }, submit: 'Save', field: 'schemas/1', at: 'Schema, version 1' },
  { path: '/event-types/form.filled', opener: 'Archive', sends: 'DELETE event-type/form.filled', submit: 'Archive' },
  { path: '/event-types/-/import', sends: 'POST openapi', fill: { 'Or the document, in JSON or YAML': 'openapi: 3.1.0' }, submit: 'Show what would change', field: 'specRaw', at: 'Or the document, in JSON or YAML' },
  { path: '/look', sends: 'PUT settings', fill: { Font: 'Mine' }, submit: 'Save', field: 'displayName', at: 'Name' },
  { path: '/cluster', opener: 'Add a node', sends: 'POST members', fill: { 'Address of the new node': 'mine:1' }, submit: 'Admit the node', field: 'address', at: 'Address of the new node' },
]

async function prepare() {
  const { id: app } = await call('POST', '/app', { name: 'Forms', uid: 'forms' })
  await call('POST', '/event-type', { name: 'form.filled', description: '', schemas: { 1: { type: 'object' } } })
  const { id: endpoint } = await call('POST', '/app/forms/endpoint', { url: receiverURL })
  const { id: message } = await call('POST', '/app/forms/msg', { eventType: 'form.filled', payload: {} })
  const { id: slow } = await call('POST', '/app/forms/endpoint', { url: receiverURL + '?paused' })
  await call('POST', `/app/forms/endpoint/${slow}/pause`)
  const { id: task } = await call('POST', `/app/forms/endpoint/${slow}/bulk-replay`, { since: new Date(Date.now() - 3600_000).toISOString(), status: 'all' })
  await call('POST', `/background-task/${task}/pause`)
  return { app, endpoint, message, task }
}

export async function refusedForms(browser) {
  const things = await prepare()
  const page = await open(browser, {})
  await page.goto(`${url}/console#key=${token}`)
  await isSignedIn(page)
  let refusal
  await page.route('**/api/v1/**', (route) => refusal?.(route) ?? route.continue())
  for (const form of formsOf(things)) await drive(page, form, (to) => (refusal = to))
  await unknownOutcomes(page, things.app, (to) => (refusal = to))
  await inGerman(browser)
  await call('DELETE', '/app/forms')
  await call('DELETE', '/event-type/form.filled?expunge=true')
  await page.context().close()
}

async function drive(page, { path, opener, area, sends, fill = {}, submit, field, at, taken }, refuse) {
  const name = `${path}: ${submit}`
  const [method, end] = sends.split(' ')
  const answer = (response) => refuse((route) => route.request().method() === method && new URL(route.request().url()).pathname.endsWith('/' + end) ? route.fulfill(response) : undefined)
  refuse(undefined)
  if (!page.url().endsWith('/console' + path)) await page.goto(url + '/console' + path)
  if (opener) await button(page, opener).click()
  const within = opener ? page.getByRole('dialog') : area ? area(page) : page.locator('main')
  const input = (label) => within.getByLabel(label, { exact: true }).last()
  for (const [label, value] of Object.entries(fill)) {
    await input(label).waitFor()
    await (await input(label).evaluate((e) => e.tagName === 'SELECT') ? input(label).selectOption(value) : input(label).fill(value))
  }
  const send = async (what, shown) => {
    await button(within, submit).click()
    await shown.waitFor().catch((e) => wrong(`${name}, ${what}: ${e.message}`))
    await button(within, submit).and(page.locator('[aria-busy=false]')).waitFor()
    for (const [label, value] of Object.entries(fill)) {
      if ((await input(label).inputValue()) !== value) wrong(`${name}, ${what}: ${label} has become ${await input(label).inputValue()}`)
    }
  }
  for (const [status, text] of tried()) {
    answer({ status, json: { code: 'refused', detail: `Refused with ${status}.` } })
    await send(status, within.getByRole('alert').filter({ hasText: text }).locator('[lang=en]').getByText(`Refused with ${status}.`))
  }
  if (field) await atItsField(page, within, name, { input, field, at, taken }, answer, send)
  if (opener) await page.keyboard.press('Escape')
}

// atItsField checks that what the server says of a field is there, and so is the focus.
async function atItsField(page, within, name, { input, field, at, taken }, answer, send) {
  const atField = within.locator('.field', { has: page.getByLabel(at, { exact: true }) }).locator('.error', { hasText: 'Not like that' })
  answer({ status: 422, json: { detail: [{ loc: ['body', ...field.split('/')], msg: 'Not like that.', type: 'value_error' }] } })
  await send(422, atField)
  await input(at).and(page.locator(':focus')).waitFor().catch(() => wrong(`${name}: the focus is not at ${at}`))
  if (!taken) return
  answer({ status: 409, json: { code: 'conflict', detail: 'Not like that: it exists.' } })
  await send(409, atField.filter({ hasText: 'it exists' }))
}

const german = {
  400: 'So kann der Server das nicht ausführen.', 403: 'Das dürfen Sie nicht.', 404: 'Das gibt es nicht oder nicht mehr.', 413: 'Das ist zu groß.', 418: 'Die Anfrage schlug mit Status 418 fehl.',
  429: 'Gerade gibt es zu viele Anfragen.', 500: 'Auf dem Server ist ein Fehler aufgetreten.', 503: 'Der Server kann gerade nicht antworten.', 507: 'Dafür ist im Moment kein Platz.',
}

// inGerman checks that readers of German learn in German what went wrong, and that what the server
// says beside it is marked as English.
async function inGerman(browser) {
  const page = await open(browser, { locale: 'de-DE' })
  await page.goto(`${url}/console#key=${token}`)
  await page.getByRole('link', { name: 'Anwendungen' }).first().click()
  await button(page, 'Anwendung erstellen').click()
  const dialog = page.getByRole('dialog')
  const refused = async (name, where, response, says) => {
    await page.route('**/api/v1/app', (route) => route.fulfill(response))
    await button(dialog, 'Anwendung erstellen').click()
    await where.filter({ hasText: says }).locator('[lang=en]').getByText(`No: ${name}.`).waitFor().catch((e) => wrong(`${name} in German: ${e.message}`))
    await page.unroute('**/api/v1/app')
  }
  for (const [status, says] of Object.entries(german)) {
    await refused(status, dialog.getByRole('alert'), { status: Number(status), json: { code: 'refused', detail: `No: ${status}.` } }, says)
  }
  await refused('limit', dialog.getByRole('alert'), { status: 400, json: { code: 'limit_reached', detail: 'No: limit.' } }, 'Mehr sind nicht erlaubt.')
  const atField = dialog.locator('.field', { has: page.getByLabel('uid') }).locator('.error')
  await refused('conflict', atField, { status: 409, json: { code: 'conflict', detail: 'No: conflict.' } }, 'Das gibt es schon')
  await refused('field', atField, { status: 422, json: { detail: [{ loc: ['body', 'uid'], msg: 'No: field.', type: 'value_error' }] } }, 'Diese Angabe wird nicht angenommen.')
  await page.context().close()
}

// unknownOutcomes creates and deletes an endpoint, each with a response that says that nobody knows
// whether it took effect, which it did. Who tries again has one endpoint, and then none.
async function unknownOutcomes(page, app, refuse) {
  const lose = (method) => refuse(async (route) => {
    if (route.request().method() !== method) return route.continue()
    refuse(undefined)
    await route.fetch()
    await route.fulfill({ status: 503, json: { code: 'unavailable', detail: 'It is not known whether this took effect.' } })
  })
  const again = async (name) => {
    for (const text of ['It is not known', '']) {
      await button(page.getByRole('dialog'), name).click()
      if (text) await page.getByRole('dialog').getByText(text).waitFor()
    }
  }
  const made = async () => (await call('GET', '/app/forms/endpoint')).data.filter((e) => e.url.endsWith('?once')).length
  await page.goto(`${url}/console/apps/${app}/endpoints`)
  await button(page, 'Add endpoint').click()
  await page.getByRole('dialog').getByLabel('URL').fill(receiverURL + '?once')
  lose('POST')
  await again('Add endpoint')
  await page.getByRole('heading', { level: 1, name: receiverURL + '?once' }).waitFor()
  if ((await made()) !== 1) wrong(`${await made()} endpoints were created, not one`)
  await page.getByRole('navigation', { name: 'Parts' }).getByRole('link', { name: 'Settings' }).click()
  await button(page, 'Delete endpoint').click()
  lose('DELETE')
  await again('Delete endpoint')
  await page.getByRole('heading', { level: 1, name: 'Endpoints' }).waitFor()
  if ((await made()) !== 0) wrong('the endpoint was not deleted')
}
