// Every route, and what pages show when the server refuses: each in another combination of width,
// theme and language, and with a folder for pictures in all of them.

import { call, folder, isSignedIn, look, open, receiver, receiverURL, token, until, url } from './common.mjs'

const combinations = [1280, 360].flatMap((width) => ['light', 'dark'].flatMap((colorScheme) => ['en-US', 'de-DE'].map((locale) => ({ width, colorScheme, locale }))))

// prepare makes one of everything, and returns the paths of its pages.
async function prepare() {
  await call('POST', '/app', { name: 'Rundgang GmbH & Co. KG', uid: 'tour' })
  await call('POST', '/event-type', { name: 'tour.taken', description: 'Somebody took the tour', groupName: 'tour', schemas: { 1: { type: 'object', properties: { n: { type: 'integer', description: 'Which one' } }, examples: [{ n: 1 }] } } })
  const endpoint = await call('POST', '/app/tour/endpoint', { url: receiverURL + '?tour', description: 'Production', eventTypes: ['tour.taken'], headers: { 'X-Tenant': 'tour' } })
  receiver.status = 500
  const { id: message } = await call('POST', '/app/tour/msg', { eventType: 'tour.taken', payload: { n: 12345, text: 'Some text', list: [1, 2, 3], none: null } })
  const attempt = await until('an attempt', async () => (await call('GET', `/app/tour/attempt/msg/${message}`)).data[0])
  receiver.status = 200
  await call('POST', '/app/tour/msg', { eventType: 'tour.taken', payload: { n: 2 } })
  const task = await call('POST', `/app/tour/endpoint/${endpoint.id}/bulk-replay`, { since: new Date(Date.now() - 3600_000).toISOString(), status: 'all' })
  const app = (await call('GET', '/app/tour')).id
  const shared = [
    '/endpoints', `/endpoints/${endpoint.id}`, `/endpoints/${endpoint.id}/deliveries`, `/endpoints/${endpoint.id}/settings`, '/deliveries', '/deliveries?status=4', '/messages', '/messages?search=nothing',
    `/messages/${message}?attempt=${attempt.id}`, '/tasks', `/tasks/${task.id}`, '/nothing',
  ]
  return {
    app, portal: [...shared, '/event-types', '/event-types/tour.taken', '/verify', '/about'],
    console: [
      '', '/apps', '/apps?search=nothing', '/live', '/event-types', '/event-types/tour.taken', '/event-types/tour.taken/edit', '/event-types/-/new', '/event-types/-/import', '/tasks', `/tasks/${task.id}`, '/keys',
      '/look', '/audit', '/cluster', '/cluster/configuration', '/nothing', ...(folder ? [...shared, '/settings'] : ['/endpoints', '/settings']).map((path) => `/apps/${app}${path}`), // the rest is as in the portal
      '/endpoints', '/endpoints?health=blocked',
    ],
  }
}

// refusals are responses to reading, by a name.
const refusals = {
  'no-leader': [503, 'unavailable', 'The cluster has no leader at the moment. Try again.'],
  'too-many': [429, 'rate_limit', 'Too many requests.'], forbidden: [403, 'forbidden', 'No.'], failed: [500, 'internal', 'Something went wrong here. The log of this node says what.'],
  gone: [404, 'not_found', 'Not found.'],
}

export async function everyRoute(browser) {
  const paths = await prepare()
  const { url: portal } = await call('POST', '/auth/app-portal-access/tour', {})
  const pages = {}
  for (const locale of ['en-US', 'de-DE']) {
    const page = await open(browser, { locale })
    for (const link of [portal, `${url}/console#key=${token}`]) {
      await page.goto(link)
      await isSignedIn(page)
    }
    pages[locale] = page
  }
  let turn = 0
  const visit = async (name, path) => {
    const chosen = folder ? combinations : [combinations[turn++ * 3 % combinations.length]]
    for (const [locale, page] of Object.entries(pages)) {
      const own = chosen.filter((c) => c.locale === locale)
      if (own.length === 0) continue
      await page.goto(url + path)
      await isSignedIn(page)
      for (const { width, colorScheme } of own) {
        await page.setViewportSize({ width, height: 800 })
        await page.emulateMedia({ colorScheme })
        await look(page, `${name}-${locale.slice(0, 2)}-${width}-${colorScheme}`)
      }
    }
  }
  for (const door of ['portal', 'console']) {
    for (const [i, path] of paths[door].entries()) await visit(`route-${door}-${String(i).padStart(2, '0')}`, `/${door}${path}`)
  }
  const refusing = /\/api\/v1\/(app\/[^/]+\/(attempt|msg|endpoint)|app\?|key|audit|cluster$|event-type|background-task)/
  for (const [i, [name, [status, code, detail]]] of Object.entries(refusals).entries()) {
    for (const page of Object.values(pages)) await page.route(refusing, (route) => route.fulfill({ status, json: { code, detail } }))
    const refused = ['/portal' + paths.portal[1], '/console/keys', '/portal/deliveries', '/console/event-types/tour.taken/edit']
    for (const path of folder ? refused : [refused[i % refused.length]]) await visit(`refused-${name}-${refused.indexOf(path)}`, path)
    for (const page of Object.values(pages)) await page.unroute(refusing)
  }
  for (const page of Object.values(pages)) await page.context().close()
  await call('DELETE', '/app/tour')
  await call('DELETE', '/event-type/tour.taken?expunge=true')
}
