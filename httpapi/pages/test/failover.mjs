// Drives pages that stay open while nodes are killed. It prints KILL LEADER and KILL ALL, and goes on
// when it reads that this is done.

import { createInterface } from 'node:readline'
import { call, open, receiverURL, run, token, url, wrong } from './common.mjs'

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]()

async function control(command) {
  console.log(command)
  const { value } = await answers.next()
  if (value !== 'DONE') throw new Error(`${command}: ${value}`)
}

async function prepare() {
  await call('POST', '/app', { name: 'Acme', uid: 'acme' })
  await call('POST', '/event-type', { name: 'invoice.paid', description: '' })
  await call('POST', '/app/acme/endpoint', { url: receiverURL })
}

// send insists, as a producer should.
async function send(invoice) {
  for (let i = 0; ; i++) {
    try {
      return await call('POST', '/app/acme/msg', { eventType: 'invoice.paid', eventId: `invoice-${invoice}`, payload: { invoice } })
    } catch (e) {
      if (/ 409 /.test(e.message)) return
      if (i === 100) throw e
      await new Promise((done) => setTimeout(done, 300))
    }
  }
}

// failover leaves a portal and a console open and alone.
async function failover(browser) {
  const { url: link } = await call('POST', '/auth/app-portal-access/acme', {})
  const portal = await open(browser, {})
  const door = new URL(link)
  await portal.goto(`${url}${door.pathname}?next=/deliveries${door.hash}`)
  const live = await open(browser, {})
  await live.goto(`${url}/console#key=${token}`)
  await live.getByRole('link', { name: 'Live' }).click()
  const overview = await live.context().newPage()
  await overview.goto(`${url}/console#key=${token}`)
  await overview.getByText('Needs attention').first().waitFor()
  const pages = { portal, live, overview }
  const areLive = async () => {
    for (const [name, page] of Object.entries(pages)) {
      await page.locator('.connection').getByText('Live', { exact: true }).waitFor({ timeout: 60_000 }).catch(() => wrong(`${name} does not reconnect`))
      await page.locator('[role=alert]').first().waitFor({ state: 'detached', timeout: 60_000 }).catch(() => wrong(`${name} keeps its failure`))
    }
  }
  const delivered = async (n) => {
    await portal.waitForFunction((n) => document.querySelectorAll('tbody tr').length >= n, n, { timeout: 60_000 })
    await live.waitForFunction((n) => [...document.querySelectorAll('tbody tr')].filter((r) => /Delivered/.test(r.textContent)).length >= n, n, { timeout: 60_000 })
    await areLive()
  }
  await areLive()
  await send(1)
  await delivered(1)
  await control('KILL LEADER')
  await send(2)
  await delivered(2)
  await control('KILL ALL')
  await send(3)
  await delivered(3)
  if ((await overview.getByRole('heading', { level: 1 }).textContent()) !== 'Overview') wrong('the overview has become another page')
}

await run(prepare, { failover })
