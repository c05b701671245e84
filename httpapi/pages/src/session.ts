// The token of this page: it comes in the fragment of a link, which no server sees, and is kept for
// as long as the tab is open.

const memory = new Map<string, string>() // where storage is blocked, as in frames of other origins
let blocked = false

function store(name: string, value: string | null): void {
  if (value === null) memory.delete(name)
  else memory.set(name, value)
  try {
    if (value === null) sessionStorage.removeItem(name)
    else sessionStorage.setItem(name, value)
  } catch {
    blocked = true // the memory has it
  }
}

function read(name: string): string {
  try {
    return sessionStorage.getItem(name) ?? memory.get(name) ?? ''
  } catch {
    return memory.get(name) ?? ''
  }
}

// openSession returns the token of the link, which it removes from the address bar, or the one of
// before. Each door (portal, console) has its own.
export function openSession(door: string): string {
  const found = tokenIn(location.hash)
  if (found !== '') {
    saveSession(door, isToken(found) ? found : null)
    history.replaceState(history.state, '', location.pathname + location.search)
  }
  return read('hookwheel.' + door)
}

export function saveSession(door: string, token: string | null): void {
  store('hookwheel.' + door, token)
}

// saveApplication remembers whose pages these are, for when the token has ended.
export function saveApplication(id: string): void {
  store('hookwheel.app', id)
}

const seldom = 60_000 // ms between two times that the page goes for a new link by itself

// findRefresh returns the page that gives a new link, or '', and whether to go there at once: not in
// a frame, where that page may be forbidden, and not again and again.
export async function findRefresh(door: string, path: string): Promise<{ to: string; atOnce: boolean }> {
  const response = await fetch(door, { cache: 'no-store' })
  const page = response.headers.get('Portal-Refresh-Url') ?? ''
  if (page === '') return { to: '', atOnce: false }
  const to = new URL(page)
  to.searchParams.set('next', path)
  if (read('hookwheel.app') !== '') to.searchParams.set('app', read('hookwheel.app'))
  const before = Number(read('hookwheel.refreshed'))
  store('hookwheel.refreshed', String(Date.now()))
  return { to: to.href, atOnce: parent === window && !blocked && Date.now() - before > seldom }
}

// isToken reports whether a text can be a token: others cannot even be sent.
export const isToken = (text: string): boolean => /^[!-~]{1,4096}$/.test(text)

// tokenIn reads both forms of a fragment: #key=TOKEN, and #key= with base64 of {"appId", "token"}.
export function tokenIn(hash: string): string {
  const value = new URLSearchParams(hash.replace(/^#/, '').replace(/\+/g, '%2B')).get('key') ?? ''
  try {
    const token: unknown = (JSON.parse(atob(value)) as { token?: unknown }).token
    if (typeof token === 'string') return token
  } catch {
    // it is the token itself
  }
  return value
}
