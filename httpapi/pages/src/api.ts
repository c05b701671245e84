// The public API as the pages call it.

import type { components } from './openapi' // made from the document by the type check; not needed to build

type Schemas = components['schemas']
export type Application = Schemas['ApplicationOut']
export type AttemptHeaders = Schemas['MessageAttemptHeadersOut']
export type Trace = Schemas['Trace']
export type Audit = Schemas['AuditOut']
export type AuditPage = Schemas['ListResponseAuditOut']
export type Attempt = Schemas['MessageAttemptOut']
export type Cluster = Schemas['Cluster']
export type Configuration = Schemas['ConfigurationOut']
export type ByHealth = Schemas['EndpointsByHealth']
export type Endpoint = Schemas['EndpointOut']
export type EventType = Schemas['EventTypeOut']
export type Explanation = Schemas['MessageExplanation']
export type EndpointExplanation = Schemas['EndpointExplanation']
export type Health = Schemas['Health']
export type Key = Schemas['KeyOut']
export type Message = Schemas['ListedMessageOut']
export type ReplayCount = Schemas['ReplayCount']
export type Series = Schemas['AttemptSeries']
export type Strips = Schemas['AttemptStrips']
export type Settings = Schemas['SettingsOut']
export type Skipped = Schemas['TailSkipped']
export type Task = Schemas['BackgroundTaskOut']
export type Whoami = Schemas['WhoamiOut']

export interface Page<T> {
  data: T[]
  iterator: string | null
  prevIterator?: string | null
  done: boolean
}

export type Query = Record<string, string | number | boolean | string[] | null | undefined>

// Told is what the server says of something that it refuses: a sentence in English.
export interface Told {
  readonly status: number
  readonly code: string
  readonly message: string
  readonly retryAfter?: number // seconds
}

// Problem is a refusal, or the lack of a response (status 0).
export class Problem extends Error implements Told {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly fields: Record<string, Told> = {}, // what is wrong with fields of the body
    readonly retryAfter = 0, // seconds
  ) {
    super(message)
  }

  // isPassing reports whether the same request may succeed later.
  get isPassing(): boolean {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500
  }

  // conflict says what exists already, which is for the field that names it.
  get conflict(): Told | undefined {
    return this.status === 409 ? this : undefined
  }
}

let token = ''
let ended: () => void = () => undefined

// setToken sets the token of all further calls. onEnd is called when it is no longer valid.
export function setToken(value: string, onEnd: () => void): void {
  token = value
  ended = onEnd
}

// get reads; what it returns is not to be changed.
export function get<T>(path: string, query?: Query, signal?: AbortSignal): Promise<T> {
  return send<T>('GET', path, undefined, query, signal)
}

// send makes a call under /api/v1 and returns the body of the response.
export async function send<T>(method: string, path: string, body?: unknown, query?: Query, signal?: AbortSignal): Promise<T> {
  const text = await sendForText(method, path, body, query, signal)
  return (text === '' ? undefined : JSON.parse(text)) as T
}

// sendForText is send without parsing, for payloads: numbers lose digits when they are parsed.
export async function sendForText(method: string, path: string, body?: unknown, query?: Query, signal?: AbortSignal): Promise<string> {
  const { text } = await exchange(method, path, body, query, signal)
  return text
}

// Tagged is an object with the name of its state.
export interface Tagged<T> {
  data: T
  tag: string
}

// getTagged is get for an object that may be changed with sendTagged.
export async function getTagged<T>(path: string, signal?: AbortSignal): Promise<Tagged<T>> {
  const { data, tag } = await getTaggedText(path, signal)
  return { data: JSON.parse(data) as T, tag }
}

// getTaggedText is getTagged without parsing.
export async function getTaggedText(path: string, signal?: AbortSignal): Promise<Tagged<string>> {
  const { text, tag } = await exchange('GET', path, undefined, {}, signal)
  return { data: text, tag }
}

// sendTagged changes an object, unless its state is another than the one that tag names: then it
// fails with the status 412.
export async function sendTagged<T>(method: 'PATCH' | 'PUT', path: string, body: unknown, tag: string): Promise<Tagged<T>> {
  const { data, tag: next } = await sendTaggedText(method, path, body, tag)
  return { data: JSON.parse(data) as T, tag: next }
}

export async function sendTaggedText(method: 'PATCH' | 'PUT', path: string, body: unknown, tag: string): Promise<Tagged<string>> {
  const { text, tag: next } = await exchange(method, path, body, {}, undefined, tag)
  return { data: text, tag: next }
}

const longest = 60_000 // ms for a whole response; the node may be gone without a word
const pauses = [500, 2000] // ms before a change is sent again whose response was lost

let doubtful = { request: '', key: '' } // the last POST, if it is not known whether it took effect

