// Pages of very many applications, endpoints and messages, for perf.mjs.

import { call, receiverURL, token, url } from './common.mjs'

const endpoints = 10_000 // in one application, and as many in others
const applications = 500
const messages = 1_000_000
const batch = 1000

// inParallel calls a function with each number below n, some at a time.
async function inParallel(n, width, f) {
  let next = 0
  const work = async () => {
    while (next < n) await f(next++)
  }
  await Promise.all(Array.from({ length: width }, work))
}

async function fill() {
  const began = Date.now()
  await call('POST', '/app', { name: 'Wide', uid: 'wide', maxEndpoints: endpoints })
  await inParallel(endpoints, 64, (i) => call('POST', '/app/wide/endpoint', { url: `${receiverURL}?wide=${i}`, description: `Branch ${i}` }))
  await inParallel(applications, 64, async (i) => {
    await call('POST', '/app', { name: `Customer ${i}`, uid: `customer-${i}` })
    for (let k = 0; k < endpoints / applications; k++) await call('POST', `/app/customer-${i}/endpoint`, { url: `${receiverURL}?customer=${i}&branch=${k}` })
  })
  await call('POST', '/app', { name: 'Long', uid: 'long' })
  const { id } = await call('POST', '/app/long/endpoint', { url: receiverURL })
  await call('POST', `/app/long/endpoint/${id}/pause`)
  const some = Array.from({ length: batch }, (_, i) => ({ eventType: 'measured', payload: { i, text: 'an event like many others' } }))
  await inParallel(messages / batch, 4, () => call('POST', '/app/long/msg/batch', some))
  console.log(`${2 * endpoints} endpoints and ${messages} messages were made in ${((Date.now() - began) / 1000).toFixed(0)} s`)
}

const pages = {
  'overview': '',
  '501 applications': '/apps', 'one of them by its name': '/apps?search=Customer+499',
  'endpoints of all applications': '/endpoints', 'those that are paused, one': '/endpoints?health=paused', 'those that are parked, none': '/endpoints?health=parked',
  'endpoints of an application that has 10,000': '/apps/wide/endpoints',
  'the application with a million messages': '/apps/long/endpoints',
  'a million messages': '/apps/long/messages', 'those with a text that none has': '/apps/long/messages?search=nowhere',
  'its deliveries, none': '/apps/long/deliveries',
}

// longLists measures from the beginning of a navigation until the list is there and nothing loads.
export async function longLists({ open, trace, report }) {
  await fill()
  const { page } = await open()
  await page.goto(`${url}/console#key=${token}`)
  await page.locator('header nav a').first().waitFor()
  for (const [name, path] of Object.entries(pages)) {
    await report(name, async () => {
      let until
      const tasks = await trace(page, async () => {
        await page.goto(url + '/console' + path, { waitUntil: 'commit' })
        const found = await page.waitForFunction(() => document.querySelector('main :is(tbody tr, .empty, .facts)') && !document.querySelector('.loading, [aria-busy=true]') && performance.now(), null, { polling: 'raf' })
        until = await found.jsonValue()
        await page.waitForTimeout(300)
      })
      return { tasks, until }
    })
  }
}
