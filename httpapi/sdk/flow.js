// The life of a customer's webhooks with the unmodified npm package svix: node flow.js URL TOKEN
const assert = require('node:assert/strict')
const http = require('node:http')
const { once } = require('node:events')
const { setTimeout: sleep } = require('node:timers/promises')
const { Svix, Webhook, ApiException, messageInRaw } = require('svix')
const standard = require('standardwebhooks')

// Receiver keeps what it is sent and answers what it is told to.
class Receiver {
  requests = []
  status = 200
  server = http.createServer((request, response) => {
    const chunks = []
    request.on('data', (chunk) => chunks.push(chunk))
    request.on('end', () => {
      this.requests.push({ headers: request.headers, body: Buffer.concat(chunks).toString() })
      response.writeHead(this.status).end('thanks')
    })
  })

  async listen() {
    this.server.listen(0, '127.0.0.1')
    await once(this.server, 'listening')
    this.url = `http://127.0.0.1:${this.server.address().port}/hook`
  }

  async await(count) {
    await until(`${count} requests`, () => this.requests.length >= count)
    return this.requests[count - 1]
  }
}

async function until(what, condition) {
  for (let i = 0; i < 1000; i++) {
    const value = await condition()
    if (value) return value
    await sleep(10)
  }
  assert.fail(`waited 10 s in vain for ${what}`)
}

function verify(secret, { headers, body }) {
  new Webhook(secret).verify(body, headers)
  new standard.Webhook(secret).verify(body, headers)
}

async function refused(status, call) {
  await assert.rejects(call, (error) => {
    assert.ok(error instanceof ApiException, `not an error of the API: ${error}`)
    assert.equal(error.code, status)
    assert.ok(error.body.detail.length > 0)
    return true
  })
}

