// The token of this page: it comes in the fragment of a link, which no server sees, and is kept for
// as long as the tab is open.

const memory = new Map<string, string>() // where storage is blocked, as in frames of other origins

function store(name: string, value: string | null): void {
  if (value === null) memory.delete(name)
  else memory.set(name, value)
  try {
    if (value === null) sessionStorage.removeItem(name)
    else sessionStorage.setItem(name, value)
  } catch {
    // the memory has it
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
    saveSession(door, found)
    history.replaceState(history.state, '', location.pathname + location.search)
  }
  return read('hookwheel.' + door)
}

export function saveSession(door: string, token: string | null): void {
  store('hookwheel.' + door, token)
}

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
