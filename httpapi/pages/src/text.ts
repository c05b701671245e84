// The texts of the pages, in the language of the reader: only those are loaded.

import type { Text } from './text/en'

const languages: Record<string, () => Promise<Text>> = {
  en: async () => (await import('./text/en')).en,
  de: async () => (await import('./text/de')).de,
}

function choose(): string {
  const asked = new URLSearchParams(location.search).get('lang')
  for (const name of [asked ?? '', ...navigator.languages]) {
    const short = name.slice(0, 2).toLowerCase()
    if (short in languages) return short
  }
  return 'en'
}

export const language = choose()
export const t: Text = await languages[language]!()

// locale is for numbers and dates: that of the reader if it speaks the language of the page.
export const locale = navigator.languages.find((l) => l.slice(0, 2).toLowerCase() === language) ?? language
document.documentElement.lang = language