async function main(url, token) {
  const svix = new Svix(token, { serverUrl: url })
  const receiver = new Receiver()
  await receiver.listen()
  const begin = new Date()

  const app = await svix.application.create({ name: 'Acme', uid: 'js', metadata: { plan: 'gold' } })
  assert.equal((await svix.application.getOrCreate({ name: 'Other', uid: 'js' })).name, 'Acme')
  assert.equal((await svix.application.patch('js', { rateLimit: 1000 })).rateLimit, 1000)
  assert.equal((await svix.application.update('js', { name: 'Acme', uid: 'js' })).rateLimit ?? null, null)
  assert.ok((await svix.application.list({ limit: 250 })).data.some((a) => a.id === app.id))

  await svix.eventType.create({ name: 'js.paid', description: 'Paid', schemas: { 1: { type: 'object', examples: [{ invoice: 1 }] } } })
  await svix.eventType.create({ name: 'js.failed', description: 'Failed' })
  assert.equal((await svix.eventType.patch('js.failed', { description: 'Not paid' })).description, 'Not paid')
  assert.deepEqual((await svix.eventType.list({ limit: 250 })).data.map((t) => t.name).filter((n) => n.startsWith('js.')), ['js.failed', 'js.paid'])

  const endpoint = await svix.endpoint.create('js', { url: receiver.url, uid: 'sales', filterTypes: ['js.paid'], channels: ['east'], headers: { 'X-Tenant': 'acme' } })
  assert.deepEqual(endpoint.filterTypes, ['js.paid'])
  assert.equal((await svix.endpoint.list('js')).data.length, 1)
  assert.equal((await svix.endpoint.getHeaders('js', 'sales')).headers['X-Tenant'], 'acme')
  await svix.endpoint.patchHeaders('js', 'sales', { headers: { Authorization: 'Bearer secret' } })
  assert.deepEqual((await svix.endpoint.getHeaders('js', 'sales')).sensitive, ['Authorization'])
  const { key } = await svix.endpoint.getSecret('js', 'sales')

  await svix.message.create('js', { eventType: 'js.failed', channels: ['east'], payload: {} })
  await svix.message.create('js', { eventType: 'js.paid', channels: ['west'], payload: {} })
  const message = await svix.message.create('js', { eventType: 'js.paid', eventId: 'one', channels: ['east'], payload: { invoice: 1, text: 'é' } }, { idempotencyKey: 'once' })
  const again = await svix.message.create('js', { eventType: 'js.paid', eventId: 'one', channels: ['east'], payload: { invoice: 1, text: 'é' } }, { idempotencyKey: 'once' })
  assert.equal(again.id, message.id)
  const first = await receiver.await(1)
  verify(key, first)
  assert.equal(first.headers['webhook-id'], message.id)
  assert.equal(first.headers['x-tenant'], 'acme')
  assert.deepEqual(JSON.parse(first.body), { invoice: 1, text: 'é' })
  assert.equal((await svix.message.get('js', 'one')).id, message.id)
  assert.deepEqual((await svix.message.list('js', { eventTypes: ['js.paid'] })).data.map((m) => m.channels), [['east'], ['west']])

  const attempts = await until('an attempt', async () => {
    const { data } = await svix.messageAttempt.listByMsg('js', 'one')
    return data.length > 0 && data
  })
  assert.equal(attempts[0].response, 'thanks')
  assert.ok(attempts[0].timestamp instanceof Date)
  assert.equal((await svix.messageAttempt.get('js', message.id, attempts[0].id)).responseStatusCode, 200)
  assert.equal((await svix.messageAttempt.listByEndpoint('js', 'sales', { status: 0 })).data.length, 1)
  assert.equal((await svix.messageAttempt.listAttemptedMessages('js', 'sales')).data[0].status, 0)
  assert.equal((await svix.messageAttempt.listAttemptedDestinations('js', 'one')).data[0].id, endpoint.id)

  await svix.messageAttempt.resend('js', 'one', 'sales')
  assert.equal((await receiver.await(2)).headers['webhook-id'], message.id)

  receiver.status = 500
  const failed = await svix.message.create('js', { eventType: 'js.paid', channels: ['east'], payload: { lost: true } })
  await until('the last attempt', async () => {
    const { data } = await svix.messageAttempt.listByMsg('js', failed.id, { status: 2 })
    return data.length === 3
  })
  receiver.status = 200
  const before = receiver.requests.length
  const task = await svix.endpoint.recover('js', 'sales', { since: begin })
  assert.match(task.id, /^qtask_/)
  assert.equal((await receiver.await(before + 1)).headers['webhook-id'], failed.id)
  await until('the end of the task', async () => (await svix.backgroundTask.get(task.id)).status === 'finished')
  assert.ok((await svix.backgroundTask.list()).data.some((t) => t.id === task.id))

  const raw = await svix.message.create('js', { ...messageInRaw('js.paid', '<xml/>', 'application/xml'), channels: ['east'] })
  const xml = await until('the raw message', () => receiver.requests.find((r) => r.headers['webhook-id'] === raw.id))
  assert.equal(xml.body, '<xml/>')
  assert.equal(xml.headers['content-type'], 'application/xml')

  await svix.endpoint.rotateSecret('js', 'sales', {})
  const next = (await svix.endpoint.getSecret('js', 'sales')).key
  assert.notEqual(next, key)
  const last = await svix.message.create('js', { eventType: 'js.paid', channels: ['east'], payload: {} })
  const both = await until('the last message', () => receiver.requests.find((r) => r.headers['webhook-id'] === last.id))
  verify(key, both)
  verify(next, both)

  await refused(404, () => svix.application.get('nobody'))
  await refused(404, () => svix.endpoint.get('js', 'nobody'))
  await refused(409, () => svix.application.create({ name: 'Acme', uid: 'js' }))
  await refused(409, () => svix.message.create('js', { eventType: 'js.paid', eventId: 'one', payload: {} }))
  await refused(409, () => svix.eventType.create({ name: 'js.paid', description: '' }))
  await refused(422, () => svix.endpoint.create('js', { url: 'no url' }))
  await refused(422, () => svix.endpoint.create('js', { url: receiver.url, filterTypes: ['js.unknown'] }))
  await refused(422, () => svix.application.list({ limit: 1000 }))
  await refused(413, () => svix.message.create('js', { eventType: 'js.paid', payload: { large: 'x'.repeat(100_000) } }))
  await refused(401, () => new Svix('wrong', { serverUrl: url }).application.list())

  await svix.endpoint.delete('js', 'sales')
  await refused(404, () => svix.endpoint.get('js', 'sales'))
  await svix.application.delete('js')
  await refused(404, () => svix.application.get('js'))
  receiver.server.close()
  receiver.server.closeAllConnections()
}

main(...process.argv.slice(2))