// exchange sends changes whose response was lost again, with the key that lets them take effect once.
// A reader who tries the same again sends the same key.
async function exchange(method: string, path: string, body?: unknown, query?: Query, signal?: AbortSignal, tag = ''): Promise<{ text: string; tag: string }> {
  const headers: Record<string, string> = tag === '' ? {} : { 'If-Match': tag }
  const own = { request: method + path + JSON.stringify(body), key: randomName() }
  if (method === 'POST') {
    if (doubtful.request === own.request) own.key = doubtful.key
    doubtful = { request: '', key: '' }
    headers['Idempotency-Key'] = own.key
  }
  for (let i = 0; ; i++) {
    try {
      return await exchangeOnce(method, path, body, query, signal, headers)
    } catch (e) {
      const pause = pauses[i]
      if (!(e instanceof Problem) || method === 'GET') throw e
      if (method === 'DELETE' && e.status === 404) return { text: '', tag: '' } // somebody was faster, or a response was lost
      if (method === 'POST' && e.isPassing) doubtful = own
      if (pause === undefined || e.status !== 0) throw e
      await new Promise((done) => setTimeout(done, pause))
    }
  }
}

async function exchangeOnce(method: string, path: string, body: unknown, query: Query | undefined, signal: AbortSignal | undefined, headers: Record<string, string>): Promise<{ text: string; tag: string }> {
  const control = new AbortController()
  const abort = () => control.abort()
  const timer = setTimeout(abort, longest)
  signal?.addEventListener('abort', abort)
  try {
    const response = await request(method, path, body, query, control.signal, headers)
    const text = await response.text()
    if (response.ok) return { text, tag: response.headers.get('ETag') ?? '' }
    throw problemOf(response, text)
  } catch (e) {
    if (e instanceof Problem || signal?.aborted) throw e
    throw new Problem(0, 'no_connection', '')
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', abort)
  }
}

// stream opens a stream of events, or fails like send.
export async function stream(path: string, query: Query, signal: AbortSignal, lastID: string): Promise<ReadableStream<Uint8Array>> {
  const response = await request('GET', path, undefined, query, signal, lastID === '' ? {} : { 'Last-Event-ID': lastID })
  if (response.ok && response.body) return response.body
  throw problemOf(response, await response.text())
}

// open makes a call whose response is read as it arrives.
export async function open(path: string, signal: AbortSignal): Promise<Response> {
  const response = await request('GET', path, undefined, {}, signal, {})
  if (response.ok) return response
  throw problemOf(response, await response.text())
}

async function request(method: string, path: string, body: unknown, query: Query = {}, signal: AbortSignal, more: Record<string, string>): Promise<Response> {
  const headers: Record<string, string> = { Authorization: 'Bearer ' + token, ...more }
  if (body !== undefined) headers['Content-Type'] = 'application/json'
  const content = body === undefined ? null : typeof body === 'string' ? body : JSON.stringify(body)
  const own = token
  try {
    const response = await fetch('/api/v1' + path + search(query), { method, headers, body: content, signal, cache: 'no-store' })
    if (response.status === 401 && own === token) ended()
    return response
  } catch (e) {
    if (signal.aborted) throw e
    throw new Problem(0, 'no_connection', '')
  }
}

// search encodes a query; null and empty values are left out.
export function search(query: Query): string {
  const params = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) {
    if (Array.isArray(value)) {
      for (const v of value) params.append(name, v)
    } else if (value !== undefined && value !== null && value !== '') {
      params.set(name, String(value))
    }
  }
  const text = params.toString()
  return text === '' ? '' : '?' + text
}

function problemOf(response: Response, text: string): Problem {
  const retryAfter = Number(response.headers.get('Retry-After') ?? 0)
  let code = '', message = ''
  const fields: Record<string, Told> = {}
  try {
    const body = JSON.parse(text) as { code?: string; detail?: string | { loc: (string | number)[]; msg: string; type: string }[] }
    code = body.code ?? ''
    if (typeof body.detail === 'string') message = body.detail
    for (const f of Array.isArray(body.detail) ? body.detail : []) {
      const name = String(f.loc[1] ?? '')
      const told = { status: response.status, code: f.type, message: f.msg }
      fields[name] ??= told
      fields[f.loc.slice(1).join('/')] ??= told
      message += (message && '\n') + (name && name + ' ') + f.msg
    }
  } catch {
    message = text.slice(0, 500) // a proxy's, perhaps
  }
  return new Problem(response.status, code, message, fields, retryAfter)
}

// randomName returns a name that nothing else has. crypto.randomUUID is missing on plain HTTP.
export function randomName(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, '0')).join('')
}

// p writes a path, with its parts encoded.
export function p(parts: TemplateStringsArray, ...names: string[]): string {
  return parts.reduce((path, part, i) => path + encodeURIComponent(names[i - 1] ?? '') + part)
}
