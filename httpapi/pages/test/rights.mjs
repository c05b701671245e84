// What a token may not do is absent: nobody is asked to press what will be refused.

import { call, isSignedIn, open, receiverURL, token, until, url, wrong } from './common.mjs'

// needs are buttons, and the capability that each needs.
const needs = {
  'Add endpoint': 'ManageEndpoint', Pause: 'ManageEndpoint', Disable: 'ManageEndpoint', Save: 'ManageEndpoint', 'Test this URL': 'ManageEndpoint',
  'Set header': 'ManageEndpoint', 'Remove X-A': 'ManageEndpoint', 'Delete endpoint': 'ManageEndpoint',
  'Replay messages': 'CreateAttempts', 'Send an example': 'CreateAttempts', 'Choose all': 'CreateAttempts', 'Cancel the replay': 'CreateAttempts', Resend: 'CreateAttempts',
  Reveal: 'ViewEndpointSecret', Rotate: 'ManageEndpointSecret',
}

// operators are buttons of the console that only admins have, beside those.
const operators = [
  'Create application', 'Create a link', 'Delete application', 'Create key', 'Create event type', 'Import from OpenAPI', 'Edit', 'Archive', 'Delete for good', 'Show what would change',
  'Add a node', 'Download a backup',
]

const sets = [['ViewBase', 'CreateAttempts', 'ViewEndpointSecret'], ['ViewBase', 'ViewEndpointSecret', 'ManageEndpointSecret', 'ManageEndpoint']]

async function prepare() {
  const { id: app } = await call('POST', '/app', { name: 'Rights', uid: 'rights' })
  await call('POST', '/event-type', { name: 'right.given', description: '' })
  const { id: endpoint } = await call('POST', '/app/rights/endpoint', { url: receiverURL, headers: { 'X-A': 'a' } })
  const { id: message } = await call('POST', '/app/rights/msg', { eventType: 'right.given', payload: {} })
  await until('an attempt', async () => (await call('GET', `/app/rights/attempt/msg/${message}`)).data.length > 0)
  const { id: paused } = await call('POST', '/app/rights/endpoint', { url: receiverURL + '?paused' })
  await call('POST', `/app/rights/endpoint/${paused}/pause`)
  const { id: task } = await call('POST', `/app/rights/endpoint/${paused}/bulk-replay`, { since: new Date(Date.now() - 3600_000).toISOString(), status: 'all' })
  await call('POST', `/background-task/${task}/pause`)
  return { app, shared: ['/endpoints', `/endpoints/${endpoint}`, `/endpoints/${endpoint}/settings`, '/deliveries', `/messages/${message}`, `/tasks/${task}`] }
}

export async function rights(browser) {
  const { app, shared } = await prepare()
  for (const capabilities of sets) {
    const { url: link } = await call('POST', '/auth/app-portal-access/rights', { capabilities })
    const found = await buttons(browser, link, '/portal', shared)
    compare(capabilities.join(), found, Object.keys(needs).filter((name) => capabilities.includes(needs[name])))
  }
  const { token: reader } = await call('POST', '/key', { name: 'reader', role: 'reader' })
  const own = ['', '/apps', '/live', '/event-types', '/event-types/right.given', '/event-types/right.given/edit', '/event-types/-/new', '/event-types/-/import', '/tasks', '/keys', '/audit', '/cluster', '/cluster/configuration', '/look']
  const all = [...own, ...shared.map((path) => `/apps/${app}${path}`), `/apps/${app}/settings`]
  compare('admin', await buttons(browser, `${url}/console#key=${token}`, '/console', all), [...Object.keys(needs), ...operators])
  compare('reader', await buttons(browser, `${url}/console#key=${reader}`, '/console', all), [])
  await call('DELETE', '/app/rights')
  await call('DELETE', '/event-type/right.given?expunge=true')
}

// buttons returns the names of all buttons that a token sees on these pages, none of which may ask
// for what the token may not read.
async function buttons(browser, link, door, paths) {
  const page = await open(browser, {})
  page.on('response', (r) => r.status() === 403 && wrong(`${page.url()}: ${r.request().method()} ${r.url()} is forbidden`))
  await page.goto(link)
  await isSignedIn(page)
  const names = new Set()
  for (const path of paths) {
    await page.goto(url + door + path)
    await page.locator('main h1').first().waitFor()
    await page.locator('.loading').first().waitFor({ state: 'detached' })
    for (const name of await page.locator('main button').evaluateAll((list) => list.map((b) => (b.ariaLabel ?? b.textContent).trim()))) names.add(name.replace(/^Resend .*/, 'Resend'))
  }
  await page.context().close()
  return names
}

function compare(who, found, want) {
  const absent = want.filter((name) => !found.has(name))
  const present = [...Object.keys(needs), ...operators].filter((name) => found.has(name) && !want.includes(name))
  if (absent.length > 0) wrong(`${who}: absent are ${absent}`)
  if (present.length > 0) wrong(`${who}: present are ${present}`)
}
