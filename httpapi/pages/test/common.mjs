// What the drivers of pages share. Usage: node FLOWS.mjs URL TOKEN CHROMIUM [FOLDER for screenshots
// [FLOW]].

import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { chromium } from 'playwright-core'

export const [url, token, executablePath, folder, only] = process.argv.slice(2)
const axe = readFileSync(new URL('node_modules/axe-core/axe.min.js', import.meta.url), 'utf8')
const problems = []

export function wrong(text) {
  problems.push(text)
  console.log('WRONG: ' + text)
}

export async function call(method, path, body) {
  const headers = { Authorization: 'Bearer ' + token, 'Content-Type': 'application/json' }
  const response = await fetch(url + '/api/v1' + path, { method, headers, body: body && JSON.stringify(body) })
  const text = await response.text()
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`)
  return text === '' ? undefined : JSON.parse(text)
}

// receiver answers as it is told, and remembers requests.
export const receiver = { status: 200, requests: [] }
const server = createServer((request, response) => {
  let body = ''
  request.on('data', (part) => (body += part))
  request.on('end', () => {
    receiver.requests.push({ headers: request.headers, body })
    response.writeHead(receiver.status, { 'Content-Type': 'application/json' })
    response.end('{"received":true,"markup":"<img src=x onerror=alert(1)>"}')
  })
})
await new Promise((ready) => server.listen(0, '127.0.0.1', ready))
export const receiverURL = `http://127.0.0.1:${server.address().port}/hook`

export const hostile = `<b>Bold & Söhne</b> "\u202egnol" ${'x'.repeat(120)} 😀`

let stops = 0

export const others = new Set() // origins other than the node's that pages may ask

// look waits for the page, checks it and keeps a picture.
export async function look(page, name) {
  await page.locator('main h1').first().waitFor()
  await page.locator('.loading').first().waitFor({ state: 'detached' })
  const found = await page.evaluate(() => window.axe.run())
  for (const v of found.violations) wrong(`${name}: axe ${v.id}: ${v.nodes.map((n) => n.html.slice(0, 200)).join(' | ')}`)
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
  if (wide > 0) wrong(`${name}: ${wide} px wider than the window`)
  stops++
  if (folder) await page.screenshot({ path: `${folder}/${name}.png`, fullPage: true })
}

let turn = 0

// sizes looks at the same page on screens and phones, light and dark: with a folder for pictures at
// all four, else at one of them in turn.
export async function sizes(page, name) {
  const all = [[1280, 'light'], [360, 'dark'], [1280, 'dark'], [360, 'light']]
  for (const [width, colorScheme] of folder ? all : [all[turn++ % all.length]]) {
    await page.setViewportSize({ width, height: 800 })
    await page.emulateMedia({ colorScheme })
    await look(page, `${name}-${width}-${colorScheme}`)
  }
  await page.setViewportSize({ width: 1280, height: 800 })
  await page.emulateMedia({ colorScheme: 'light' })
}

export async function open(browser, options) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: 'en-US', ...options })
  await context.addInitScript({ content: axe })
  const page = await context.newPage()
  page.setDefaultTimeout(60_000)
  page.on('pageerror', (e) => wrong('error of a page: ' + e.stack))
  page.on('console', (m) => /Content.Security|Trusted/.test(m.text()) && wrong('policy: ' + m.text()))
  page.on('request', (r) => r.url().startsWith(url) || r.url().startsWith('data:') || others.has(new URL(r.url()).origin) || wrong('a request to ' + r.url()))
  return page
}

// isSignedIn waits until a page has taken its token, which comes after the load event: one who goes
// on before has none.
export const isSignedIn = (page) => page.locator('header nav a').first().waitFor()

export const button = (page, name) => page.getByRole('button', { name, exact: true })
export const link = (page, name) => page.getByRole('link', { name })

// press moves the focus with Tab to a button or a link, and presses it with Enter. Afterwards the
// focus is somewhere, be it at the title of another page.
export async function press(page, name, key = 'Enter') {
  await tabTo(page, name)
  await page.keyboard.press(key)
  await page.waitForFunction(() => document.activeElement !== document.body).catch(() => wrong(`the focus is lost after "${name}"`))
}

