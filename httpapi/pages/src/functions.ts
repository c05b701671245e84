// The functions to verify signatures that the documentation has.

export interface Code {
  name: string // of the programming language
  code: string
}

// functionsOf returns the code block of each section of a page in Markdown.
export function functionsOf(page: string): Code[] {
  return [...page.matchAll(/^### (.+)\n(?:(?!#|```).*\n)*```\w+\n([\s\S]*?)^```$/gm)].map(([, name, code]) => ({ name: name!, code: code! }))
}
