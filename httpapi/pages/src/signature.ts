// Verifies signatures in the browser, as a receiver should: https://www.standardwebhooks.com.

import { t } from './text'

const tolerance = 5 * 60 // seconds

// verify returns what is wrong, or nothing if the signature is valid.
export async function verify(headers: string, body: string, secret: string, now = Date.now()): Promise<string[]> {
  const lines = new Map(headers.split('\n').map((line) => {
    const colon = line.indexOf(':')
    return [line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim()] as const
  }))
  const header = (name: string) => lines.get('webhook-' + name) ?? lines.get('svix-' + name) ?? ''
  const missing = ['id', 'timestamp', 'signature'].filter((name) => header(name) === '')
  if (missing.length > 0) return missing.map((name) => t.headerMissing('webhook-' + name))
  const key = keyOf(secret.trim())
  if (!key) return [t.badSecret]

  const found: string[] = []
  const stamp = Number(header('timestamp'))
  if (!Number.isInteger(stamp)) found.push(t.badTimestamp)
  else if (Math.abs(now / 1000 - stamp) > tolerance) found.push(t.oldTimestamp(new Date(stamp * 1000).toISOString()))
  const given = header('signature').split(' ').filter((s) => s.startsWith('v1,')).map((s) => s.slice(3))
  if (given.length === 0) return [...found, t.noV1]
  const want = async (text: string) => sign(key, `${header('id')}.${header('timestamp')}.${text}`)
  if (given.includes(await want(body))) return found
  for (const [changed, why] of [[body.replace(/\n$/, ''), t.extraNewline], [body + '\n', t.missingNewline]] as const) {
    if (changed !== body && given.includes(await want(changed))) return [...found, why]
  }
  return [...found, t.badSignature]
}

function keyOf(secret: string): Uint8Array<ArrayBuffer> | undefined {
  if (!secret.startsWith('whsec_')) return undefined
  try {
    return Uint8Array.from(atob(secret.slice('whsec_'.length)), (c) => c.charCodeAt(0))
  } catch {
    return undefined
  }
}

async function sign(key: Uint8Array<ArrayBuffer>, text: string): Promise<string> {
  const imported = await crypto.subtle.importKey('raw', key, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign'])
  const mac = await crypto.subtle.sign('HMAC', imported, new TextEncoder().encode(text))
  return btoa(String.fromCharCode(...new Uint8Array(mac)))
}
