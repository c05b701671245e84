// The texts of the pages, in the language of the reader.

import { de } from './text/de'
import { en, type Text } from './text/en'

const languages: Record<string, Text> = { en, de }

function choose(): string {
  const asked = new URLSearchParams(location.search).get('lang')
  for (const name of [asked ?? '', ...navigator.languages]) {
    const short = name.slice(0, 2).toLowerCase()
    if (short in languages) return short
  }
  return 'en'
}

export const language = choose()
export const t: Text = languages[language]!

// locale is for numbers and dates: that of the reader if it speaks the language of the page.
export const locale = navigator.languages.find((l) => l.slice(0, 2).toLowerCase() === language) ?? language
document.documentElement.lang = language
