// JSON as text: parsing it would round numbers and drop repeated keys.

const tokens = /"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|true|false|null|[{}\[\]:,]/g

export interface Token {
  text: string
  kind: 'punctuation' | 'key' | 'string' | 'number' | 'word'
}

// tokenize splits a JSON text that is known to be valid. A key is a string before a colon.
export function tokenize(text: string): Token[] {
  const list: Token[] = []
  for (const [part] of text.matchAll(tokens)) {
    const last = list.at(-1)
    if (part === ':' && last?.kind === 'string') last.kind = 'key'
    list.push({ text: part, kind: kindOf(part) })
  }
  return list
}

function kindOf(part: string): Token['kind'] {
  const c = part[0]!
  if (c === '"') return 'string'
  if ('{}[]:,'.includes(c)) return 'punctuation'
  return /[-\d]/.test(c) ? 'number' : 'word'
}

// visible writes the characters that change how the others are shown, such as those of right-to-left
// text, as escapes.
export function visible(text: string): string {
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g, (c) => '\\u' + c.charCodeAt(0).toString(16).padStart(4, '0'))
}

// indent breaks tokens into lines, with how deep each is.
export function indent(list: Token[]): { depth: number; tokens: Token[] }[] {
  const lines: { depth: number; tokens: Token[] }[] = [{ depth: 0, tokens: [] }]
  let depth = 0
  const add = (token: Token) => lines.at(-1)!.tokens.push(token)
  for (const [i, token] of list.entries()) {
    const opens = token.text === '{' || token.text === '[', closes = token.text === '}' || token.text === ']'
    if (token.kind === 'punctuation' && closes) {
      depth--
      if (!/^[{[]$/.test(list[i - 1]?.text ?? '') || list[i - 1]?.kind !== 'punctuation') lines.push({ depth, tokens: [] })
    }
    add(token)
    if (token.kind !== 'punctuation') continue
    if (opens) {
      depth++
      if (!/^[}\]]$/.test(list[i + 1]?.text ?? '')) lines.push({ depth, tokens: [] })
    } else if (token.text === ',') lines.push({ depth, tokens: [] })
  }
  return lines
}

// pretty breaks and indents a JSON text that is known to be valid; numbers and repeated keys stay.
export function pretty(text: string): string {
  return indent(tokenize(text)).map((line) => '  '.repeat(line.depth) + line.tokens.map((k) => (k.text === ':' ? ': ' : k.text)).join('')).join('\n')
}

// members returns the names and texts of the members of an object.
export function members(object: string): [name: string, text: string][] {
  return Object.keys(JSON.parse(object) as object).map((name) => [name, member(object, name)!])
}

// member returns the text of a member of an object, or undefined.
export function member(object: string, name: string): string | undefined {
  let depth = 0, begin = -1, key = ''
  for (const found of object.matchAll(tokens)) {
    const part = found[0]
    if (depth === 1 && begin >= 0 && (part === ',' || part === '}')) return object.slice(begin, found.index).trim()
    if (part === '{' || part === '[') depth++
    else if (part === '}' || part === ']') depth--
    else if (depth === 1 && part === ':') {
      if (JSON.parse(key) === name) begin = found.index + 1
    } else if (depth === 1 && part.startsWith('"') && begin < 0) key = part
  }
  return undefined
}
