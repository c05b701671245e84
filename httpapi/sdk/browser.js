// A customer's page with svix-react in Chromium, at another origin than the API. What it needs to
// know is JSON: the path of Chromium, the url of a node, the ports of an origin that its api.cors
// allows and of one that it does not, a portal token, and the ids of the application app, of an
// endpoint, and of a message to it that failed:
// node browser.js '{"chromium":…,"url":…,"allowed":…,"other":…,"token":…,"app":…,"endpoint":…,"message":…}'
const assert = require('node:assert/strict')
const http = require('node:http')
const { once } = require('node:events')
const { build } = require('esbuild')
const { chromium } = require('playwright-core')

async function bundle() {
  const { outputFiles } = await build({
    entryPoints: ['page.jsx'],
    bundle: true,
    write: false,
    jsx: 'automatic',
    define: { 'process.env.NODE_ENV': '"production"', process: '{}' }, // which the SDK reads
  })
  return outputFiles[0].text
}

// serve is an origin that has nothing but the page.
async function serve(port, script) {
  const server = http.createServer((request, response) => {
    const isScript = request.url === '/page.js'
    response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html')
    response.end(isScript ? script : '<!doctype html><body><script src="/page.js"></script></body>')
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return server
}

const functions = ['functions', 'attempt', 'created'] // hooks that read nothing

// hooks waits until all hooks that read have data or an error, and returns those. They do not say
// from the start that they are loading.
async function hooks(page) {
  await page.waitForFunction(
    (functions) => window.hooks && Object.entries(window.hooks).every(([name, { data, error }]) => data || error || functions.includes(name)),
    functions,
  )
  return page.evaluate(() => Object.fromEntries(Object.entries(window.hooks).map(([name, { data, error }]) => [name, { data, error: error && String(error) }])))
}

async function allowed(page, { url, app, token, endpoint, message }) {
  await page.evaluate((props) => window.show(props), { url, app, token, endpoint, message, attempt: { endpointId: endpoint, msgId: message } })
  const read = await hooks(page)
  for (const [name, { data, error }] of Object.entries(read)) {
    assert.equal(error, undefined, `${name}: ${error}`)
    assert.ok(data || functions.includes(name), `${name} has no data`)
  }
  assert.deepEqual(read.endpoints.data.map((e) => e.id), [endpoint])
  assert.deepEqual(read.messages.data.map((m) => m.id), [message])
  assert.equal(read.attempts.data.length, 3)
  assert.equal(read.attempted.data[0].id, message)
  assert.equal(read.destinations.data[0].id, endpoint)
  assert.deepEqual(read.byEndpoint.data.map((a) => a.id), read.attempts.data.map((a) => a.id))

  await page.evaluate(() => window.hooks.headers.updateEndpointHeaders({ headers: { 'X-Page': 'yes' } }))
  await page.evaluate(() => window.hooks.headers.patchEndpointHeaders({ headers: { 'X-More': 'too' } }))
  await page.evaluate((url) => window.hooks.functions.updateEndpoint({ url, description: 'changed in a page' }), read.endpoint.data.url)
  await page.evaluate(() => window.hooks.secret.rotateSecret({}))
  await page.evaluate(() => window.hooks.attempt.resendAttempt())
  await page.evaluate(() => window.hooks.functions.recoverEndpointMessages({ since: new Date(Date.now() - 3600_000) }))
  await page.evaluate((url) => window.hooks.created.url.setValue(url), read.endpoint.data.url)
  await page.waitForFunction((url) => window.hooks.created.url.value === url, read.endpoint.data.url)
  const created = await page.evaluate(() => window.hooks.created.createEndpoint())
  assert.equal(created.error, undefined)

  await page.reload()
  await page.evaluate((props) => window.show(props), { url, app, token, endpoint, message, attempt: {} })
  const now = await hooks(page)
  assert.deepEqual(now.headers.data.headers, { 'X-Page': 'yes', 'X-More': 'too' })
  assert.equal(now.endpoint.data.description, 'changed in a page')
  assert.notEqual(now.secret.data.key, read.secret.data.key)
  assert.deepEqual(now.endpoints.data.map((e) => e.id).sort(), [endpoint, created.endpoint.id].sort())
  await page.evaluate(() => window.hooks.functions.deleteEndpoint())
}

// status asks the API as a page does, and returns the status, or the error that the page gets.
function status(page, { url, app, token }) {
  return page.evaluate(
    ([url, token]) => fetch(url, { headers: { authorization: `Bearer ${token}` } }).then((response) => response.status, String),
    [`${url}/api/v1/app/${app}/endpoint`, token],
  )
}

async function main(props) {
  const script = await bundle()
  const servers = [await serve(props.allowed, script), await serve(props.other, script)]
  const browser = await chromium.launch({ executablePath: props.chromium, args: ['--no-sandbox'] })
  try {
    const page = await browser.newPage()
    await page.goto(`http://127.0.0.1:${props.allowed}/`)
    assert.equal(await status(page, props), 200)
    await allowed(page, props)

    const other = await browser.newPage()
    await other.goto(`http://127.0.0.1:${props.other}/`)
    assert.equal(await status(other, props), 'TypeError: Failed to fetch')
    await other.evaluate((p) => window.show({ ...p, attempt: {} }), props)
    const { endpoints } = await hooks(other)
    assert.equal(endpoints.data, undefined)
    assert.ok(endpoints.error)
  } finally {
    await browser.close()
    servers.forEach((server) => server.close())
    servers.forEach((server) => server.closeAllConnections())
  }
}

main(JSON.parse(process.argv[2]))