// type moves the focus with Tab to an input, and writes what it is to have.
export async function type(page, name, text) {
  await tabTo(page, name)
  await page.keyboard.press('ControlOrMeta+A')
  await page.keyboard.type(text)
}

// until calls a function again and again until it returns something true, and returns that.
export async function until(what, f) {
  for (const end = Date.now() + 60_000; Date.now() < end; ) {
    const found = await f()
    if (found) return found
    await new Promise((done) => setTimeout(done, 50))
  }
  throw new Error('in vain: ' + what)
}

// focused waits until the focus is at what has a name.
export async function focused(page, name) {
  const at = () => page.evaluate(() => (document.activeElement.getAttribute('aria-label') ?? document.activeElement.labels?.[0]?.textContent ?? document.activeElement.textContent).trim().slice(0, 200))
  await until(`the focus at "${name}"`, async () => name instanceof RegExp ? name.test(await at()) : (await at()) === name).catch(async (e) => { throw new Error(`${e.message}, it is at "${await at()}"`) })
}

// tabTo moves the focus with Tab, or with Shift+Tab where that is nearer, to what has a name, once
// it is there, and checks that the reader sees where it is.
export async function tabTo(page, name) {
  const found = await page.waitForFunction(([name, isPattern]) => {
    const area = document.querySelector('dialog[open]') ?? document
    const all = [...area.querySelectorAll('a[href], button, input, select, textarea, summary')]
    const found = all.filter((e) => {
      const label = (e.getAttribute('aria-label') ?? e.labels?.[0]?.textContent ?? e.textContent).trim()
      return e.getClientRects().length > 0 && !e.disabled && (isPattern ? new RegExp(name).test(label) : label === name)
    })
    return found.length > 0 && { isBehind: found.length === 1 && all.indexOf(document.activeElement) > all.indexOf(found[0]) }
  }, name instanceof RegExp ? [name.source, true] : [name, false]).catch((e) => { throw new Error(`there is no "${name}": ${e.message}`) })
  const { isBehind } = await found.jsonValue()
  for (let i = 0; i < 150; i++) {
    await page.keyboard.press(isBehind ? 'Shift+Tab' : 'Tab')
    const at = await page.evaluate(() => {
      const e = document.activeElement
      if (e === document.body) return
      const style = getComputedStyle(e), box = e.getBoundingClientRect()
      const label = e.getAttribute('aria-label') ?? e.labels?.[0]?.textContent ?? e.textContent
      const top = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2)
      return { label: label.trim(), outline: style.outlineStyle !== 'none' || e.type === 'checkbox' || e.matches('h1'), covered: box.width > 1 && top !== null && !e.contains(top) && !top.contains(e), html: e.outerHTML.slice(0, 150) }
    })
    if (at === undefined) continue
    if (!at.outline) wrong('the focus cannot be seen: ' + at.html)
    if (at.covered) wrong('the focus is covered: ' + at.html)
    if (at.label === name || name instanceof RegExp && name.test(at.label)) return
  }
  throw new Error(`Tab does not lead to "${name}"`)
}

// run goes through flows one after the other, and ends the process.
export async function run(prepare, flows) {
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
  try {
    await prepare()
    for (const flow of only ? [flows[only]] : Object.values(flows)) {
      receiver.status = 200
      const began = Date.now()
      try {
        await flow(browser)
      } catch (e) {
        wrong(`${flow.name}: ${e.stack}`)
        for (const page of browser.contexts().flatMap((c) => c.pages())) console.log(page.url() + '\n' + (await page.locator('body').innerText()))
      }
      for (const context of browser.contexts()) await context.close()
      console.log(`${flow.name}: ${((Date.now() - began) / 1000).toFixed(1)} s`)
    }
  } finally {
    await browser.close()
  }
  console.log(`${stops} pages looked at, ${problems.length} problems`)
  process.exit(problems.length > 0 ? 1 : 0)
}
