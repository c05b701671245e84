// JSON as text: parsing it would round numbers and drop repeated keys. Texts are known to be valid.

export interface Token {
  text: string
  kind: '' | 'key' | 'string' | 'number' | 'word' // none of punctuation
}

export interface Line {
  depth: number
  tokens: Token[]
}

// lines breaks a JSON text into lines, one when it is asked for: a long text takes a while.
export function* lines(json: string): Generator<Line> {
  let line: Line = { depth: 0, tokens: [] }
  for (let at = next(json, 0); at < json.length;) {
    const end = endOf(json, at), text = json.slice(at, end)
    at = next(json, end)
    line.tokens.push({ text: text === ':' ? ': ' : text, kind: kindOf(text, json[at]) })
    const opens = text === '{' || text === '[', closes = json[at] === '}' || json[at] === ']'
    if (opens === closes && text !== ',') continue // {} and [] stay together
    yield line
    line = { depth: line.depth + Number(opens) - Number(closes), tokens: [] }
  }
  yield line
}

// pretty breaks and indents a JSON text.
export function pretty(json: string): string {
  return Array.from(lines(json), ({ depth, tokens }) => '  '.repeat(depth) + tokens.map((k) => k.text).join('')).join('\n')
}

// next returns where a token begins, at a place or after it.
function next(json: string, at: number): number {
  while (' \n\r\t'.includes(json[at] ?? '.')) at++
  return at
}

// endOf returns where the token ends that begins at a place.
function endOf(json: string, at: number): number {
  if (json[at] === '"') {
    for (at++; json[at] !== '"'; at++) if (json[at] === '\\') at++
    return at + 1
  }
  if (isPunctuation(json[at])) return at + 1
  while (at < json.length && !isPunctuation(json[at]) && next(json, at) === at) at++
  return at
}

const isPunctuation = (c = '.'): boolean => '{}[]:,'.includes(c)

function kindOf(text: string, following: string | undefined): Token['kind'] {
  if (text[0] === '"') return following === ':' ? 'key' : 'string'
  if (isPunctuation(text[0])) return ''
  return /^[-\d]/.test(text) ? 'number' : 'word'
}

const hiding = /[\0-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu

// visible writes the characters that change how the others are shown, such as those of
// right-to-left text, and those that nobody would see, as escapes.
export function visible(text: string): string {
  return text.replace(hiding, (c) => Array.from({ length: c.length }, (_, i) => '\\u' + c.charCodeAt(i).toString(16).padStart(4, '0')).join(''))
}

// members returns the names and texts of the members of an object.
export function members(object: string): [name: string, text: string][] {
  return Object.keys(JSON.parse(object) as object).map((name) => [name, member(object, name)!])
}

// member returns the text of a member of an object, or undefined.
export function member(object: string, name: string): string | undefined {
  return separate(object, name)?.[0]
}

// separate returns the text of a member of an object, and that of the object with null in its
// place.
export function separate(object: string, name: string): [member: string, rest: string] | undefined {
  for (let at = next(object, next(object, 0) + 1); object[at] === '"';) {
    const colon = next(object, endOf(object, at)), begin = next(object, colon + 1), end = endOfValue(object, begin)
    if (JSON.parse(object.slice(at, colon)) === name) return [object.slice(begin, end), object.slice(0, begin) + 'null' + object.slice(end)]
    at = next(object, next(object, end) + 1)
  }
  return undefined
}

// endOfValue returns where the value ends that begins at a place.
function endOfValue(json: string, at: number): number {
  for (let depth = 0; ; at++) {
    const c = json[at]
    if (c === '{' || c === '[') depth++
    else if (c === '}' || c === ']') depth--
    else if (c === '"' || depth === 0) at = endOf(json, at) - 1
    if (depth === 0) return at + 1
  }
}
